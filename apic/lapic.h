// One vCPU's local APIC, xAPIC and x2APIC, as a pure state machine: time comes in as an argument, what
// the VMM must do goes out as return values. Nothing here allocates, blocks or calls out.
//
// Threads. Every member belongs to one of two sets, marked below:
//  - [holder]  Only the holder of the vCPU's lease: one thread at a time, the lease being handed over with
//              release/acquire. Register accesses, interrupt acceptance, the timer.
//  - [any]     Any thread at any time, lock-free: posting interrupts, NMI, INIT and SIPI; what destination
//              matching and arbitration need; whether something is deliverable.
//
// Order. As soon as a guest run returns, before its exit is handled (the guest moves CR8 without an exit, and
// the exit may be an access that reads TPR or writes it):
//     set_cr8(run->cr8);
// Before each guest entry:
//     if (auto s = take_startup(waiting)) ...       // INIT has already reset this Lapic's registers
//     if (timer_deadline() <= now) expire_timer(clock);
//     take_nmis(), then pending() / accept() when the guest can take an interrupt
//     run->cr8 = cr8();
//
// Sleep and wake (Dekker). A poster does {post_*: seq_cst RMW}, then {seq_cst load of the vCPU's run state}
// and kicks or wakes it if it is asleep or running. A sleeper does {seq_cst store of run state "asleep"},
// then {has_deliverable(): seq_cst loads} and does not sleep when true. One of the two always sees the other.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

#include "apic/pending_events.h"
#include "apic/pending_vectors.h"
#include "apic/registers.h"
#include "apic/timer.h"
#include "apic/types.h"
#include "apic/vector_set.h"

namespace apic {

struct LapicConfig {
  ApicId id{};
  bool is_bsp = false;
  bool x2apic = true;                 // CPUID offers x2APIC; otherwise IA32_APIC_BASE[10] is reserved
  unsigned phys_addr_bits = 36;       // CPUID.80000008H:EAX[7:0]; higher IA32_APIC_BASE bits are reserved
  std::uint64_t tsc_khz = 1'000'000;  // of Clock::tsc
  std::uint64_t timer_hz = 1'000'000'000;  // what the divide configuration register divides
  // A periodic timer asks to be expired no more often than this; ticks in between coalesce.
  std::chrono::nanoseconds min_timer_interval = std::chrono::microseconds(100);
};

// The SDM's local interrupt pins. LINT0 carries the 8259's INTR, LINT1 carries NMI.
enum class Lint : std::uint8_t { kLint0, kLint1 };

class alignas(64) Lapic {
 public:
  explicit Lapic(const LapicConfig& config);
  Lapic(const Lapic&) = delete;
  Lapic& operator=(const Lapic&) = delete;

  // ---- Posting [any] ------------------------------------------------------------------------------
  enum class Post : std::uint8_t {
    kRejected,  // disabled, or illegal vector with nothing to tell the guest
    kAccepted,  // in the IRR (perhaps merged with an equal one)
    kError,     // illegal vector; the error interrupt was accepted instead
  };
  // Sets the IRR bit; level wins if an edge and a level request of one vector merge.
  [[nodiscard]] Post post(Vector vector, TriggerMode trigger);
  // What becomes of each is said in pending_events.h.
  void post_nmi() { events_.post_nmi(); }
  void post_init() { events_.post_init(); }
  void post_sipi(Vector vector) { events_.post_sipi(vector); }

  // ---- Matching and arbitration [any] --------------------------------------------------------------
  ApicId id() const { return config_.id; }
  bool is_bsp() const { return config_.is_bsp; }
  ApicMode mode() const;
  // Hardware-enabled and SVR bit 8 set: takes Fixed and lowest-priority messages.
  bool software_enabled() const;
  // Whether a message without shorthand is addressed to this APIC (never when hardware-disabled).
  bool matches(const InterruptMessage& message) const;
  // PPR; a hint unless read by the holder.
  std::uint8_t processor_priority() const { return ppr_.load(std::memory_order_relaxed); }

  // ---- Is there anything to wake for? [any] --------------------------------------------------------
  // A vector above PPR is in the IRR. (RFLAGS.IF is not the APIC's: HLT with IF=0 wakes by has_event() only.)
  bool has_interrupt() const { return pending().has_value(); }
  // The highest vector in the IRR if its class is above the PPR's; a hint unless read by the holder.
  std::optional<Vector> pending() const;
  // NMI, INIT or SIPI.
  bool has_event() const { return events_.any(); }
  bool has_deliverable() const { return has_interrupt() || has_event(); }
  // An interrupt from the 8259 reaches the core: LINT0 is an unmasked ExtINT, or the APIC is
  // hardware-disabled and LINT0 is the INTR pin.
  bool accepts_extint() const;
  // LINT0, unmasked, is neither that nor an interrupt, but NMI or INIT.
  bool lint0_sends_event() const;
  // LINT0 is an interrupt of the APIC's own (unmasked, and no ExtINT): its rise is something to look at.
  bool listens_to_lint0() const;

  // ---- Injection [holder] --------------------------------------------------------------------------
  // Interrupt acknowledge: moves pending() from IRR to ISR. With nothing pending, the spurious vector (SVR),
  // which enters no ISR and wants no EOI.
  Vector accept();
  // Takes all latched NMIs: 0, 1 or 2. While the guest is in its NMI handler, only one may be queued behind
  // it.
  unsigned take_nmis() { return events_.take_nmis(); }
  // Takes INIT and SIPI. On INIT the registers are reset (init_reset()). A SIPI counts after that INIT or if
  // `waiting_for_sipi`; the run loop owns that state.
  StartupEvents take_startup(bool waiting_for_sipi);

  // ---- CR8 [holder] --------------------------------------------------------------------------------
  // TPR[7:4]. Setting the class TPR already has changes nothing, so that syncing after each exit keeps
  // TPR[3:0].
  std::uint8_t cr8() const { return static_cast<std::uint8_t>(tpr_ >> 4); }
  void set_cr8(std::uint8_t cr8);

  // ---- xAPIC registers [holder] --------------------------------------------------------------------
  // Whether a guest-physical address lies in this APIC's page now (xAPIC mode only).
  bool claims(std::uint64_t gpa) const;
  std::uint64_t base_address() const { return apic_base_ & kApicBaseAddressMask; }
  // `offset` within the page. Only aligned 32-bit accesses are defined (SDM, Local APIC Register Map). Here a
  // read at bytes 1 to 3 gives the value from that byte on, bytes 4 to 15 read as 0, and only writes to byte
  // 0 count. Outside xAPIC mode reads give all ones and writes do nothing.
  std::uint32_t read_mmio(std::uint32_t offset, const Clock& clock);
  [[nodiscard]] Effect write_mmio(std::uint32_t offset, std::uint32_t value, const Clock& clock);
  // kvmux's extension: one 64-bit store to offset 300H writes ICR high (upper half), then ICR low (lower
  // half), as an x2APIC's ICR does, so that an IPI costs one exit. Hardware leaves such a store undefined.
  [[nodiscard]] Effect write_mmio64_icr(std::uint64_t value, const Clock& clock);

  // ---- MSRs [holder] -------------------------------------------------------------------------------
  // IA32_APIC_BASE, IA32_TSC_DEADLINE, and 800H to 8FFH (#GP unless in x2APIC mode).
  static bool owns_msr(std::uint32_t msr);
  [[nodiscard]] MsrResult<std::uint64_t> read_msr(std::uint32_t msr, const Clock& clock);
  [[nodiscard]] MsrResult<Effect> write_msr(std::uint32_t msr, std::uint64_t value, const Clock& clock);

  // ---- Timer [holder] ------------------------------------------------------------------------------
  // Host time at which expire_timer() must be called; none if no interrupt can come of it.
  std::optional<std::chrono::nanoseconds> timer_deadline() const {
    if ((lvt(Lvt::kTimer) & kLvtMasked) != 0) return std::nullopt;
    return timer_.deadline();
  }
  // The guest's TSC has jumped (it wrote the counter): a TSC deadline is aimed at anew, or fires if it has
  // passed. Before: catch up with a clock from before the jump, as any register access does.
  void tsc_changed(const Clock& clock);
  // Posts the timer interrupt if it is due; late calls merge the periods missed and keep the phase.
  // True: an interrupt was posted.
  bool expire_timer(const Clock& clock);

  // ---- Local sources [holder] ----------------------------------------------------------------------
  // An interrupt of this LVT entry occurred (what the timer, the error logic and the pins call).
  // True: something was posted.
  bool raise_local(Lvt source);
  // Level of a pin, true = asserted in the sense of its polarity. ExtINT is not latched: see
  // accepts_extint().
  void set_lint(Lint pin, bool asserted);

  // ---- Looking on [holder] -------------------------------------------------------------------------
  struct Summary {
    std::array<std::uint32_t, 8> irr{};  // as registers 200H to 270H
    std::array<std::uint32_t, 8> isr{};  // 100H to 170H
    std::uint8_t tpr = 0;
    std::uint8_t ppr = 0;
    bool enabled = false;         // by software and hardware
    std::uint32_t lvt_timer = 0;  // 320H
  };
  Summary summary() const;

  // ---- Reset [holder] ------------------------------------------------------------------------------
  // As after RESET: xAPIC mode at FEE00000H, software-disabled, pins not asserted until they are set anew.
  void power_up_reset();
  // As after INIT: IA32_APIC_BASE, the id and the pins, which others drive, survive.
  void init_reset();
  // What firmware leaves on the BSP for a guest that still uses the 8259 (MP Specification, Virtual Wire
  // Mode): software-enabled, LINT0 = ExtINT, LINT1 = NMI.
  void enter_virtual_wire_mode();

 private:
  // What routing must know of another APIC, in one word so that it is read whole.
  void publish_routing();
  void update_ppr();
  bool lint0_is_level() const;
  void service_level_lint0();  // posts it if its line is asserted and its last interrupt was ended
  Post post_in(PendingVectors::Life life, Vector vector, TriggerMode trigger);
  // Logs an error; the first since the last write of ESR raises the error interrupt. [any]
  Post log_error(std::uint32_t esr_bit, PendingVectors::Life life);
  void log_error(std::uint32_t esr_bit) { log_error(esr_bit, life_); }  // [holder]
  void reset_registers();
  void drop_requests();

  // Before any access: what the timer did until now happens under the settings it had.
  void catch_up(const Clock& clock) { expire_timer(clock); }
  std::uint32_t apr() const;
  std::uint32_t tmr_word(unsigned i) const;
  std::uint32_t read_register(Reg reg, const Clock& clock);
  Effect write_register(Reg reg, std::uint32_t value, const Clock& clock);
  Effect write_svr(std::uint32_t value);
  void write_lvt(Lvt entry, std::uint32_t value);
  Effect write_icr(std::uint64_t value);
  Effect write_self_ipi(std::uint32_t value);
  Effect end_of_interrupt();
  MsrResult<Effect> write_apic_base(std::uint64_t value);
  MsrResult<Effect> write_x2apic(std::uint32_t msr, std::uint64_t value, const Clock& clock);
  std::uint32_t lvt(Lvt entry) const {
    return lvt_[static_cast<unsigned>(entry)].load(std::memory_order_acquire);
  }
  // release: its partners are the acquire loads of any thread that raises the error interrupt or asks for
  // ExtINT.
  void set_lvt(Lvt entry, std::uint32_t value) {
    lvt_[static_cast<unsigned>(entry)].store(value, std::memory_order_release);
  }

  // Written by any thread.
  PendingVectors irr_;
  PendingEvents events_;
  std::atomic<std::uint64_t> errors_{0};  // ESR bits since ESR was last written; life (upper half)

  // Written by the holder, read by any thread.
  std::atomic<std::uint64_t> routing_{0};
  std::array<std::atomic<std::uint32_t>, kLvtCount> lvt_{};
  std::atomic<std::uint8_t> ppr_{0};

  // The holder's own.
  std::uint8_t tpr_ = 0;
  std::uint8_t logical_id_ = 0;  // xAPIC's LDR bits 31:24
  std::uint8_t dfr_model_ = 0;   // DFR bits 31:28
  std::array<bool, 2> lint_asserted_{};
  Vector lint0_vector_{};  // whose EOI clears LINT0's remote IRR; the entry's may have been changed meanwhile
  PendingVectors::Life life_ = 0;  // what is posted belongs to one life and is forgotten at its end
  std::uint32_t svr_ = 0;
  std::uint32_t esr_ = 0;
  std::uint64_t apic_base_ = 0;
  std::uint64_t icr_ = 0;
  VectorSet isr_;
  VectorSet isr_level_;  // for vectors in service: accepted as level-triggered
  VectorSet tmr_;        // trigger mode of the vectors not in the IRR, as last accepted
  const LapicConfig config_;
  Timer timer_;
};

}  // namespace apic
