// Fakes and makers that the scheduler's unit tests share: a host that writes down what it is asked for, and
// one EEVDF queue with its hierarchy and vCPUs.
//
// One thread.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <ostream>
#include <vector>

#include "sched/policy/parse.h"
#include "sched/queue/eevdf_queue.h"
#include "sched/scheduler.h"

namespace sched {

inline std::ostream& operator<<(std::ostream& out, Vruntime v) { return out << v.ticks; }
inline std::ostream& operator<<(std::ostream& out, Weight w) { return out << w.value; }
inline std::ostream& operator<<(std::ostream& out, VcpuId id) { return out << "vcpu " << index_of(id); }
inline std::ostream& operator<<(std::ostream& out, WorkerId id) { return out << "worker " << index_of(id); }

}  // namespace sched

namespace sched_test {

using namespace sched;
using namespace std::chrono_literals;

inline constexpr WorkerId kW0{0};
inline constexpr WorkerId kW1{1};
inline constexpr WorkerId kW2{2};

// No jitter, so that turns can be computed by hand: 1 ms slices, lag limit 2 ms.
inline Tuning plain_tuning() {
  Tuning tuning;
  tuning.slice = 1ms;
  tuning.slice_jitter_permille = 0;
  return tuning;
}

// What a run gives its queues.
inline EevdfConstants constants_of(const Tuning& tuning, bool flat = false) {
  return {.slice_jitter_permille = tuning.slice_jitter_permille,
          .lag_limit_slices = tuning.lag_limit_slices,
          .flat = flat};
}
inline const int64_t kCreditDepth = Tuning{}.credit_depth;

struct FakeHost final : Host {
  void kick(WorkerId worker) override { kicks.push_back(worker); }
  void arm_tick(WorkerId worker, Nanos at, Nanos) override {
    if (armed.size() <= index_of(worker)) armed.resize(index_of(worker) + 1, kForever);
    armed[index_of(worker)] = at;
  }
  // Kicks of this worker since the last call.
  int take_kicks(WorkerId worker) {
    const auto n = std::count(kicks.begin(), kicks.end(), worker);
    std::erase(kicks, worker);
    return static_cast<int>(n);
  }
  Nanos tick_of(WorkerId worker) const {
    return index_of(worker) < armed.size() ? armed[index_of(worker)] : kForever;
  }

  std::vector<WorkerId> kicks;
  std::vector<Nanos> armed;
};

// The features of a policy ("kvmux,donate=off") with plain tuning.
inline Policy policy_of(std::string_view text) {
  Policy policy = *parse_policy(text);
  policy.tuning = plain_tuning();
  return policy;
}

struct VmShape {
  uint32_t vcpus = 1;
  std::string_view preset = "fair";
  Weight weight{};
};

inline Setup setup_of(uint32_t workers, std::initializer_list<VmShape> vms) {
  Setup setup;
  setup.workers = workers;
  setup.tuning = plain_tuning();
  for (const VmShape& vm : vms) {
    const Policy policy = policy_of(vm.preset);
    setup.queue = policy.features.queue;
    setup.vms.push_back({.vcpus = vm.vcpus, .weight = vm.weight, .policy = policy});
  }
  return setup;
}

// A scheduler with its fake host. vCPU v has the id v; nothing is started.
struct SchedulerRig {
  explicit SchedulerRig(const Setup& setup) : s(setup, host) {}
  SchedulerRig(uint32_t workers, std::initializer_list<VmShape> vms) : s(setup_of(workers, vms), host) {}

  void start_all(Nanos now = 0ns) {
    for (uint32_t i = 0; i < s.vcpus(); ++i) s.start(VcpuId{i}, now);
  }
  // Picks and says whom; kNoVcpu for nobody.
  VcpuId pick(WorkerId worker, Nanos now) {
    const auto turn = s.pick(worker, now);
    return turn ? turn->vcpu : kNoVcpu;
  }
  VcpuId next(WorkerId worker, Nanos now, bool in_kernel = true) {
    s.put(worker, now, in_kernel);
    return pick(worker, now);
  }
  RunState state(uint32_t vcpu) const { return s.status(VcpuId{vcpu}).state(); }
  WorkerId where(uint32_t vcpu) const { return s.status(VcpuId{vcpu}).worker(); }
  VcpuStats stats(uint32_t vcpu, Nanos now) const { return s.stats(VcpuId{vcpu}, now); }

  FakeHost host;
  Scheduler s;
};

// vCPUs in groups over one or more EEVDF queues that share a hierarchy. Groups first, then queues.
class QueueRig {
 public:
  explicit QueueRig(Tuning tuning = plain_tuning()) : tuning_(tuning) {}
  // Flat queues, or nested ones.
  explicit QueueRig(VmShare mode, uint32_t workers = 1, bool flat = true)
      : tuning_(plain_tuning()), flat_(flat), hierarchy_(1, mode, workers) {}

  GroupId group(Weight weight = kDefaultWeight, GroupId parent = kRootGroup) {
    return hierarchy_.add(parent, weight, tuning_.slice);
  }
  Vcpu& vcpu(GroupId group) {
    Vcpu& vcpu = vcpus_.emplace_back();
    vcpu.id = VcpuId{static_cast<uint32_t>(vcpus_.size() - 1)};
    vcpu.group = group;
    vcpu.slice = tuning_.slice;
    return vcpu;
  }
  EevdfQueue& queue(size_t index = 0) {
    while (queues_.size() <= index)
      queues_.emplace_back(hierarchy_, constants_of(tuning_, flat_), 1 + queues_.size());
    return queues_[index];
  }
  Hierarchy& hierarchy() { return hierarchy_; }

 private:
  Tuning tuning_;
  bool flat_ = false;
  Hierarchy hierarchy_;
  std::deque<Vcpu> vcpus_;
  std::deque<EevdfQueue> queues_;
};

// Lets a queue run its turns from `now` until `until`; the service that each vCPU got. The queue must have no
// current; afterwards it has none again.
inline std::map<VcpuId, Nanos> run_turns(RunQueue& queue, Nanos now, Nanos until) {
  std::map<VcpuId, Nanos> service;
  while (now < until) {
    Vcpu* vcpu = queue.pick(now);
    if (vcpu == nullptr) break;
    const Nanos start = now;
    do {
      now = std::min(until, queue.turn_end());
    } while (!queue.tick(now) && now < until);
    service[vcpu->id] += now - start;
    queue.put(now);
  }
  return service;
}

// Two VMs of two vCPUs on two workers, one vCPU of each VM a worker: worker 1 runs vCPU 3 while vCPU 1, which
// is owed service and was preempted in kernel mode, waits there; worker 0 runs vCPU 0. Time: 700 µs.
inline void run_apart(SchedulerRig& rig) {
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == VcpuId{0});
  REQUIRE(rig.pick(kW1, 0ns) == VcpuId{1});
  REQUIRE(rig.next(kW1, 200us) == VcpuId{3});
  rig.s.tick(kW1, 700us);
  rig.host.kicks.clear();
}

// The same with four vCPUs a VM: vCPUs 2 and 3 have not run yet, worker 1 runs vCPU 5 of the other VM.
inline void run_four_apart(SchedulerRig& rig) {
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == VcpuId{0});
  REQUIRE(rig.pick(kW1, 0ns) == VcpuId{1});
  REQUIRE(rig.next(kW1, 200us) == VcpuId{5});
  rig.s.tick(kW1, 700us);
  rig.host.kicks.clear();
}

}  // namespace sched_test
