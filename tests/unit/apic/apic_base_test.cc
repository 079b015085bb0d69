// IA32_APIC_BASE: every transition of the SDM's x2APIC state diagram, reserved bits, and what survives.
#include "rig.h"

namespace apic_test {
namespace {

constexpr std::uint64_t kDisabledBase = kApicDefaultAddress;
constexpr std::uint64_t kXapicBase = kApicDefaultAddress | kApicBaseEnable;
constexpr std::uint64_t kX2apicBase = kXapicBase | kApicBaseX2apic;
constexpr std::uint64_t kInvalidBase = kApicDefaultAddress | kApicBaseX2apic;

void enter(Chip& chip, ApicMode mode) {
  if (mode == ApicMode::kDisabled) REQUIRE(chip.set_base(kDisabledBase).has_value());
  if (mode == ApicMode::kX2apic) REQUIRE(chip.set_base(kX2apicBase).has_value());
  REQUIRE(chip.lapic.mode() == mode);
}

TEST_CASE("after reset: xAPIC mode at FEE00000H, the BSP flag on the BSP") {
  Chip ap;
  CHECK(ap.base() == kXapicBase);
  Chip bsp(LapicConfig{.is_bsp = true});
  CHECK(bsp.base() == (kXapicBase | kApicBaseBsp));
}

TEST_CASE("every transition is allowed or raises #GP as the state diagram says") {
  struct Row {
    ApicMode from;
    std::uint64_t to;
    bool legal;
  };
  constexpr Row kRows[] = {
      {ApicMode::kXapic, kXapicBase, true},       {ApicMode::kXapic, kX2apicBase, true},
      {ApicMode::kXapic, kDisabledBase, true},    {ApicMode::kXapic, kInvalidBase, false},
      {ApicMode::kX2apic, kX2apicBase, true},     {ApicMode::kX2apic, kXapicBase, false},
      {ApicMode::kX2apic, kDisabledBase, true},   {ApicMode::kX2apic, kInvalidBase, false},
      {ApicMode::kDisabled, kXapicBase, true},    {ApicMode::kDisabled, kX2apicBase, false},
      {ApicMode::kDisabled, kInvalidBase, false}, {ApicMode::kDisabled, kDisabledBase, true},
  };
  for (const Row& row : kRows) {
    CAPTURE(static_cast<int>(row.from));
    CAPTURE(row.to);
    Chip chip;
    enter(chip, row.from);
    const std::uint64_t before = chip.base();
    const auto result = chip.set_base(row.to);
    CHECK(result.has_value() == row.legal);
    CHECK(chip.base() == (row.legal ? row.to : before));
    if (row.legal) CHECK(std::holds_alternative<ApicBaseChanged>(*result) == (before != row.to));
  }
}

TEST_CASE("reserved bits raise #GP") {
  Chip chip(LapicConfig{.phys_addr_bits = 40});
  for (unsigned bit = 0; bit < 64; ++bit) {
    CAPTURE(bit);
    if (bit == 10 || bit == 11) continue;
    const bool reserved = bit < 8 || bit == 9 || bit >= 40;
    CHECK(is_gp(chip.set_base(kXapicBase | std::uint64_t{1} << bit)) == reserved);
  }
}

TEST_CASE("without the CPUID bit, x2APIC mode is reserved") {
  Chip chip(LapicConfig{.x2apic = false});
  CHECK(is_gp(chip.set_base(kX2apicBase)));
  CHECK(chip.lapic.mode() == ApicMode::kXapic);
}

TEST_CASE("the page moves with the base and exists in xAPIC mode only") {
  Chip chip;
  CHECK(chip.lapic.claims(0xfee00000));
  CHECK(chip.lapic.claims(0xfee00fff));
  CHECK_FALSE(chip.lapic.claims(0xfee01000));
  CHECK_FALSE(chip.lapic.claims(0xfedfffff));
  REQUIRE(chip.set_base(0xfed40000 | kApicBaseEnable).has_value());
  CHECK(chip.lapic.claims(0xfed40030));
  CHECK_FALSE(chip.lapic.claims(0xfee00030));
  chip.to_x2apic();
  CHECK_FALSE(chip.lapic.claims(0xfed40030));
  REQUIRE(chip.set_base(kDisabledBase).has_value());
  CHECK_FALSE(chip.lapic.claims(0xfee00030));
}

TEST_CASE("entering x2APIC mode keeps what was programmed") {
  auto chip = Chip::enabled(9);
  (void)chip.write(Reg::kTpr, 0x25);
  (void)chip.write(Reg::kLvtError, 0x33);
  (void)chip.write(Reg::kIcrHigh, 0x11000000);
  (void)chip.write(Reg::kIcrLow, kNmi | kAssert);
  REQUIRE(chip.lapic.post(Vector(0x80), TriggerMode::kEdge) == Lapic::Post::kAccepted);
  chip.to_x2apic();
  CHECK(chip.rdmsr(Reg::kTpr) == 0x25);
  CHECK(chip.rdmsr(Reg::kSvr) == 0x1ff);
  CHECK(chip.rdmsr(Reg::kLvtError) == 0x33);
  CHECK(chip.rdmsr(Reg::kIrr0, 4) == 1);
  CHECK(chip.rdmsr(Reg::kIcrLow) == (kNmi | kAssert));
  CHECK(chip.rdmsr(Reg::kLdr) == 1u << 9);
}

TEST_CASE("leaving x2APIC mode by way of disabled loses the x2APIC's LDR and ICR") {
  auto chip = Chip::enabled(9);
  (void)chip.write(Reg::kLdr, 0x40000000);
  (void)chip.write(Reg::kDfr, 0x0fffffff);
  chip.to_x2apic();
  REQUIRE(chip.wrmsr(Reg::kIcrLow, std::uint64_t{7} << 32 | kNmi).has_value());
  REQUIRE(chip.set_base(kDisabledBase).has_value());
  REQUIRE(chip.set_base(kXapicBase).has_value());
  CHECK(chip.read(Reg::kId) == 0x09000000);
  CHECK(chip.read(Reg::kLdr) == 0);
  CHECK(chip.read(Reg::kDfr) == 0xffffffff);
  CHECK(chip.read(Reg::kIcrLow) == 0);
  CHECK(chip.read(Reg::kIcrHigh) == 0);
}

TEST_CASE("hardware-disabled: nothing is accepted, nothing pends, LINT0 is the INTR pin") {
  auto chip = Chip::enabled();
  REQUIRE(chip.lapic.post(Vector(0x50), TriggerMode::kEdge) == Lapic::Post::kAccepted);
  REQUIRE(chip.set_base(kDisabledBase).has_value());
  CHECK(chip.lapic.post(Vector(0x60), TriggerMode::kEdge) == Lapic::Post::kRejected);
  CHECK_FALSE(chip.lapic.pending().has_value());
  CHECK_FALSE(chip.lapic.has_deliverable());
  CHECK_FALSE(chip.lapic.software_enabled());
  CHECK(chip.lapic.accepts_extint());
}

TEST_CASE("hardware-disabling stops the timer and hides the TSC deadline") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kLvtTimer, 0x40);
  (void)chip.write(Reg::kInitialCount, 1000);
  REQUIRE(chip.lapic.timer_deadline().has_value());
  REQUIRE(chip.set_base(kDisabledBase).has_value());
  CHECK_FALSE(chip.lapic.timer_deadline().has_value());
  REQUIRE(chip.lapic.write_msr(kMsrTscDeadline, 1, chip.clock).has_value());
  CHECK(chip.lapic.read_msr(kMsrTscDeadline, chip.clock) == 0);
}

// SDM, Enabling or Disabling the Local APIC: without its APIC a processor has neither requests nor interrupts
// in service.
TEST_CASE("hardware-disabling forgets what was requested and in service") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kLvtLint0, kLevel | 0x45);
  (void)chip.write(Reg::kTpr, 0x10);
  chip.lapic.set_lint(Lint::kLint0, true);
  chip.serve(0x88, TriggerMode::kLevel);
  REQUIRE(chip.lapic.post(Vector(0x50), TriggerMode::kEdge) == Lapic::Post::kAccepted);
  (void)chip.lapic.post(Vector(3), TriggerMode::kEdge);
  chip.lapic.post_nmi();
  REQUIRE(chip.set_base(kDisabledBase).has_value());
  chip.lapic.set_lint(Lint::kLint0, false);
  CHECK(chip.lapic.take_nmis() == 1);  // has nothing to do with the APIC once it is at the processor
  REQUIRE(chip.set_base(kXapicBase).has_value());
  CHECK_FALSE(chip.lapic.has_deliverable());
  for (unsigned i = 0; i < 8; ++i) {
    CHECK(chip.read(Reg::kIrr0, i) == 0);
    CHECK(chip.read(Reg::kIsr0, i) == 0);
    CHECK(chip.read(Reg::kTmr0, i) == 0);
  }
  CHECK(chip.read(Reg::kLvtLint0) == (kLevel | 0x45));  // no remote IRR: its EOI will never come
  CHECK(chip.read(Reg::kPpr) == 0x10);
  CHECK(chip.esr() == 0);
  CHECK(chip.read(Reg::kSvr) == 0x1ff);  // what was programmed stays
  CHECK(chip.lapic.post(Vector(0x51), TriggerMode::kEdge) == Lapic::Post::kAccepted);
  CHECK(chip.lapic.accept() == Vector(0x51));
}

TEST_CASE("what lets an APIC accept more says so") {
  auto chip = Chip::enabled();
  CHECK(chip.write(Reg::kSvr, 0xff) == Effect{TimerChanged{}});
  CHECK(chip.write(Reg::kSvr, 0x1ff) == Effect{AcceptanceChanged{}});
  CHECK(is_nothing(chip.write(Reg::kSvr, 0x1fe)));
  CHECK(chip.write(Reg::kLdr, 0x01000000) == Effect{AcceptanceChanged{}});
  CHECK(chip.write(Reg::kDfr, 0) == Effect{AcceptanceChanged{}});
  REQUIRE(chip.set_base(kDisabledBase) == Effect{ApicBaseChanged{}});
  CHECK(chip.set_base(kXapicBase) == Effect{ApicBaseChanged{}});
}

}  // namespace
}  // namespace apic_test
