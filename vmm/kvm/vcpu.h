// A KVM vCPU: its fd and its kvm_run area. Registers and events are read and written in the sync area inside
// kvm_run: KVM takes what is marked dirty at the next entry, and writes the events at every exit. Registers
// are fetched by an ioctl when somebody looks, unless they are kept (keep_regs(), keep_sregs()): then KVM
// writes them at every exit as well.
//
// Only the holder of the vCPU's lease may call anything here, from any thread; the one exception is
// request_exit(), which any thread and any signal handler may call while the vCPU exists.
//
// Facts of KVM to know when using it:
// - On an exit for a port, an MSR or a read of MMIO the instruction is unfinished, and the next run()
// finishes
//   it first. That overwrites RIP and its destinations, also when these were written meanwhile; it may raise
//   an exception (a string or stack instruction, a divisor that was read, a single step); and where KVM skips
//   the instruction by emulating it, an exception that was written to the events is dropped. A write to MMIO
//   is finished.
// - One event an entry: KVM forgets an injected interrupt when the same entry delivers an exception, be it
//   one written to the events or one that finishing the unfinished instruction raises. So nothing is injected
//   while an instruction is unfinished.
// - After run() returned EINTR a queued injection may not have reached the guest: injection_pending() tells.
//   It needs no repetition.
// - A software interrupt and the exceptions #BP and #OF are not told when they wait to be delivered (again),
//   and writing the events takes them back. ready_for_interrupt_injection is 0 as long as one waits.
// - Dirty marks are consumed by run(), also by one that returns EINTR at once.
#pragma once

#include <linux/kvm.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "apic/types.h"
#include "vmm/ids.h"
#include "vmm/kvm/fd.h"
#include "vmm/kvm/mapping.h"
#include "vmm/result.h"

namespace vmm {

class VcpuFd {
 public:
  // For VmFd::create_vcpu(). Takes over `fd`; reads the reset state.
  [[nodiscard]] static Result<VcpuFd> adopt(UniqueFd fd, size_t run_area_bytes);
  // Without KVM: tests write exits into `run_area`, zeroed and page-aligned; run() gives EBADF.
  [[nodiscard]] static VcpuFd over(Mapping run_area) { return VcpuFd({}, std::move(run_area)); }

  // Enters the guest. 0: an exit to handle is in area(); else the errno of KVM_RUN (EINTR: a signal or
  // request_exit(); anything else is trouble), or of an earlier call that should have fetched registers, or
  // kOnlyFinished. After EINTR and kOnlyFinished the exit reason is KVM_EXIT_INTR. Never allocates, never
  // logs.
  [[nodiscard]] int run();
  static constexpr int kOnlyFinished = ECANCELED;  // as only_finish() wanted it; KVM_RUN has no such error

  [[nodiscard]] kvm_run& area() { return *area_; }
  [[nodiscard]] const kvm_run& area() const { return *area_; }

  // State as of the last exit, plus what has been written since.
  [[nodiscard]] const kvm_regs& regs() const {
    if ((fresh_ & KVM_SYNC_X86_REGS) == 0) fetch_regs();
    return area_->s.regs.regs;
  }
  [[nodiscard]] const kvm_sregs& sregs() const {
    if ((fresh_ & KVM_SYNC_X86_SREGS) == 0) fetch_sregs();
    return area_->s.regs.sregs;
  }
  [[nodiscard]] const kvm_vcpu_events& events() const { return area_->s.regs.events; }
  [[nodiscard]] uint64_t rip() const { return regs().rip; }
  // RIP, if it costs nothing: the registers are kept, or somebody has looked since the last exit.
  [[nodiscard]] std::optional<uint64_t> rip_at_hand() const {
    if ((fresh_ & KVM_SYNC_X86_REGS) == 0) return std::nullopt;
    return area_->s.regs.regs.rip;
  }
  // Where the last run() began, if the registers were at hand (keep_regs()).
  [[nodiscard]] std::optional<uint64_t> entered_at() const { return entered_at_; }
  // SS.DPL is the CPL in every mode but real mode (SDM vol. 3, 5.5).
  [[nodiscard]] unsigned cpl() const { return sregs().cr0 & 1u ? sregs().ss.dpl : 0u; }

  // To change: everything written through the reference reaches KVM at the next run().
  [[nodiscard]] kvm_regs& mutable_regs();
  [[nodiscard]] kvm_sregs& mutable_sregs();
  [[nodiscard]] kvm_vcpu_events& mutable_events();

  // LAPIC in user space. An interrupt may be injected if the guest can take it at once and nothing else comes
  // first; ask for a window exit otherwise. Injecting needs can_inject(): kOnceFinished asks for
  // only_finish() and another look.
  enum class Injection : uint8_t { kNow, kOnceFinished, kNotNow };
  [[nodiscard]] Injection injection() const;
  [[nodiscard]] bool can_inject() const { return injection() == Injection::kNow; }
  [[nodiscard]] bool injection_pending() const { return events().interrupt.injected != 0; }
  void inject_interrupt(apic::Vector vector);
  // The next run() finishes the unfinished instruction, and does not enter the guest: kOnlyFinished, or
  // another exit of the same instruction. Until it is taken back.
  void only_finish(bool wanted) { only_finish_ = wanted; }
  // LAPIC in KVM: an interrupt of the 8259s, which are ours. Needs can_queue_extint(). 0 or an errno.
  [[nodiscard]] int queue_extint(apic::Vector vector);
  // The guest can take one, and the one before has been taken.
  [[nodiscard]] bool can_queue_extint() const {
    return area_->ready_for_interrupt_injection != 0 && !extint_queued_;
  }
  // One more NMI; KVM itself holds it back while NMIs are blocked. A processor latches one behind the one
  // that it handles (SDM vol. 3, Handling Multiple NMIs): those beyond that are lost. 0, or the errno of
  // KVM_NMI, which is called only where writing the events would take something back.
  [[nodiscard]] int inject_nmi();
  // KVM holds something that the next entry delivers, or that a halted processor wakes for: an exception, an
  // NMI that is not blocked, an injected interrupt, an SMI.
  [[nodiscard]] bool event_waits() const;
  void request_window(bool wanted) { area_->request_interrupt_window = wanted ? 1 : 0; }

  // Task priority, 0 … 15, both directions: KVM takes it at entry and gives it back at exit.
  [[nodiscard]] uint64_t cr8() const { return area_->cr8; }
  void set_cr8(uint64_t value) { area_->cr8 = value; }
  // IA32_APIC_BASE as KVM knows it: drives the CPUID APIC bit. Writes to the MSR exit instead of changing it.
  [[nodiscard]] uint64_t apic_base() const { return sregs().apic_base; }
  void set_apic_base(uint64_t value) { mutable_sregs().apic_base = value; }

  // Whoever replaces the registers, or writes an exception to the events, calls this before: has KVM finish
  // the instruction that an MMIO, port or MSR exit left unfinished, without running the guest. What it reads
  // is what the area holds.
  void finish_instruction();

  // Makes a running or coming run() return EINTR until clear_exit_request(). A vCPU inside the guest needs a
  // signal to its thread on top. Async-signal-safe, wait-free.
  void request_exit();
  void clear_exit_request();

  // Between two run()s. Where somebody looks after most exits.
  void keep_regs() { area_->kvm_valid_regs |= KVM_SYNC_X86_REGS; }
  void keep_sregs(bool keep = true) {
    const auto bit = uint64_t{KVM_SYNC_X86_SREGS};
    area_->kvm_valid_regs = keep ? area_->kvm_valid_regs | bit : area_->kvm_valid_regs & ~bit;
  }

  // Set-up, before the first run().
  [[nodiscard]] Result<void> set_cpuid(std::span<const kvm_cpuid_entry2> entries);
  [[nodiscard]] Result<void> make_runnable();  // LapicPlace::kKernel: no waiting for a SIPI
  [[nodiscard]] Result<uint64_t> tsc_khz() const;
  // What RDTSC in the guest adds to the host's, modulo 2^64.
  [[nodiscard]] Result<uint64_t> tsc_offset() const;

  // LAPIC in KVM, while no thread is in run(): what a vCPU that sleeps waits for. An error: KVM does not
  // tell.
  struct Sleep {
    uint32_t mp_state = 0;           // KVM_MP_STATE_*
    bool event_pending = false;      // NMI, SMI, an exception or an injected interrupt
    bool interrupt_pending = false;  // requested, whatever its priority
    bool timer_armed = false;        // the LAPIC's, unmasked
    bool local_nmi = false;          // a performance counter may raise an NMI
  };
  [[nodiscard]] Result<Sleep> look_at_sleep() const;

  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  VcpuFd(UniqueFd fd, Mapping mapping);

  void fetch_regs() const;
  void fetch_sregs() const;
  [[nodiscard]] bool exception_comes() const;
  [[nodiscard]] bool is_unfinished() const;
  void note_entry();
  void note_end(int error, bool was_access);

  UniqueFd fd_;
  Mapping mapping_;
  kvm_run* area_;                                       // = mapping_.data()
  mutable uint64_t fresh_ = KVM_SYNC_X86_VALID_FIELDS;  // what of the sync area is of the last exit
  mutable int fetch_error_ = 0;                         // registers could not be fetched: run() says so
  std::optional<uint64_t> entered_at_;
  bool only_finish_ = false;
  bool hidden_waits_ = false;   // an event that KVM does not tell may wait to be delivered
  bool extint_queued_ = false;  // … and may not have been taken
};

}  // namespace vmm
