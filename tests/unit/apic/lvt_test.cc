// Local sources through their LVT entries, the pins, and the error status register.
#include "rig.h"

namespace apic_test {
namespace {

struct Source {
  const char* name;
  Lvt lvt;
  Reg reg;
  bool has_delivery_mode;
  bool is_pin;
};
constexpr Source kSources[] = {
    {"CMCI", Lvt::kCmci, Reg::kLvtCmci, true, false},
    {"timer", Lvt::kTimer, Reg::kLvtTimer, false, false},
    {"thermal", Lvt::kThermal, Reg::kLvtThermal, true, false},
    {"PMC", Lvt::kPmc, Reg::kLvtPmc, true, false},
    {"LINT0", Lvt::kLint0, Reg::kLvtLint0, true, true},
    {"LINT1", Lvt::kLint1, Reg::kLvtLint1, true, true},
    {"error", Lvt::kError, Reg::kLvtError, false, false},
};

TEST_CASE("every source delivers its vector unless masked") {
  for (const Source& source : kSources) {
    CAPTURE(source.name);
    auto chip = Chip::enabled();
    CHECK_FALSE(chip.lapic.raise_local(source.lvt));
    (void)chip.write(source.reg, 0x45);
    CHECK(chip.lapic.raise_local(source.lvt));
    CHECK(chip.lapic.pending() == Vector(0x45));
    CHECK_FALSE(chip.trigger_level(0x45));
  }
}

TEST_CASE("delivery modes of local sources (SDM, Local Vector Table)") {
  for (const Source& source : kSources) {
    if (!source.has_delivery_mode) continue;
    for (std::uint32_t mode = 0; mode < 8; ++mode) {
      CAPTURE(source.name);
      CAPTURE(mode);
      auto chip = Chip::enabled();
      (void)chip.write(source.reg, mode << 8 | 0x45);
      const bool posted = chip.lapic.raise_local(source.lvt);
      const auto delivery = DeliveryMode(mode);
      CHECK(chip.requested(0x45) == (delivery == DeliveryMode::kFixed));
      const bool init = source.is_pin && delivery == DeliveryMode::kInit;
      CHECK(chip.lapic.take_nmis() == (delivery == DeliveryMode::kNmi ? 1u : 0u));
      CHECK(chip.lapic.take_startup(false).init == init);
      CHECK(posted == (delivery == DeliveryMode::kFixed || delivery == DeliveryMode::kNmi || init));
    }
  }
}

TEST_CASE("a performance-counter interrupt masks its own entry") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kLvtPmc, kNmi | 0x45);
  CHECK(chip.lapic.raise_local(Lvt::kPmc));
  CHECK(chip.read(Reg::kLvtPmc) == (0x10000 | kNmi | 0x45));
  CHECK_FALSE(chip.lapic.raise_local(Lvt::kPmc));
  CHECK(chip.lapic.take_nmis() == 1);
}

TEST_CASE("an edge-triggered pin fires once for each rise") {
  for (Lint pin : {Lint::kLint0, Lint::kLint1}) {
    auto chip = Chip::enabled();
    (void)chip.write(pin == Lint::kLint0 ? Reg::kLvtLint0 : Reg::kLvtLint1, 0x45);
    chip.lapic.set_lint(pin, true);
    CHECK(chip.lapic.accept() == Vector(0x45));
    CHECK(chip.write(Reg::kEoi, 0) == Effect{EndOfInterrupt{Vector(0x45), false, false}});
    chip.lapic.set_lint(pin, true);
    CHECK_FALSE(chip.lapic.pending().has_value());
    chip.lapic.set_lint(pin, false);
    CHECK_FALSE(chip.lapic.pending().has_value());
    chip.lapic.set_lint(pin, true);
    CHECK(chip.lapic.pending() == Vector(0x45));
  }
}

TEST_CASE("level-triggered LINT0 sets remote IRR and repeats after EOI while asserted") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kLvtLint0, kLevel | 0x45);
  chip.lapic.set_lint(Lint::kLint0, true);
  CHECK(chip.read(Reg::kLvtLint0) == (kLevel | kLvtRemoteIrr | 0x45));
  CHECK(chip.trigger_level(0x45));
  CHECK(chip.lapic.accept() == Vector(0x45));
  chip.lapic.set_lint(Lint::kLint0, true);
  CHECK_FALSE(chip.requested(0x45));
  (void)chip.write(Reg::kEoi, 0);
  CHECK(chip.lapic.accept() == Vector(0x45));
  chip.lapic.set_lint(Lint::kLint0, false);
  (void)chip.write(Reg::kEoi, 0);
  CHECK_FALSE(chip.lapic.pending().has_value());
  CHECK(chip.read(Reg::kLvtLint0) == (kLevel | 0x45));
}

TEST_CASE("level-triggered LINT0 asserted while masked is seen when unmasked; LINT1 knows edges only") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kLvtLint0, kLvtMasked | kLevel | 0x45);
  chip.lapic.set_lint(Lint::kLint0, true);
  CHECK_FALSE(chip.requested(0x45));
  (void)chip.write(Reg::kLvtLint0, kLevel | 0x45);
  CHECK(chip.requested(0x45));
  (void)chip.write(Reg::kLvtLint1, kLevel | 0x46);
  chip.lapic.set_lint(Lint::kLint1, true);
  CHECK(chip.requested(0x46));
  CHECK_FALSE(chip.trigger_level(0x46));
  CHECK(chip.read(Reg::kLvtLint1) == (kLevel | 0x46));
}

TEST_CASE("level-triggered LINT0 given another vector in service is ended by the EOI of the one accepted") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kLvtLint0, kLevel | 0x45);
  chip.lapic.set_lint(Lint::kLint0, true);
  CHECK(chip.lapic.accept() == Vector(0x45));
  (void)chip.write(Reg::kLvtLint0, kLevel | 0x65);
  CHECK_FALSE(chip.requested(0x65));
  chip.serve(0x65);  // of another source: its EOI is none of LINT0's
  (void)chip.write(Reg::kEoi, 0);
  CHECK(chip.read(Reg::kLvtLint0) == (kLevel | kLvtRemoteIrr | 0x65));
  (void)chip.write(Reg::kEoi, 0);
  CHECK(chip.lapic.accept() == Vector(0x65));  // still asserted: it comes again, with its new vector
  chip.lapic.set_lint(Lint::kLint0, false);
  (void)chip.write(Reg::kEoi, 0);
  CHECK(chip.read(Reg::kLvtLint0) == (kLevel | 0x65));
}

TEST_CASE("LINT0 turned to edge forgets its remote IRR") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kLvtLint0, kLevel | 0x45);
  chip.lapic.set_lint(Lint::kLint0, true);
  (void)chip.write(Reg::kLvtLint0, 0x45);
  CHECK(chip.read(Reg::kLvtLint0) == 0x45);
}

TEST_CASE("the 8259's INTR reaches the core through an unmasked ExtINT LINT0 only") {
  auto chip = Chip::enabled();
  CHECK_FALSE(chip.lapic.accepts_extint());
  (void)chip.write(Reg::kLvtLint0, 7u << 8);
  CHECK(chip.lapic.accepts_extint());
  (void)chip.write(Reg::kLvtLint0, 7u << 8 | kLvtMasked);
  CHECK_FALSE(chip.lapic.accepts_extint());
  (void)chip.write(Reg::kLvtLint0, 0x45);
  CHECK_FALSE(chip.lapic.accepts_extint());
}

TEST_CASE("virtual wire mode is what firmware leaves behind") {
  Chip chip(LapicConfig{.is_bsp = true});
  CHECK_FALSE(chip.lapic.accepts_extint());
  chip.lapic.enter_virtual_wire_mode();
  CHECK(chip.lapic.accepts_extint());
  CHECK(chip.lapic.software_enabled());
  CHECK(chip.read(Reg::kSvr) == 0x1ff);
  CHECK(chip.read(Reg::kLvtLint0) == 7u << 8);
  chip.lapic.set_lint(Lint::kLint1, true);
  CHECK(chip.lapic.take_nmis() == 1);
}

// ---- Errors -------------------------------------------------------------------------------------------

TEST_CASE("ESR shows what was logged before its last write") {
  auto chip = Chip::enabled();
  (void)chip.lapic.read_mmio(0x40, chip.clock);
  CHECK(chip.read(Reg::kEsr) == 0);
  (void)chip.write(Reg::kEsr, 0xffffffff);
  CHECK(chip.read(Reg::kEsr) == kEsrIllegalRegister);
  CHECK(chip.read(Reg::kEsr) == kEsrIllegalRegister);
  (void)chip.write(Reg::kEsr, 0);
  CHECK(chip.read(Reg::kEsr) == 0);
}

TEST_CASE("the error interrupt fires for the first error and is rearmed by writing ESR") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kLvtError, 0x37);
  (void)chip.lapic.read_mmio(0x40, chip.clock);
  CHECK(chip.lapic.accept() == Vector(0x37));
  (void)chip.write(Reg::kEoi, 0);
  (void)chip.write(Reg::kIcrLow, kFixed | kAssert | 3);
  CHECK_FALSE(chip.lapic.pending().has_value());
  CHECK(chip.esr() == (kEsrIllegalRegister | kEsrSendIllegalVector));
  (void)chip.lapic.read_mmio(0x40, chip.clock);
  CHECK(chip.lapic.pending() == Vector(0x37));
}

TEST_CASE("illegal vectors are logged and never reach the IRR") {
  for (unsigned v = 0; v < 16; ++v) {
    CAPTURE(v);
    auto chip = Chip::enabled();
    CHECK(chip.lapic.post(Vector(v), TriggerMode::kEdge) == Lapic::Post::kRejected);
    CHECK(chip.read(Reg::kIrr0) == 0);
    CHECK(chip.esr() == kEsrReceiveIllegalVector);
    (void)chip.write(Reg::kLvtError, 0x37);
    CHECK(chip.lapic.post(Vector(v), TriggerMode::kLevel) == Lapic::Post::kError);
    CHECK(chip.lapic.pending() == Vector(0x37));
  }
}

TEST_CASE("an illegal vector in a local entry is a receive error, in the error entry too") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kLvtThermal, 0x0f);
  CHECK_FALSE(chip.lapic.raise_local(Lvt::kThermal));
  CHECK(chip.esr() == kEsrReceiveIllegalVector);
  (void)chip.write(Reg::kLvtError, 0x0e);
  (void)chip.lapic.read_mmio(0x40, chip.clock);
  CHECK(chip.read(Reg::kIrr0) == 0);
  CHECK(chip.esr() == (kEsrIllegalRegister | kEsrReceiveIllegalVector));
}

TEST_CASE("the send error depends on the delivery mode, the vector and nothing else") {
  for (std::uint32_t mode = 0; mode < 8; ++mode) {
    for (std::uint32_t vector : {0u, 15u, 16u, 255u}) {
      CAPTURE(mode);
      CAPTURE(vector);
      auto chip = Chip::enabled();
      CHECK(as_ipi(chip.write(Reg::kIcrLow, mode << 8 | kAssert | vector)));
      const bool error = vector < 16 && mode < 2;
      CHECK(chip.esr() == (error ? kEsrSendIllegalVector : 0u));
    }
  }
}

TEST_CASE("x2APIC: ESR takes only 0; a self IPI with an illegal vector is a send error") {
  auto chip = Chip::enabled();
  chip.to_x2apic();
  CHECK(is_gp(chip.wrmsr(Reg::kEsr, 1)));
  CHECK(chip.wrmsr(Reg::kSelfIpi, 9).has_value());
  CHECK(chip.wrmsr(Reg::kEsr, 0).has_value());
  CHECK(chip.rdmsr(Reg::kEsr) == kEsrSendIllegalVector);
}

}  // namespace
}  // namespace apic_test
