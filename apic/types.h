// The vocabulary of the interrupt fabric: ids, vectors, messages, and what a register access asks of
// the VMM. Plain values, no state; any thread may use them.
//
// "SDM" means the Intel Software Developer's Manual, volume 3, chapter "Advanced Programmable
// Interrupt Controller (APIC)"; its section titles are cited, since section numbers move.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <tl/expected.hpp>
#include <variant>

namespace apic {

// A local APIC's full 32-bit (x2APIC) id. In xAPIC mode the guest sees its low 8 bits.
enum class ApicId : std::uint32_t {};
constexpr std::uint32_t raw(ApicId id) { return static_cast<std::uint32_t>(id); }

enum class Vector : std::uint8_t {};
constexpr std::uint8_t raw(Vector v) { return static_cast<std::uint8_t>(v); }
// Vectors 0 to 15 cannot travel through an APIC (SDM, Valid Interrupt Vectors).
constexpr bool is_legal(Vector v) { return raw(v) >= 16; }
// Priority class: the high half of a vector, TPR or PPR (SDM, Interrupt, Task, and Processor Priority).
constexpr unsigned priority_class(unsigned v) { return v >> 4; }

// Position of a Lapic in the array handed to the router; the VMM's vCPU number within its VM.
enum class TargetIndex : std::uint32_t {};
constexpr std::uint32_t raw(TargetIndex i) { return static_cast<std::uint32_t>(i); }

// Encoded as in bits 10:8 of the ICR, of LVT and redirection entries, and of MSI data.
enum class DeliveryMode : std::uint8_t {
  kFixed = 0,
  kLowestPriority = 1,
  kSmi = 2,
  kReserved3 = 3,
  kNmi = 4,
  kInit = 5,
  kStartUp = 6,
  kExtInt = 7,
};
enum class TriggerMode : std::uint8_t { kEdge = 0, kLevel = 1 };
enum class DestMode : std::uint8_t { kPhysical = 0, kLogical = 1 };
enum class Shorthand : std::uint8_t { kNone = 0, kSelf = 1, kAllIncludingSelf = 2, kAllExcludingSelf = 3 };
enum class ApicMode : std::uint8_t { kDisabled = 0, kXapic = 1, kX2apic = 2 };

// How wide the destination field of a message is. An xAPIC's ICR, an IOAPIC and an MSI carry 8 bits
// with FFH as broadcast; an x2APIC's ICR carries 32 bits with FFFFFFFFH as broadcast.
enum class DestWidth : std::uint8_t { kNarrow, kWide };

// One interrupt message as it travels between APICs.
struct InterruptMessage {
  std::uint32_t destination = 0;
  DestWidth width = DestWidth::kNarrow;
  DestMode dest_mode = DestMode::kPhysical;
  DeliveryMode delivery = DeliveryMode::kFixed;
  TriggerMode trigger = TriggerMode::kEdge;
  // False only in an INIT level de-assert, which every APIC ignores (SDM, Interrupt Command Register).
  bool assert_level = true;
  Vector vector{};

  friend bool operator==(const InterruptMessage&, const InterruptMessage&) = default;
};

// The guest wrote an ICR (or SELF IPI): hand it to deliver() of router.h.
struct IpiRequest {
  InterruptMessage message;
  Shorthand shorthand = Shorthand::kNone;

  friend bool operator==(const IpiRequest&, const IpiRequest&) = default;
};

// The guest ended the interrupt `vector`. When `broadcast`, call IoApic::end_of_interrupt(vector).
struct EndOfInterrupt {
  Vector vector{};
  bool level = false;      // it had been accepted as level-triggered
  bool broadcast = false;  // level, and EOI broadcasts are not suppressed by SVR bit 12

  friend bool operator==(const EndOfInterrupt&, const EndOfInterrupt&) = default;
};

// Lapic::timer_deadline() may have changed.
struct TimerChanged {
  friend bool operator==(const TimerChanged&, const TimerChanged&) = default;
};

// IA32_APIC_BASE moved the APIC to another mode or address: CPUID bits and MMIO routing follow it.
struct ApicBaseChanged {
  friend bool operator==(const ApicBaseChanged&, const ApicBaseChanged&) = default;
};

// The APIC may take messages from now on that it refused before: sources that hold such a message back try
// again (IoApic::retry()). ApicBaseChanged may mean the same.
struct AcceptanceChanged {
  friend bool operator==(const AcceptanceChanged&, const AcceptanceChanged&) = default;
};

// What a register write asks of the VMM, beyond looking at pending() before the next entry, which it
// does anyway. monostate: nothing.
using Effect = std::variant<std::monostate, IpiRequest, EndOfInterrupt, TimerChanged, ApicBaseChanged,
                            AcceptanceChanged>;

// The MSR access raises #GP(0) in the guest.
struct GeneralProtection {
  friend bool operator==(const GeneralProtection&, const GeneralProtection&) = default;
};
template <class T>
using MsrResult = tl::expected<T, GeneralProtection>;

// The present: host time for deadlines, and the TSC as this guest's RDTSC would read it at that moment.
// Neither may go backwards between calls on one Lapic, but for a TSC that the guest has written
// (tsc_changed()).
struct Clock {
  std::chrono::nanoseconds now{0};
  std::uint64_t tsc = 0;
};

// A broken promise of the caller, never of the guest: stops the process in every build type.
inline void require(bool promise) {
  if (!promise) std::abort();
}

}  // namespace apic
