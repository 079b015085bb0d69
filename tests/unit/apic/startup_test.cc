// NMI, INIT and SIPI: what is latched, what wins, and what INIT and RESET leave.
#include "rig.h"

namespace apic_test {
namespace {

TEST_CASE("one NMI runs and one is latched behind it; more are merged") {
  auto chip = Chip::enabled();
  for (unsigned posted = 0; posted < 5; ++posted) {
    CAPTURE(posted);
    for (unsigned i = 0; i < posted; ++i) chip.lapic.post_nmi();
    CHECK(chip.lapic.has_event() == (posted > 0));
    CHECK(chip.lapic.take_nmis() == std::min(posted, 2u));
    CHECK_FALSE(chip.lapic.has_event());
  }
}

TEST_CASE("an NMI needs neither software-enable nor priority") {
  Chip chip;
  (void)chip.write(Reg::kTpr, 0xff);
  chip.lapic.post_nmi();
  CHECK(chip.lapic.has_deliverable());
  CHECK(chip.lapic.take_nmis() == 1);
}

TEST_CASE("a SIPI counts while waiting for it, and after an INIT") {
  struct Row {
    bool init, sipi, waiting;
    bool starts;
  };
  constexpr Row kRows[] = {
      {false, false, false, false}, {false, false, true, false}, {false, true, false, false},
      {false, true, true, true},    {true, false, false, false}, {true, false, true, false},
      {true, true, false, true},    {true, true, true, true},
  };
  for (const Row& row : kRows) {
    CAPTURE(row.init);
    CAPTURE(row.sipi);
    CAPTURE(row.waiting);
    Chip chip;
    if (row.init) chip.lapic.post_init();
    if (row.sipi) chip.lapic.post_sipi(Vector(0x9a));
    CHECK(chip.lapic.has_deliverable() == (row.init || row.sipi));
    const StartupEvents events = chip.lapic.take_startup(row.waiting);
    CHECK(events.init == row.init);
    CHECK(events.sipi.has_value() == row.starts);
    if (row.starts) CHECK(events.sipi == Vector(0x9a));
    CHECK_FALSE(chip.lapic.has_deliverable());
    CHECK_FALSE(chip.lapic.take_startup(true));
  }
}

TEST_CASE("INIT drops an older SIPI; the first of two SIPIs wins") {
  Chip chip;
  chip.lapic.post_sipi(Vector(1));
  chip.lapic.post_init();
  StartupEvents events = chip.lapic.take_startup(true);
  CHECK(events.init);
  CHECK_FALSE(events.sipi.has_value());
  chip.lapic.post_init();
  chip.lapic.post_sipi(Vector(2));
  chip.lapic.post_sipi(Vector(3));
  events = chip.lapic.take_startup(false);
  CHECK(events.sipi == Vector(2));
}

TEST_CASE("INIT takes latched NMIs along, and none that comes after it") {
  Chip chip;
  chip.lapic.post_nmi();
  chip.lapic.post_init();
  chip.lapic.post_nmi();
  CHECK(chip.lapic.take_startup(false).init);
  CHECK(chip.lapic.take_nmis() == 1);
}

void disturb(Chip& chip) {
  chip.software_enable();
  (void)chip.write(Reg::kTpr, 0x20);
  (void)chip.write(Reg::kLdr, 0x02000000);
  (void)chip.write(Reg::kDfr, 0);
  (void)chip.write(Reg::kLvtTimer, 0x40);
  (void)chip.write(Reg::kLvtLint0, 7u << 8);
  (void)chip.write(Reg::kDcr, 0xb);
  (void)chip.write(Reg::kInitialCount, 1000);
  (void)chip.write(Reg::kIcrHigh, 0x01000000);
  (void)chip.write(Reg::kIcrLow, kFixed | kAssert | 1);
  (void)chip.write(Reg::kEsr, 0);
  chip.serve(0x88, TriggerMode::kLevel);
  (void)chip.lapic.post(Vector(0x99), TriggerMode::kLevel);
  chip.lapic.post_nmi();
}

void check_reset_state(Chip& chip) {
  const auto read = [&](Reg reg, unsigned i = 0) {
    return chip.lapic.mode() == ApicMode::kX2apic ? static_cast<std::uint32_t>(*chip.rdmsr(reg, i))
                                                  : chip.read(reg, i);
  };
  for (Reg zero :
       {Reg::kTpr, Reg::kPpr, Reg::kEsr, Reg::kIcrLow, Reg::kInitialCount, Reg::kCurrentCount, Reg::kDcr}) {
    CHECK(read(zero) == 0);
  }
  CHECK(read(Reg::kSvr) == 0xff);
  for (Reg entry : {Reg::kLvtCmci, Reg::kLvtTimer, Reg::kLvtThermal, Reg::kLvtPmc, Reg::kLvtLint0,
                    Reg::kLvtLint1, Reg::kLvtError}) {
    CHECK(read(entry) == 0x10000);
  }
  for (unsigned i = 0; i < 8; ++i) {
    CHECK(read(Reg::kIrr0, i) == 0);
    CHECK(read(Reg::kIsr0, i) == 0);
    CHECK(read(Reg::kTmr0, i) == 0);
  }
  CHECK_FALSE(chip.lapic.pending().has_value());
  CHECK_FALSE(chip.lapic.timer_deadline().has_value());
  CHECK(chip.lapic.cr8() == 0);
}

TEST_CASE("INIT resets the registers and keeps IA32_APIC_BASE and the id") {
  for (bool x2apic : {false, true}) {
    Chip chip(LapicConfig{.id = ApicId(7), .is_bsp = true});
    disturb(chip);
    if (x2apic) chip.to_x2apic();
    const std::uint64_t base = chip.base();
    chip.lapic.post_init();
    CHECK(chip.lapic.take_startup(false).init);
    CHECK(chip.base() == base);
    check_reset_state(chip);
    if (x2apic) {
      CHECK(chip.rdmsr(Reg::kId) == 7);
      CHECK(chip.rdmsr(Reg::kLdr) == 1u << 7);
    } else {
      CHECK(chip.read(Reg::kId) == 0x07000000);
      CHECK(chip.read(Reg::kLdr) == 0);
      CHECK(chip.read(Reg::kDfr) == 0xffffffff);
    }
  }
}

TEST_CASE("RESET also returns to xAPIC mode at the default address and forgets events") {
  Chip chip(LapicConfig{.id = ApicId(7), .is_bsp = true});
  disturb(chip);
  REQUIRE(chip.set_base(0xfed40000 | kApicBaseEnable).has_value());
  chip.to_x2apic();
  chip.lapic.post_sipi(Vector(1));
  chip.lapic.power_up_reset();
  CHECK(chip.base() == (kApicDefaultAddress | kApicBaseEnable | kApicBaseBsp));
  CHECK_FALSE(chip.lapic.has_deliverable());
  check_reset_state(chip);
  CHECK(chip.read(Reg::kDfr) == 0xffffffff);
}

TEST_CASE("INIT leaves the pins to those who drive them, RESET forgets them") {
  for (const bool reset : {false, true}) {
    CAPTURE(reset);
    auto chip = Chip::enabled();
    chip.lapic.set_lint(Lint::kLint0, true);
    if (reset) {
      chip.lapic.power_up_reset();
    } else {
      chip.lapic.init_reset();
    }
    chip.software_enable();
    (void)chip.write(Reg::kLvtLint0, kLevel | 0x45);
    CHECK(chip.requested(0x45) == !reset);
  }
}

TEST_CASE("what was posted to a life that is over is refused, of whatever kind") {
  PendingVectors irr;
  irr.begin_life(7);
  CHECK(irr.post(Vector(0x41), TriggerMode::kEdge, 7));
  irr.begin_life(8);
  CHECK_FALSE(irr.highest().has_value());
  for (const TriggerMode trigger : {TriggerMode::kEdge, TriggerMode::kLevel}) {
    CHECK_FALSE(irr.post(Vector(0x41), trigger, 7));
    CHECK_FALSE(irr.post(Vector(0x41), trigger, 9));
  }
  CHECK_FALSE(irr.highest().has_value());
  CHECK(irr.post(Vector(0xff), TriggerMode::kEdge, 8));
  CHECK(irr.post(Vector(0xff), TriggerMode::kLevel, 8));
  CHECK(irr.highest() == Vector(0xff));
  CHECK(irr.take(Vector(0xff)) == TriggerMode::kLevel);
  CHECK_FALSE(irr.highest().has_value());
}

TEST_CASE("every vector has a bit of its own in the set") {
  for (unsigned v = 0; v < 256; ++v) {
    PendingVectors irr;
    REQUIRE(irr.post(Vector(v), TriggerMode::kEdge));
    CHECK(irr.highest() == Vector(v));
    CHECK(irr.edge_word32(v / 32) == 1u << v % 32);
    CHECK(irr.level_word32(v / 32) == 0);
    CHECK(irr.take(Vector(v)) == TriggerMode::kEdge);
    REQUIRE(irr.post(Vector(v), TriggerMode::kLevel));
    CHECK(irr.level_word32(v / 32) == 1u << v % 32);
    CHECK(irr.edge_word32(v / 32) == 0);
    CHECK(irr.take(Vector(v)) == TriggerMode::kLevel);
    CHECK_FALSE(irr.highest().has_value());
  }
}

}  // namespace
}  // namespace apic_test
