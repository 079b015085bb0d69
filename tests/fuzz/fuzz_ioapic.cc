// Register traffic and line changes of an IOAPIC, checked against what must hold after every step.
#include <cstdint>
#include <vector>

#include "apic/ioapic.h"
#include "input.h"

namespace {

using namespace apic;
using fuzz::expect;

constexpr std::uint64_t kRemoteIrr = 1u << 14, kLevel = 1u << 15, kMasked = 1u << 16, kActiveLow = 1u << 13;
constexpr std::uint64_t kSendPending = 1u << 12;
constexpr std::uint64_t kReserved = 0x00fffffffffe0000;

class Board : public MessageSink {
 public:
  Board(std::uint8_t id, LineSense sense, bool refusing)
      : ioapic_(id, sense), electrical_(sense == LineSense::kElectrical), refusing_(refusing) {}

  bool send(const InterruptMessage& message) override {
    sent_.push_back(message);
    return !refusing_ || sent_.size() % 2 == 0;
  }

  void step(fuzz::Input& in) {
    sent_.clear();
    switch (in.take<std::uint8_t>() % 8) {
      case 0:
        ioapic_.write(in.take<std::uint16_t>() & 0xfffu, in.take<std::uint32_t>(), *this);
        break;
      case 1:
        (void)ioapic_.read(in.take<std::uint16_t>() & 0xfffu);
        break;
      case 2:
        ioapic_.end_of_interrupt(Vector(in.take<std::uint8_t>()), *this);
        break;
      case 3:
        ioapic_.write(0x40, in.take<std::uint8_t>(), *this);
        break;
      case 4:
        retry_or_reset(in.take<std::uint8_t>());
        break;
      case 5:
        // One half of an entry: the index, then the data.
        ioapic_.write(0x00, 0x10 + in.take<std::uint8_t>() % 48u, *this);
        ioapic_.write(0x10, in.take<std::uint32_t>(), *this);
        break;
      default:
        set_line(in.take<std::uint8_t>());
    }
    check();
  }

 private:
  void retry_or_reset(std::uint8_t what) {
    if (what == 0) {
      ioapic_.reset();
      lines_ = 0;
    } else if (what < 16) {
      ioapic_.retry(*this);
    }
  }

  void set_line(std::uint8_t what) {
    const unsigned pin = what / 2u % IoApic::kPins;
    const bool high = what & 1;
    lines_ = (lines_ & ~(1u << pin)) | static_cast<std::uint32_t>(high) << pin;
    ioapic_.set_line(IoApicPin(pin), high, *this);
  }

  std::uint64_t entry(unsigned pin) {
    const auto half = [&](unsigned i) {
      ioapic_.write(0x00, 0x10 + 2 * pin + i, *this);
      return std::uint64_t{ioapic_.read(0x10)};
    };
    return half(0) | half(1) << 32;
  }

  void check() {
    expect(sent_.size() <= IoApic::kPins);
    const std::vector<InterruptMessage> sent = sent_;
    const std::uint32_t select = ioapic_.read(0x00);
    unsigned explained = 0;
    for (unsigned pin = 0; pin < IoApic::kPins; ++pin) check_entry(pin, entry(pin), sent, explained);
    for (const InterruptMessage& m : sent) expect(m.width == DestWidth::kNarrow && m.destination <= 0xff);
    if (!sent.empty()) expect(explained > 0);
    expect(sent_.size() == sent.size());  // looking sends nothing
    ioapic_.write(0x00, select, *this);
  }

  void check_entry(unsigned pin, std::uint64_t entry, const std::vector<InterruptMessage>& sent,
                   unsigned& explained) {
    expect((entry & kReserved) == 0);
    const auto mode = DeliveryMode(entry >> 8 & 7);
    const bool level =
        (entry & kLevel) && (mode == DeliveryMode::kFixed || mode == DeliveryMode::kLowestPriority);
    const bool active = (lines_ >> pin & 1) != (electrical_ && (entry & kActiveLow));
    if (entry & kRemoteIrr) expect(level);
    // A level request is accepted or held for a retry, and nothing else of a level is held.
    const bool held = entry & kSendPending;
    const bool due = level && active && !(entry & kMasked) && !(entry & kRemoteIrr);
    if (level) expect(held == due);
    if (entry & kMasked) expect(!held);
    if (!refusing_) expect(!held);
    const bool has_vector = mode == DeliveryMode::kFixed || mode == DeliveryMode::kLowestPriority;
    if (!has_vector) expect(!held);
    if (held) expect(ioapic_.holds_messages());
    for (const InterruptMessage& m : sent) {
      const bool from_here = m.vector == Vector(entry & 0xff) && m.delivery == mode &&
                             m.destination == entry >> 56 && (m.trigger == TriggerMode::kLevel) == level &&
                             !(entry & kMasked) && (active || !level);  // an edge may have been held
      if (from_here) ++explained;
    }
  }

  IoApic ioapic_;
  const bool electrical_;
  const bool refusing_;
  std::uint32_t lines_ = 0;
  std::vector<InterruptMessage> sent_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  const auto setup = in.take<std::uint8_t>();
  Board board(setup >> 4, setup & 1 ? LineSense::kRequest : LineSense::kElectrical, setup & 2);
  while (!in.empty()) board.step(in);
  return 0;
}
