// TPR, PPR, APR and CR8; IRR to ISR to EOI; trigger modes; spurious interrupts; software-disabling.
#include "rig.h"

namespace apic_test {
namespace {

TEST_CASE("PPR follows TPR and the highest vector in service (SDM, Processor Priority Register)") {
  struct Row {
    unsigned tpr, in_service, ppr;
  };
  constexpr Row kRows[] = {
      {0x00, 0, 0x00},    {0x2f, 0, 0x2f},    {0x00, 0x35, 0x30}, {0x1f, 0x35, 0x30}, {0x2f, 0x35, 0x30},
      {0x30, 0x35, 0x30}, {0x33, 0x35, 0x33}, {0x4a, 0x35, 0x4a}, {0xff, 0xfe, 0xff}, {0xef, 0xf1, 0xf0},
  };
  for (const Row& row : kRows) {
    CAPTURE(row.tpr);
    CAPTURE(row.in_service);
    auto chip = Chip::enabled();
    if (row.in_service) chip.serve(row.in_service);
    (void)chip.write(Reg::kTpr, row.tpr);
    CHECK(chip.read(Reg::kPpr) == row.ppr);
    CHECK(chip.lapic.processor_priority() == row.ppr);
  }
}

TEST_CASE("APR is computed from TPR, IRR and ISR (SDM, Arbitration Priority Register)") {
  struct Row {
    unsigned tpr, requested, in_service, apr;
  };
  constexpr Row kRows[] = {
      {0x00, 0, 0, 0x00},       {0x57, 0, 0, 0x57},       {0x57, 0x5f, 0, 0x57},    {0x57, 0x60, 0, 0x60},
      {0x57, 0x33, 0x52, 0x50}, {0x57, 0x33, 0x41, 0x57}, {0x10, 0x33, 0x41, 0x40},
  };
  for (const Row& row : kRows) {
    CAPTURE(row.tpr);
    CAPTURE(row.requested);
    auto chip = Chip::enabled();
    if (row.in_service) chip.serve(row.in_service);
    if (row.requested) (void)chip.lapic.post(Vector(row.requested), TriggerMode::kEdge);
    (void)chip.write(Reg::kTpr, row.tpr);
    CHECK(chip.read(Reg::kApr) == row.apr);
  }
}

TEST_CASE("an interrupt is dispatched only above the processor's priority class") {
  for (unsigned tpr_class = 0; tpr_class < 16; ++tpr_class) {
    for (unsigned vector_class = 1; vector_class < 16; ++vector_class) {
      CAPTURE(tpr_class);
      CAPTURE(vector_class);
      auto chip = Chip::enabled();
      (void)chip.write(Reg::kTpr, tpr_class << 4);
      (void)chip.lapic.post(Vector(vector_class << 4 | 0xf), TriggerMode::kEdge);
      CHECK(chip.lapic.pending().has_value() == (vector_class > tpr_class));
      CHECK(chip.lapic.has_deliverable() == (vector_class > tpr_class));
    }
  }
}

TEST_CASE("every legal vector travels IRR, ISR, EOI") {
  for (unsigned v = 16; v < 256; ++v) {
    CAPTURE(v);
    auto chip = Chip::enabled();
    REQUIRE(chip.lapic.post(Vector(v), TriggerMode::kEdge) == Lapic::Post::kAccepted);
    CHECK(chip.requested(v));
    CHECK(chip.lapic.pending() == Vector(v));
    CHECK(chip.lapic.accept() == Vector(v));
    CHECK_FALSE(chip.requested(v));
    CHECK(chip.in_service(v));
    CHECK(chip.write(Reg::kEoi, 0) == Effect{EndOfInterrupt{Vector(v), false, false}});
    CHECK_FALSE(chip.in_service(v));
  }
}

TEST_CASE("higher classes nest, EOI ends the highest in service, the rest resumes") {
  auto chip = Chip::enabled();
  chip.serve(0x31);
  chip.serve(0x52);
  (void)chip.lapic.post(Vector(0x40), TriggerMode::kEdge);
  (void)chip.lapic.post(Vector(0x5f), TriggerMode::kEdge);  // same class as the one in service
  CHECK_FALSE(chip.lapic.pending().has_value());
  CHECK(chip.write(Reg::kEoi, 0) == Effect{EndOfInterrupt{Vector(0x52), false, false}});
  CHECK(chip.lapic.accept() == Vector(0x5f));
  CHECK(chip.write(Reg::kEoi, 0) == Effect{EndOfInterrupt{Vector(0x5f), false, false}});
  CHECK(chip.lapic.accept() == Vector(0x40));
  CHECK(chip.write(Reg::kEoi, 7) == Effect{EndOfInterrupt{Vector(0x40), false, false}});
  CHECK(chip.write(Reg::kEoi, 0) == Effect{EndOfInterrupt{Vector(0x31), false, false}});
  CHECK(is_nothing(chip.write(Reg::kEoi, 0)));
}

TEST_CASE("a vector can pend once while it is in service") {
  auto chip = Chip::enabled();
  chip.serve(0x61);
  (void)chip.lapic.post(Vector(0x61), TriggerMode::kEdge);
  (void)chip.lapic.post(Vector(0x61), TriggerMode::kEdge);
  (void)chip.write(Reg::kEoi, 0);
  CHECK(chip.lapic.accept() == Vector(0x61));
  (void)chip.write(Reg::kEoi, 0);
  CHECK_FALSE(chip.lapic.pending().has_value());
}

TEST_CASE("TMR shows the trigger mode of the last acceptance into the IRR") {
  auto chip = Chip::enabled();
  (void)chip.lapic.post(Vector(0x70), TriggerMode::kLevel);
  CHECK(chip.trigger_level(0x70));
  REQUIRE(chip.lapic.accept() == Vector(0x70));
  CHECK(chip.trigger_level(0x70));
  (void)chip.lapic.post(Vector(0x70), TriggerMode::kEdge);
  CHECK_FALSE(chip.trigger_level(0x70));
  // The one in service was level-triggered all the same: its IOAPIC waits.
  CHECK(chip.write(Reg::kEoi, 0) == Effect{EndOfInterrupt{Vector(0x70), true, true}});
  REQUIRE(chip.lapic.accept() == Vector(0x70));
  CHECK(chip.write(Reg::kEoi, 0) == Effect{EndOfInterrupt{Vector(0x70), false, false}});
  CHECK_FALSE(chip.trigger_level(0x70));
}

TEST_CASE("an edge and a level request that merge count as level, in either order") {
  for (bool level_first : {false, true}) {
    auto chip = Chip::enabled();
    (void)chip.lapic.post(Vector(0x70), level_first ? TriggerMode::kLevel : TriggerMode::kEdge);
    (void)chip.lapic.post(Vector(0x70), level_first ? TriggerMode::kEdge : TriggerMode::kLevel);
    CHECK(chip.trigger_level(0x70));
    REQUIRE(chip.lapic.accept() == Vector(0x70));
    CHECK_FALSE(chip.lapic.pending().has_value());
    CHECK(chip.write(Reg::kEoi, 0) == Effect{EndOfInterrupt{Vector(0x70), true, true}});
    CHECK_FALSE(chip.requested(0x70));
  }
}

TEST_CASE("SVR bit 12 suppresses the EOI broadcast") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kSvr, 0x11ff);
  chip.serve(0x70, TriggerMode::kLevel);
  CHECK(chip.write(Reg::kEoi, 0) == Effect{EndOfInterrupt{Vector(0x70), true, false}});
}

TEST_CASE("x2APIC: EOI takes only 0") {
  auto chip = Chip::enabled();
  chip.to_x2apic();
  chip.lapic.set_cr8(0);
  REQUIRE(chip.lapic.post(Vector(0x44), TriggerMode::kEdge) == Lapic::Post::kAccepted);
  REQUIRE(chip.lapic.accept() == Vector(0x44));
  CHECK(is_gp(chip.wrmsr(Reg::kEoi, 1)));
  CHECK(chip.rdmsr(Reg::kIsr0, 2) == 0x10);
  CHECK(chip.wrmsr(Reg::kEoi, 0) == Effect{EndOfInterrupt{Vector(0x44), false, false}});
}

TEST_CASE("CR8 is TPR[7:4]") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kTpr, 0x5c);
  CHECK(chip.lapic.cr8() == 5);
  chip.lapic.set_cr8(5);  // the run loop's sync after an exit
  CHECK(chip.read(Reg::kTpr) == 0x5c);
  chip.lapic.set_cr8(9);
  CHECK(chip.read(Reg::kTpr) == 0x90);
  CHECK(chip.read(Reg::kPpr) == 0x90);
  (void)chip.lapic.post(Vector(0x95), TriggerMode::kEdge);
  CHECK_FALSE(chip.lapic.pending().has_value());
  chip.lapic.set_cr8(8);
  CHECK(chip.lapic.pending() == Vector(0x95));
}

TEST_CASE("an acknowledge with nothing above the priority gives the spurious vector and touches nothing") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kSvr, 0x1e7);
  (void)chip.lapic.post(Vector(0x40), TriggerMode::kEdge);
  (void)chip.write(Reg::kTpr, 0x50);
  CHECK(chip.lapic.accept() == Vector(0xe7));
  CHECK(chip.requested(0x40));
  CHECK_FALSE(chip.in_service(0xe7));
  CHECK(is_nothing(chip.write(Reg::kEoi, 0)));
  (void)chip.write(Reg::kTpr, 0);
  CHECK(chip.lapic.accept() == Vector(0x40));
}

TEST_CASE("software-disabled: no new interrupts, those held are still dispatched, EOI works") {
  auto chip = Chip::enabled();
  chip.serve(0x50);
  (void)chip.lapic.post(Vector(0x60), TriggerMode::kEdge);
  (void)chip.write(Reg::kSvr, 0xff);
  CHECK(chip.lapic.post(Vector(0x70), TriggerMode::kEdge) == Lapic::Post::kRejected);
  CHECK_FALSE(chip.requested(0x70));
  CHECK(chip.lapic.accept() == Vector(0x60));
  CHECK(chip.write(Reg::kEoi, 0) == Effect{EndOfInterrupt{Vector(0x60), false, false}});
  CHECK(chip.write(Reg::kEoi, 0) == Effect{EndOfInterrupt{Vector(0x50), false, false}});
}

TEST_CASE("software-disabling masks every LVT entry until it is unmasked again") {
  constexpr Reg kEntries[] = {Reg::kLvtCmci,  Reg::kLvtTimer, Reg::kLvtThermal, Reg::kLvtPmc,
                              Reg::kLvtLint0, Reg::kLvtLint1, Reg::kLvtError};
  auto chip = Chip::enabled();
  for (Reg entry : kEntries) {
    (void)chip.write(entry, 0x44);
    CHECK(chip.read(entry) == 0x44);
  }
  (void)chip.write(Reg::kSvr, 0xff);
  for (Reg entry : kEntries) {
    CHECK(chip.read(entry) == 0x10044);
    (void)chip.write(entry, 0x45);
    CHECK(chip.read(entry) == 0x10045);
  }
  chip.software_enable();
  for (Reg entry : kEntries) {
    CHECK(chip.read(entry) == 0x10045);
    (void)chip.write(entry, 0x46);
    CHECK(chip.read(entry) == 0x46);
  }
}

}  // namespace
}  // namespace apic_test
