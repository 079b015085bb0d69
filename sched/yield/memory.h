// What directed yield remembers of vCPUs, VMs and workers.
//
// Guards. A vCPU's part: the lock of the queue that it is on; of the one that runs, the worker itself may
// read and write all but `next_turn` without it, because only what waits is handed a turn. A worker's part:
// its lock. A VM's part is made of what any thread may touch.
//
// What of that the compiler holds: of() asks for the lock; of_running() for the worker's role, and that its
// caller leaves `next_turn` alone is up to the caller; of_held() asks for nothing.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sched/base/mutex.h"
#include "sched/ipi/model.h"
#include "sched/learn/trial.h"
#include "sched/learn/handover_score.h"
#include "sched/learn/saturating_predictor.h"
#include "sched/policy/setup.h"
#include "sched/workers/workers.h"
#include "sched/yield/handover.h"
#include "sched/yield/penalty.h"

namespace sched {

// What became of a vCPU's last directed yield, until that is known.
struct YieldOutcome {
  enum class Stage : uint8_t { kNone, kAway, kBack } stage = Stage::kNone;
  VcpuId target = kNoVcpu;
  uint32_t target_runs = 0;  // the target's progress when we yielded
  uint32_t target_spins = 0;
  int64_t target_waits_since = 0;
  YieldReason reason{};
};

struct alignas(64) VcpuYields {
  Handover next_turn;               // what it was handed for the turn that it waits for
  Handover turn;                    // the same of the turn that it has
  std::optional<WorkerId> move_to;  // it changed places with the target of its yield: it waits there next
  Nanos came_on{};                  // when it last came onto a worker
  Nanos last_spin{};                // its last spin exit
  uint32_t wait_spins = 0;          // spin exits of the wait that it is in
  SaturatingPredictor waits_after_send;
  YieldOutcome outcome;
};

struct VmYields {
  explicit VmYields(const VmInfo& vm);
  std::unique_ptr<IpiModel> ipi;
  std::atomic<uint32_t> last_boosted{0};
  std::atomic<bool> tells_waits{false};  // its guest says when a wait begins
  std::atomic<uint32_t> awaiting{0};  // vCPUs that are known to wait for those to whom they send
  HandoverScore handovers;            // do yields to the vCPU that has waited longest help here?
  HandoverScore relaxed;              // do those to anyone that was taken off?
  Trial donations;  // how long, if at all, pays here: of kDonatedHalves
};

// The lengths of donated turns that a VM tries, in halves of donate-windows. What is best lasts until a critical section
// is over and ends before the next wait begins: beyond that its owner queues up again. That is the guest's
// secret. None: a queue that somebody fills bit by bit.
inline constexpr std::array<int64_t, 4> kDonatedHalves{2, 0, 1, 4};

struct alignas(64) WorkerYields {
  DeboostState deboost;
  DeboostState credit;
};

// What was learned of a VM under a policy that it does not have now.
struct Aside {
  VmId vm{};
  Policy policy;
  std::unique_ptr<VmYields> yields;
  std::vector<SaturatingPredictor> sends;  // of its vCPUs
  Nanos since{};
};

class YieldMemory {
 public:
  YieldMemory(const std::vector<VmInfo>& vms, uint32_t workers, uint32_t vcpus);

  // Of a vCPU on this worker's queue.
  VcpuYields& of(const Worker& worker, const Vcpu& vcpu) SCHED_REQUIRES(worker.mutex) {
    static_cast<void>(worker);
    return vcpus_[index_of(vcpu.id)];
  }
  // Of the vCPU that runs; all but `next_turn`.
  VcpuYields& of_running(const Worker& worker) SCHED_REQUIRES(worker.self) {
    return vcpus_[index_of(worker.running->id)];
  }
  // The same of one that the caller's worker holds, unchecked: it acknowledges, is reset, or has ended.
  VcpuYields& of_held(const Vcpu& vcpu) { return vcpus_[index_of(vcpu.id)]; }
  WorkerYields& of(const Worker& worker) SCHED_REQUIRES(worker.mutex) {
    return workers_[index_of(worker.id)];
  }
  VmYields& of(const VmInfo& vm) { return *vms_[index_of(vm.id)]; }
  const VmYields& of(const VmInfo& vm) const { return *vms_[index_of(vm.id)]; }

  // Nobody calls anything meanwhile. The VM is about to go on with another policy: what was learned under the
  // present one is put aside, what was learned under the next one before is taken up again. What is on its
  // way (sent IPIs, outcomes of yields) belongs to neither; turns that were handed over are given all the
  // same.
  void change(const VmInfo& vm, const Policy& next, Nanos now);

  // Taken off because a donated turn was over, until its next run: hints for the scan of others.
  std::atomic<bool>& after_donation(VcpuId vcpu) { return after_donation_[index_of(vcpu)]; }
  std::span<const std::atomic<bool>> after_donations(const VmInfo& vm) const {
    return {&after_donation_[vm.first], vm.size};
  }

 private:
  std::vector<VcpuYields> vcpus_;
  std::vector<std::unique_ptr<VmYields>> vms_;
  std::vector<Aside> aside_;
  std::vector<WorkerYields> workers_;
  std::unique_ptr<std::atomic<bool>[]> after_donation_;
};

}  // namespace sched
