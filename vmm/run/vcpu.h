// A vCPU: its KVM fd, its local APIC and its accounts, and the lease that says who may touch them.
//
// Exactly one thread at a time holds a vCPU's lease, or nobody does. The holder alone touches `kvm` and the
// [holder] half of `lapic`; everybody may post to the LAPIC. The scheduler decides who holds it: pick() hands
// it out, and whoever got it lets go of the lease before put(), halt() or stop().
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include "apic/lapic.h"
#include "sched/base/stats.h"
#include "sched/base/types.h"
#include "sched/ipi/model.h"
#include "vmm/check.h"
#include "vmm/ids.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/run/alarms.h"
#include "vmm/run/clock.h"
#include "vmm/run/guest_marks.h"
#include "vmm/run/refusals.h"
#include "vmm/run/site_counts.h"
#include "vmm/run/sleep_mark.h"
#include "vmm/run/steal_time.h"

namespace vmm {

// Where the time of a vCPU on a worker went, and how often. Its counters are written by the lease holder; any
// thread may look at them meanwhile (sched/base/published.h).
template <template <class> class Cell>
struct VcpuAccountOf {
  Cell<Nanos> guest{};   // inside KVM_RUN
  Cell<Nanos> exits{};   // handling exits
  Cell<Nanos> entry{};   // preparing entries that inject
  Cell<Nanos> stolen{};  // of `guest`: the host ran something else
  Cell<uint64_t> exit_count{};
  Cell<uint64_t> kick_count{};  // KVM_RUN ended by a signal
  Cell<uint64_t> injections{};
};
using VcpuAccount = VcpuAccountOf<sched::Plain>;
using VcpuAccounting = VcpuAccountOf<sched::Published>;

inline VcpuAccount copy_of(const VcpuAccounting& counted) {
  return {.guest = counted.guest,
          .exits = counted.exits,
          .entry = counted.entry,
          .stolen = counted.stolen,
          .exit_count = counted.exit_count,
          .kick_count = counted.kick_count,
          .injections = counted.injections};
}

// The 8259s at the end of whose INTR line a processor sits (its LINT0).
class ExtIntSource {
 public:
  virtual ~ExtIntSource() = default;
  // INTR is asserted. Any thread; a sequentially consistent load, the sleeper's half of the protocol in
  // apic/lapic.h.
  virtual bool requested() const = 0;
  // INTR has risen since the last take_rise(), and may have fallen again. Any thread; as requested().
  virtual bool has_risen() const = 0;
  // Lease holder.
  virtual bool take_rise() = 0;
  // The acknowledge cycle. Lease holder; the spurious vector if the request has gone meanwhile.
  virtual apic::Vector acknowledge() = 0;
};

struct Vcpu {
  Vcpu(sched::VcpuId dense, VmId vm_id, VcpuIndex in_vm, uint32_t siblings, VcpuFd fd,
       const apic::LapicConfig& config, uint64_t tsc_offset_value)
      : id(dense),
        vm(vm_id),
        index(in_vm),
        kvm(std::move(fd)),
        lapic(config),
        tsc_offset(tsc_offset_value),
        alarm(dense),
        receivers(siblings),
        accepted(siblings) {}

  apic::Clock clock(Nanos now) const { return {now, host_tsc() + tsc_offset}; }

  // Any thread: an interrupt from the 8259s, from the LAPIC as well, is there to be taken.
  bool has_extint() const { return extint != nullptr && extint->requested() && lapic.accepts_extint(); }
  bool has_lint0_rise() const { return extint != nullptr && extint->has_risen() && lapic.listens_to_lint0(); }
  bool has_deliverable() const { return lapic.has_deliverable() || has_extint() || has_lint0_rise(); }

  // Lease holder: as it is halted below, it does not stay so. KVM's own are what it held back until the HLT
  // was over (an NMI behind STI) or what HLT itself raised (a single step).
  bool has_reason_to_wake() const {
    return kvm.event_waits() || (halted_deaf ? lapic.has_event() : has_deliverable());
  }

  // Lease holder: it goes to sleep in the state below.
  void note_sleep() {
    const bool may_wake_itself = !halted_deaf && !waiting_for_sipi && lapic.timer_deadline().has_value();
    may_wake_itself ? sleep.wakes() : sleep.sleeps();
    sleep.listens(waiting_for_sipi ? Listens::kToSipi : halted_deaf ? Listens::kToEvents : Listens::kToAll);
  }

  const sched::VcpuId id;
  const VmId vm;
  const VcpuIndex index;
  VcpuFd kvm;
  apic::Lapic lapic;
  uint64_t tsc_offset;             // [holder] guest TSC − host TSC
  ExtIntSource* extint = nullptr;  // set before the run; null: no 8259s here
  SleepMark sleep;                 // LAPICs of ours

  // [holder]
  bool halted = false;       // executed HLT; goes on when something is deliverable
  bool halted_deaf = false;  // … with interrupts off: only NMI, INIT and SIPI count
  bool waiting_for_sipi = false;
  bool stopped = false;    // by itself, for good
  unsigned held_nmis = 0;  // that came while it waited for a SIPI, or that KVM did not take
  Alarm alarm;             // its LAPIC deadline, as some worker knows it
  sched::Wait wait{};      // what its last ring said
  // Scratch of the IPI path, so that it allocates nothing: who is named, and who takes it.
  sched::VcpuSet receivers;
  sched::VcpuSet accepted;
  bool was_reset = false;  // by INIT, which the scheduler does not know yet
  VcpuAccounting account;
  Refusals refusals;
  GuestMarks marks;  // of a tiny guest whose run is traced
  std::optional<StealTime> steal;  // nothing: KVM keeps it, or nobody does
  SiteCounts spun_at;       // RIP where it was found busy-waiting
  SiteCounts taken_off_at;  // … and where its turn was over

 private:
  friend class VcpuLease;
  std::atomic<bool> leased_{false};
};

// The right to touch a vCPU. Move-only; letting go publishes all that the holder did (release), taking it
// sees all that earlier holders did (acquire).
class VcpuLease {
 public:
  VcpuLease() = default;
  explicit VcpuLease(Vcpu& vcpu) : vcpu_(&vcpu) {
    const bool was_held = vcpu.leased_.exchange(true, std::memory_order_acquire);  // partner: release()
    KVMUX_CHECK(!was_held, "a vCPU has one lease holder at a time");
  }
  VcpuLease(VcpuLease&& other) noexcept : vcpu_(std::exchange(other.vcpu_, nullptr)) {}
  VcpuLease& operator=(VcpuLease&& other) noexcept {
    if (this != &other) {
      release();
      vcpu_ = std::exchange(other.vcpu_, nullptr);
    }
    return *this;
  }
  ~VcpuLease() { release(); }

  void release() {
    if (vcpu_ == nullptr) return;
    vcpu_->leased_.store(false, std::memory_order_release);  // partner: the constructor
    vcpu_ = nullptr;
  }
  explicit operator bool() const { return vcpu_ != nullptr; }
  Vcpu* operator->() const { return vcpu_; }
  Vcpu& operator*() const { return *vcpu_; }

 private:
  Vcpu* vcpu_ = nullptr;
};

}  // namespace vmm
