// An I/O APIC: 24 redirection entries (the field's 82093AA, with the EOI register of version 20H). Turns
// device lines into interrupt messages.
//
// Threads: none of its own and no locks inside; the caller guards each IoApic with one lock and may hold it
// while the sink delivers, since delivery is lock-free (router.h).
//
// Order: set_line() from devices, read()/write() from guest accesses to its page (FEC00000H), and
// end_of_interrupt() whenever a Lapic's EndOfInterrupt effect says `broadcast`.
#pragma once

#include <array>
#include <cstdint>

#include "apic/types.h"

namespace apic {

// Where an IoApic's messages go.
class MessageSink {
 public:
  virtual ~MessageSink() = default;
  // True if at least one local APIC accepted the message: a level-triggered entry then sets its remote IRR.
  // One that nobody accepted is held back: see IoApic::retry(). Must not call back into the IoApic.
  virtual bool send(const InterruptMessage& message) = 0;
};

// An input pin; with the usual tables, the ACPI global system interrupt of the same number.
enum class IoApicPin : std::uint8_t {};
constexpr std::uint8_t raw(IoApicPin pin) { return static_cast<std::uint8_t>(pin); }

// What set_line()'s level means.
enum class LineSense : std::uint8_t {
  // A voltage: an entry programmed active-low sees it inverted, as on a board.
  kElectrical,
  // The device's request: the polarity bit is stored and read back but changes nothing, which forgives
  // guests that program it against the platform tables (QEMU and KVM do this).
  kRequest,
};

class IoApic {
 public:
  static constexpr unsigned kPins = 24;
  static constexpr std::uint64_t kDefaultAddress = 0xfec00000;
  static constexpr std::uint64_t kSize = 0x1000;
  static constexpr std::uint32_t kSelectRegister = 0x00;  // IOREGSEL: a write to it changes no entry

  explicit IoApic(std::uint8_t id, LineSense sense = LineSense::kElectrical);

  // Drives an input pin, which idles low. Where it stands already, nothing happens.
  void set_line(IoApicPin pin, bool high, MessageSink& sink);

  // Guest access to a register, `offset` within its page: IOREGSEL 00H, IOWIN 10H, EOI 40H (write-only), 32
  // bits each. Anything else reads 0 and ignores writes.
  std::uint32_t read(std::uint32_t offset) const;
  void write(std::uint32_t offset, std::uint32_t value, MessageSink& sink);

  // An EOI for `vector` reached this IOAPIC: entries waiting for it clear their remote IRR, and those whose
  // line is still active send again.
  void end_of_interrupt(Vector vector, MessageSink& sink);

  // Sends again what no local APIC accepted: whenever one of them may accept more than before
  // (AcceptanceChanged, ApicBaseChanged), or now and then where nobody tells.
  void retry(MessageSink& sink);
  bool holds_messages() const { return held_ != 0; }

  // Its line may bring a message: the entry is unmasked, or one is held back.
  bool may_send(IoApicPin pin) const;
  // What the entry of a pin would send, masked or not. For routes inside KVM.
  InterruptMessage message(IoApicPin pin) const;

  // As at power-up, with the board around it: lines idle low until they are driven anew.
  void reset();

 private:
  std::uint32_t read_indirect() const;
  void write_indirect(std::uint32_t value, MessageSink& sink);
  void write_entry(unsigned pin, std::uint64_t value, MessageSink& sink);
  bool active(unsigned pin) const;
  void send(unsigned pin, MessageSink& sink);
  void send_if_level_due(unsigned pin, MessageSink& sink);

  const LineSense sense_;
  const std::uint8_t initial_id_;
  std::uint8_t id_ = 0;
  std::uint8_t select_ = 0;
  // One bit a pin.
  std::uint32_t lines_ = 0;
  std::uint32_t held_ = 0;  // its message waits for somebody to accept it: "send pending"
  std::array<std::uint64_t, kPins> entries_{};
};

// The MSI address and data that carry the same message (SDM, Message Signalled Interrupts); for
// KVM_SIGNAL_MSI.
struct Msi {
  std::uint64_t address = 0;
  std::uint32_t data = 0;
};
Msi as_msi(const InterruptMessage& message);

}  // namespace apic
