// The IOAPIC wired to local APICs: a level line's way to its handler and back, and the same message as an
// MSI.
#include "apic/ioapic.h"
#include "rig.h"

namespace apic_test {
namespace {

TEST_CASE("MSI encoding") {
  struct Row {
    InterruptMessage message;
    std::uint64_t address;
    std::uint32_t data;
  };
  const Row kRows[] = {
      {{.destination = 0, .vector = Vector(0x31)}, 0xfee00000, 0x4031},
      {{.destination = 0xab, .dest_mode = DestMode::kLogical, .vector = Vector(0x31)}, 0xfeeab004, 0x4031},
      {{.destination = 0xff, .trigger = TriggerMode::kLevel, .vector = Vector(0xfe)}, 0xfeeff000, 0xc0fe},
      {{.destination = 3, .delivery = DeliveryMode::kLowestPriority, .vector = Vector(0x31)},
       0xfee03008,
       0x4131},
      {{.destination = 3, .delivery = DeliveryMode::kNmi}, 0xfee03000, 0x4400},
  };
  for (const Row& row : kRows) {
    CHECK(as_msi(row.message).address == row.address);
    CHECK(as_msi(row.message).data == row.data);
  }
}

// An IOAPIC wired to local APICs through the router.
struct Wired : MessageSink {
  explicit Wired(unsigned count) : machine(count) {}
  bool send(const InterruptMessage& message) override {
    machine.send(message);
    return machine.accepted > 0;
  }
  void write(Chip& chip, Reg reg, std::uint32_t value) { act(chip.write(reg, value)); }
  // As the board does.
  void act(const Effect& effect) {
    if (std::get_if<AcceptanceChanged>(&effect) || std::get_if<ApicBaseChanged>(&effect)) ioapic.retry(*this);
  }
  void eoi(Chip& chip) {
    const Effect effect = chip.write(Reg::kEoi, 0);
    const auto* end = std::get_if<EndOfInterrupt>(&effect);
    REQUIRE(end);
    if (end->broadcast) ioapic.end_of_interrupt(end->vector, *this);
  }
  Machine machine;
  IoApic ioapic{0};
};

TEST_CASE("a level line from pin to handler and back") {
  for (bool suppressed : {false, true}) {
    CAPTURE(suppressed);
    Wired wired(2);
    Chip& cpu = wired.machine[1];
    if (suppressed) (void)cpu.write(Reg::kSvr, 0x11ff);
    wired.ioapic.write(0x00, 0x10 + 2 * 11 + 1, wired);
    wired.ioapic.write(0x10, 1u << 24, wired);
    wired.ioapic.write(0x00, 0x10 + 2 * 11, wired);
    wired.ioapic.write(0x10, kLevel | 0x5b, wired);
    wired.ioapic.set_line(IoApicPin(11), true, wired);
    CHECK(cpu.lapic.accept() == Vector(0x5b));
    wired.eoi(cpu);
    // Suppressed, the guest writes the IOAPIC's EOI register itself.
    CHECK(cpu.requested(0x5b) == !suppressed);
    if (suppressed) wired.ioapic.write(0x40, 0x5b, wired);
    CHECK(cpu.lapic.accept() == Vector(0x5b));
    wired.ioapic.set_line(IoApicPin(11), false, wired);
    wired.eoi(cpu);
    CHECK_FALSE(cpu.lapic.pending().has_value());
  }
}

TEST_CASE("a line whose target is disabled waits for it, however it is enabled") {
  for (const std::uint32_t trigger : {0u, kLevel}) {
    for (const bool hardware : {false, true}) {
      CAPTURE(trigger);
      CAPTURE(hardware);
      Wired wired(1);
      Chip& cpu = wired.machine[0];
      const std::uint64_t enabled = cpu.base();
      if (hardware) REQUIRE(cpu.set_base(enabled & ~kApicBaseEnable).has_value());
      if (!hardware) wired.write(cpu, Reg::kSvr, 0xff);
      wired.ioapic.write(0x00, 0x10, wired);
      wired.ioapic.write(0x10, trigger | 0x5b, wired);
      wired.ioapic.set_line(IoApicPin(0), true, wired);
      CHECK_FALSE(cpu.lapic.pending().has_value());
      if (hardware) wired.act(*cpu.set_base(enabled));
      if (!hardware) wired.write(cpu, Reg::kSvr, 0x1ff);
      CHECK(cpu.lapic.pending() == Vector(0x5b));
    }
  }
}

TEST_CASE("a line to a logical destination waits for whoever takes that id") {
  Wired wired(2);
  wired.ioapic.write(0x00, 0x11, wired);
  wired.ioapic.write(0x10, 8u << 24, wired);
  wired.ioapic.write(0x00, 0x10, wired);
  wired.ioapic.write(0x10, kLevel | kLogical | 0x5b, wired);
  wired.ioapic.set_line(IoApicPin(0), true, wired);
  wired.write(wired.machine[0], Reg::kLdr, 4u << 24);
  CHECK_FALSE(wired.machine[0].lapic.pending().has_value());
  wired.write(wired.machine[1], Reg::kLdr, 8u << 24);
  CHECK(wired.machine[1].lapic.pending() == Vector(0x5b));
}

}  // namespace
}  // namespace apic_test
