// A running machine as somebody sees it who looks on: its workers and vCPUs at one moment, taken without
// stopping anybody and without a lock (Engine::look()). For the watchdog and live views.
//
// Each vCPU's part is of one moment, and so is most of each worker's; between them a few microseconds may
// lie. Plain data.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "apic/types.h"
#include "sched/base/history.h"
#include "sched/base/stats.h"
#include "sched/base/status.h"
#include "sched/base/types.h"
#include "vmm/ids.h"
#include "vmm/run/sleep_mark.h"

namespace vmm {

using sched::Nanos;

struct WorkerView {
  enum class Doing : uint8_t {
    kSwitching,  // between two vCPUs: choosing, moving, putting away
    kGuest,      // in KVM_RUN
    kHandling,   // with a vCPU, outside KVM_RUN: its exits, its entries
    kAsleep,     // nothing to run
    kParked,     // at the pause barrier
    kGone,
  };
  Doing doing = Doing::kParked;
  std::optional<sched::VcpuId> vcpu = {};  // that it has
  Nanos since{};                           // of this stay with the vCPU, sleep or pause
  uint64_t beats = 0;  // grows while it gets on: with every entry into a guest and every change above
  Nanos busy{};        // with vCPUs, up to now
  Nanos parked{};      // likewise
  pid_t thread = 0;
  uint32_t runnable = 0;  // vCPUs on its queue, the running one included; 0 where the host has the queues
};

struct VcpuView {
  sched::VcpuId id{};
  VmId vm{};
  VcpuIndex index{};
  sched::RunState state{};
  bool preempted = false;                     // taken off while runnable
  bool spinning = false;                      // … because it busy-waits
  sched::WorkerId worker = sched::kNoWorker;  // on or from which; kNoWorker where the host has the queues
  Nanos since{};                              // of its state
  sched::StateTimes times;                    // since its start, up to now; sums up to that time
  uint64_t runs = 0;                          // times put on a worker
  uint64_t spin_exits = 0;                    // may wrap at 2^32
  // Its LAPIC, if it is one of ours.
  bool has_lapic = false;
  std::optional<apic::Vector> interrupt = {};  // that it could take now, were interrupts on
  bool event = false;                          // NMI, INIT or SIPI
  Listens listens = Listens::kToAll;           // only for one that halts
  bool extint = false;                         // the 8259s ask for an interrupt
  // Something is there that ends its halt.
  bool is_called() const {
    return event || (listens == Listens::kToAll && (interrupt.has_value() || extint));
  }
};

struct MachineView {
  Nanos at{};
  std::vector<WorkerView> workers;  // by WorkerId, or a thread for each vCPU, by VcpuId
  std::vector<VcpuView> vcpus;      // by VcpuId
};

}  // namespace vmm
