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

TEST_CASE("a level line whose target is disabled waits for it") {
  Wired wired(1);
  Chip& cpu = wired.machine[0];
  (void)cpu.write(Reg::kSvr, 0xff);
  wired.ioapic.write(0x00, 0x10, wired);
  wired.ioapic.write(0x10, kLevel | 0x5b, wired);
  wired.ioapic.set_line(IoApicPin(0), true, wired);
  CHECK_FALSE(cpu.lapic.pending().has_value());
  cpu.software_enable();
  wired.ioapic.set_line(IoApicPin(0), true, wired);
  CHECK(cpu.lapic.pending() == Vector(0x5b));
}

}  // namespace
}  // namespace apic_test
