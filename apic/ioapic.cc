#include "apic/ioapic.h"

namespace apic {
namespace {

// Register window (82093AA, Register Description).
constexpr std::uint32_t kIoRegSel = IoApic::kSelectRegister;
constexpr std::uint32_t kIoWin = 0x10;
constexpr std::uint32_t kEoi = 0x40;

// Indirect registers.
constexpr std::uint8_t kIdIndex = 0;
constexpr std::uint8_t kVersionIndex = 1;
constexpr std::uint8_t kArbitrationIndex = 2;
constexpr std::uint8_t kTableIndex = 0x10;
constexpr std::uint32_t kVersion = 0x20 | (IoApic::kPins - 1) << 16;

// Redirection entry.
constexpr std::uint64_t kLogical = 1u << 11;
constexpr std::uint64_t kSendPending = 1u << 12;  // delivery status; stored in held_
constexpr std::uint64_t kActiveLow = 1u << 13;
constexpr std::uint64_t kRemoteIrr = 1u << 14;
constexpr std::uint64_t kLevel = 1u << 15;
constexpr std::uint64_t kMasked = 1u << 16;
constexpr unsigned kDestinationShift = 56;
// What software may write: all but the reserved bits, delivery status and remote IRR.
constexpr std::uint64_t kWritable = 0xff0000000001afffu;

DeliveryMode delivery_of(std::uint64_t entry) { return DeliveryMode(entry >> 8 & 7); }

bool has_vector(std::uint64_t entry) {
  const DeliveryMode mode = delivery_of(entry);
  return mode == DeliveryMode::kFixed || mode == DeliveryMode::kLowestPriority;
}

// Only Fixed and lowest priority can be level-triggered; the others act on the edge however they are
// programmed (82093AA, Delivery Mode).
bool is_level(std::uint64_t entry) { return (entry & kLevel) && has_vector(entry); }

InterruptMessage message_of(std::uint64_t entry) {
  InterruptMessage m;
  m.destination = static_cast<std::uint32_t>(entry >> kDestinationShift);
  m.dest_mode = entry & kLogical ? DestMode::kLogical : DestMode::kPhysical;
  m.delivery = delivery_of(entry);
  m.trigger = is_level(entry) ? TriggerMode::kLevel : TriggerMode::kEdge;
  m.vector = Vector(entry & 0xff);
  return m;
}

}  // namespace

IoApic::IoApic(std::uint8_t id, LineSense sense) : sense_(sense), initial_id_(id) { reset(); }

void IoApic::reset() {
  id_ = initial_id_;
  select_ = 0;
  lines_ = 0;
  held_ = 0;
  entries_.fill(kMasked);
}

InterruptMessage IoApic::message(IoApicPin pin) const {
  require(raw(pin) < kPins);
  return message_of(entries_[raw(pin)]);
}

bool IoApic::may_send(IoApicPin pin) const {
  require(raw(pin) < kPins);
  return !(entries_[raw(pin)] & kMasked) || (held_ >> raw(pin) & 1);
}

bool IoApic::active(unsigned pin) const {
  const bool high = lines_ >> pin & 1;
  const bool inverted = sense_ == LineSense::kElectrical && (entries_[pin] & kActiveLow);
  return high != inverted;
}

void IoApic::set_line(IoApicPin which, bool high, MessageSink& sink) {
  const unsigned pin = raw(which);
  require(pin < kPins);
  if (high == static_cast<bool>(lines_ >> pin & 1)) return;
  const bool was_active = active(pin);
  lines_ = (lines_ & ~(1u << pin)) | static_cast<std::uint32_t>(high) << pin;
  if (is_level(entries_[pin])) {
    if (!active(pin)) held_ &= ~(1u << pin);
    send_if_level_due(pin, sink);
  } else if (active(pin) && !was_active && !(entries_[pin] & kMasked)) {
    // An edge on a masked pin is lost (82093AA, Interrupt Mask).
    send(pin, sink);
  }
}

// 82093AA, Delivery Status: a message that no local APIC can accept at the moment is held, not dropped. That
// is for those that an APIC takes or not by its state: what else is refused (SMI, ExtINT) nobody will ever
// take here.
void IoApic::send(unsigned pin, MessageSink& sink) {
  std::uint64_t& entry = entries_[pin];
  const bool accepted = sink.send(message_of(entry));
  held_ = (held_ & ~(1u << pin)) | static_cast<std::uint32_t>(!accepted && has_vector(entry)) << pin;
  if (accepted && is_level(entry)) entry |= kRemoteIrr;
}

void IoApic::retry(MessageSink& sink) {
  for (unsigned pin = 0; pin < kPins; ++pin) {
    if (held_ >> pin & 1) send(pin, sink);
  }
}

// Remote IRR is set when a local APIC accepts a level interrupt and holds back further ones until its EOI.
void IoApic::send_if_level_due(unsigned pin, MessageSink& sink) {
  const std::uint64_t entry = entries_[pin];
  if (!is_level(entry) || !active(pin) || (entry & (kMasked | kRemoteIrr))) return;
  send(pin, sink);
}

void IoApic::end_of_interrupt(Vector vector, MessageSink& sink) {
  for (unsigned pin = 0; pin < kPins; ++pin) {
    if (!(entries_[pin] & kRemoteIrr) || (entries_[pin] & 0xff) != raw(vector)) continue;
    entries_[pin] &= ~kRemoteIrr;
    send_if_level_due(pin, sink);
  }
}

std::uint32_t IoApic::read(std::uint32_t offset) const {
  switch (offset) {
    case kIoRegSel:
      return select_;
    case kIoWin:
      return read_indirect();
    default:
      return 0;
  }
}

void IoApic::write(std::uint32_t offset, std::uint32_t value, MessageSink& sink) {
  switch (offset) {
    case kIoRegSel:
      select_ = static_cast<std::uint8_t>(value);
      return;
    case kIoWin:
      return write_indirect(value, sink);
    case kEoi:
      return end_of_interrupt(Vector(value & 0xff), sink);
    default:
      return;
  }
}

std::uint32_t IoApic::read_indirect() const {
  // Ids are 4 bits wide; the arbitration id follows the id.
  if (select_ == kIdIndex || select_ == kArbitrationIndex) return static_cast<std::uint32_t>(id_ & 0xf) << 24;
  if (select_ == kVersionIndex) return kVersion;
  const unsigned index = select_ - unsigned{kTableIndex};
  if (select_ < kTableIndex || index / 2 >= kPins) return 0;
  const std::uint64_t status = held_ >> index / 2 & 1 ? kSendPending : 0;
  return static_cast<std::uint32_t>((entries_[index / 2] | status) >> (index % 2 * 32));
}

void IoApic::write_indirect(std::uint32_t value, MessageSink& sink) {
  if (select_ == kIdIndex) {
    id_ = value >> 24 & 0xf;
    return;
  }
  const unsigned index = select_ - unsigned{kTableIndex};
  if (select_ < kTableIndex || index / 2 >= kPins) return;
  const unsigned shift = index % 2 * 32;
  const std::uint64_t half = std::uint64_t{0xffffffff} << shift;
  const std::uint64_t old = entries_[index / 2];
  write_entry(index / 2, (old & ~half) | static_cast<std::uint64_t>(value) << shift, sink);
}

// An entry turned to edge forgets its remote IRR: that is how software ends a level interrupt on IOAPICs
// without EOI register. A level line found active under its new settings is sent at once, and so is an edge
// that is held; masked, it is forgotten.
void IoApic::write_entry(unsigned pin, std::uint64_t value, MessageSink& sink) {
  std::uint64_t& entry = entries_[pin];
  const std::uint64_t remote_irr = entry & kRemoteIrr;
  const bool was_level = is_level(entry);
  entry = value & kWritable;
  const bool holds_edge = (held_ >> pin & 1) && !was_level;
  held_ &= ~(1u << pin);
  if (is_level(entry)) {
    entry |= remote_irr;
    send_if_level_due(pin, sink);
  } else if (holds_edge && has_vector(entry) && !(entry & kMasked)) {
    send(pin, sink);
  }
}

Msi as_msi(const InterruptMessage& message) {
  constexpr std::uint64_t kMsiAddress = 0xfee00000;
  constexpr std::uint32_t kMsiAssert = 1u << 14;
  Msi msi;
  msi.address = kMsiAddress | static_cast<std::uint64_t>(message.destination & 0xff) << 12;
  if (message.dest_mode == DestMode::kLogical) msi.address |= 1u << 2;
  // Lowest priority is arbitrated only with the redirection hint.
  if (message.delivery == DeliveryMode::kLowestPriority) msi.address |= 1u << 3;
  msi.data = raw(message.vector) | static_cast<std::uint32_t>(message.delivery) << 8 | kMsiAssert;
  if (message.trigger == TriggerMode::kLevel) msi.data |= 1u << 15;
  return msi;
}

}  // namespace apic
