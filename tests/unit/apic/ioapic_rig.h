// An IOAPIC with a sink that records what it sends, for its tests.
#pragma once

#include <vector>

#include "apic/ioapic.h"
#include "rig.h"

namespace apic_test {

// Records messages; accepts them unless told not to.
struct Sink : MessageSink {
  bool send(const InterruptMessage& message) override {
    messages.push_back(message);
    return accept;
  }
  std::vector<InterruptMessage> messages;
  bool accept = true;
};

inline constexpr std::uint32_t kMasked = 1u << 16, kLowActive = 1u << 13, kRemoteIrr = 1u << 14,
                               kSendPending = 1u << 12;

struct Board {
  explicit Board(LineSense sense = LineSense::kElectrical) : ioapic(2, sense) {}

  std::uint32_t read(std::uint8_t index) {
    ioapic.write(0x00, index, sink);
    return ioapic.read(0x10);
  }
  void write(std::uint8_t index, std::uint32_t value) {
    ioapic.write(0x00, index, sink);
    ioapic.write(0x10, value, sink);
  }
  static std::uint8_t low(unsigned pin) { return static_cast<std::uint8_t>(0x10 + 2 * pin); }
  void program(unsigned pin, std::uint32_t entry, std::uint32_t destination = 0) {
    write(static_cast<std::uint8_t>(low(pin) + 1), destination << 24);
    write(low(pin), entry);
  }
  void line(unsigned pin, bool high) { ioapic.set_line(IoApicPin(pin), high, sink); }
  bool remote_irr(unsigned pin) { return read(low(pin)) & kRemoteIrr; }
  // Messages sent since the last call.
  std::size_t sent() {
    const std::size_t count = sink.messages.size();
    sink.messages.clear();
    return count;
  }

  IoApic ioapic;
  Sink sink;
};

}  // namespace apic_test
