// The three timer modes, dividers, mode changes, masking, late expiry and drift.
#include "rig.h"

namespace apic_test {
namespace {

constexpr std::uint32_t kPeriodic = 1u << 17, kTscDeadline = 2u << 17;
constexpr std::uint32_t kDivideBy1 = 0xb;
constexpr std::uint32_t kVector = 0x40;

struct TimerChip : Chip {
  explicit TimerChip(std::uint32_t lvt, LapicConfig config = {.min_timer_interval = 0ns}) : Chip(config) {
    software_enable();
    (void)write(Reg::kDcr, kDivideBy1);
    (void)write(Reg::kLvtTimer, lvt);
  }
  std::uint32_t current() { return read(Reg::kCurrentCount); }
  // Takes the timer interrupt if it pends.
  bool fired() {
    if (lapic.pending() != Vector(kVector)) return false;
    (void)lapic.accept();
    (void)write(Reg::kEoi, 0);
    return true;
  }
  MsrResult<Effect> set_tsc_deadline(std::uint64_t tsc) {
    return lapic.write_msr(kMsrTscDeadline, tsc, clock);
  }
  std::uint64_t tsc_deadline() { return *lapic.read_msr(kMsrTscDeadline, clock); }
};

TEST_CASE("one-shot counts down once, at the divided rate") {
  struct Row {
    std::uint32_t dcr;
    unsigned divisor;
  };
  constexpr Row kRows[] = {{0x0, 2},  {0x1, 4},  {0x2, 8},   {0x3, 16},
                           {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
  for (const Row& row : kRows) {
    CAPTURE(row.divisor);
    TimerChip chip(kVector);
    (void)chip.write(Reg::kDcr, row.dcr);
    CHECK(chip.write(Reg::kInitialCount, 1000) == Effect{TimerChanged{}});
    CHECK(chip.current() == 1000);
    CHECK(chip.lapic.timer_deadline() == chip.clock.now + 1000ns * row.divisor);
    chip.pass(400ns * row.divisor);
    CHECK(chip.current() == 600);
    CHECK_FALSE(chip.lapic.expire_timer(chip.clock));
    chip.pass(600ns * row.divisor);
    CHECK(chip.lapic.expire_timer(chip.clock));
    CHECK(chip.fired());
    CHECK(chip.current() == 0);
    CHECK(chip.read(Reg::kInitialCount) == 1000);
    CHECK_FALSE(chip.lapic.timer_deadline().has_value());
    chip.pass(10ms);
    CHECK_FALSE(chip.lapic.expire_timer(chip.clock));
  }
}

TEST_CASE("the bus frequency need not divide a second") {
  TimerChip chip(kVector, LapicConfig{.timer_hz = 33'333'333});
  (void)chip.write(Reg::kInitialCount, 33'333'333);
  CHECK(chip.lapic.timer_deadline() == chip.clock.now + 1s);
  (void)chip.write(Reg::kInitialCount, 1);
  CHECK(chip.lapic.timer_deadline() == chip.clock.now + 31ns);
  chip.pass(30ns);
  CHECK(chip.current() == 1);
  chip.pass(1ns);
  CHECK(chip.current() == 0);
  CHECK(chip.fired());
}

TEST_CASE("periodic repeats without drift however late it is served") {
  TimerChip chip(kPeriodic | kVector, LapicConfig{.timer_hz = 33'333'333, .min_timer_interval = 0ns});
  const auto start = chip.clock.now;
  (void)chip.write(Reg::kInitialCount, 1'000'000);
  std::uint64_t periods = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto late = nanoseconds(i * 7919 % 29'000'000);
    chip.pass(*chip.lapic.timer_deadline() - chip.clock.now + late);
    CHECK(chip.lapic.expire_timer(chip.clock));
    CHECK(chip.fired());
    ++periods;
  }
  // The next one comes where exact arithmetic puts it, rounded up to a nanosecond.
  const auto exact = static_cast<std::int64_t>((periods + 1) * 1'000'000 * 1'000'000'000 / 33'333'333 + 1);
  CHECK(chip.lapic.timer_deadline() == start + nanoseconds(exact));
}

TEST_CASE("periodic merges the periods a late caller missed and keeps the phase") {
  TimerChip chip(kPeriodic | kVector);
  (void)chip.write(Reg::kInitialCount, 1000);
  const auto start = chip.clock.now;
  chip.pass(3500ns);
  CHECK(chip.current() == 500);
  CHECK(chip.fired());
  CHECK_FALSE(chip.fired());
  CHECK(chip.lapic.timer_deadline() == start + 4000ns);
}

TEST_CASE("periodic counts from the initial count down to 1") {
  TimerChip chip(kPeriodic | kVector);
  (void)chip.write(Reg::kInitialCount, 3);
  for (std::uint32_t expected : {3u, 2u, 1u, 3u, 2u, 1u}) {
    CHECK(chip.current() == expected);
    chip.pass(1ns);
  }
}

TEST_CASE("writing 0 to the initial count stops the timer") {
  for (std::uint32_t mode : {0u, kPeriodic}) {
    TimerChip chip(mode | kVector);
    (void)chip.write(Reg::kInitialCount, 1000);
    (void)chip.write(Reg::kInitialCount, 0);
    CHECK_FALSE(chip.lapic.timer_deadline().has_value());
    CHECK(chip.current() == 0);
    chip.pass(1ms);
    CHECK_FALSE(chip.fired());
  }
}

TEST_CASE("writing the initial count restarts a running timer") {
  TimerChip chip(kVector);
  (void)chip.write(Reg::kInitialCount, 1000);
  chip.pass(999ns);
  (void)chip.write(Reg::kInitialCount, 500);
  CHECK(chip.current() == 500);
  chip.pass(499ns);
  CHECK_FALSE(chip.lapic.expire_timer(chip.clock));
  chip.pass(1ns);
  CHECK(chip.lapic.expire_timer(chip.clock));
}

TEST_CASE("changing the divider keeps the count and changes its rate") {
  TimerChip chip(kVector);
  (void)chip.write(Reg::kInitialCount, 1000);
  chip.pass(600ns);
  CHECK(chip.write(Reg::kDcr, 0x0) == Effect{TimerChanged{}});
  CHECK(chip.current() == 400);
  CHECK(chip.lapic.timer_deadline() == chip.clock.now + 800ns);
  chip.pass(400ns);
  CHECK(chip.current() == 200);
}

TEST_CASE("a masked timer counts but is silent") {
  TimerChip chip(kLvtMasked | kPeriodic | kVector);
  (void)chip.write(Reg::kInitialCount, 1000);
  CHECK_FALSE(chip.lapic.timer_deadline().has_value());
  chip.pass(2500ns);
  CHECK(chip.current() == 500);
  CHECK(chip.write(Reg::kLvtTimer, kPeriodic | kVector) == Effect{TimerChanged{}});
  CHECK_FALSE(chip.fired());
  CHECK(chip.lapic.timer_deadline() == chip.clock.now + 500ns);
}

TEST_CASE("an expiry before the timer was masked, or its vector changed, still counts") {
  TimerChip chip(kVector);
  (void)chip.write(Reg::kInitialCount, 1000);
  chip.pass(1000ns);
  (void)chip.write(Reg::kLvtTimer, kLvtMasked | 0x99);
  CHECK(chip.fired());
  CHECK_FALSE(chip.requested(0x99));
}

TEST_CASE("one-shot and periodic share the running count") {
  TimerChip chip(kVector);
  (void)chip.write(Reg::kInitialCount, 1000);
  chip.pass(700ns);
  (void)chip.write(Reg::kLvtTimer, kPeriodic | kVector);
  CHECK(chip.current() == 300);
  chip.pass(400ns);
  CHECK(chip.current() == 900);
  CHECK(chip.fired());
  chip.pass(1000ns);
  CHECK(chip.current() == 900);
  CHECK(chip.fired());
  (void)chip.write(Reg::kLvtTimer, kVector);
  CHECK(chip.current() == 900);
  chip.pass(900ns);
  CHECK(chip.current() == 0);
  CHECK(chip.fired());
  // Nothing runs any more: periodic does not start by itself.
  (void)chip.write(Reg::kLvtTimer, kPeriodic | kVector);
  CHECK(chip.current() == 0);
  CHECK_FALSE(chip.lapic.timer_deadline().has_value());
}

TEST_CASE("TSC-deadline fires at the deadline and clears the MSR") {
  TimerChip chip(kTscDeadline | kVector);
  CHECK(chip.set_tsc_deadline(chip.clock.tsc + 2000) == Effect{TimerChanged{}});
  CHECK(chip.lapic.timer_deadline() == chip.clock.now + 1000ns);
  CHECK(chip.tsc_deadline() == chip.clock.tsc + 2000);
  chip.pass(999ns);
  CHECK_FALSE(chip.lapic.expire_timer(chip.clock));
  chip.pass(1ns);
  CHECK(chip.lapic.expire_timer(chip.clock));
  CHECK(chip.fired());
  CHECK(chip.tsc_deadline() == 0);
  CHECK_FALSE(chip.lapic.timer_deadline().has_value());
}

TEST_CASE("TSC-deadline: a deadline in the past fires at once, 0 disarms, the counts are dead") {
  TimerChip chip(kTscDeadline | kVector);
  REQUIRE(chip.set_tsc_deadline(chip.clock.tsc).has_value());
  CHECK(chip.fired());
  CHECK(chip.tsc_deadline() == 0);
  REQUIRE(chip.set_tsc_deadline(chip.clock.tsc + 2000).has_value());
  REQUIRE(chip.set_tsc_deadline(0).has_value());
  chip.pass(1ms);
  CHECK_FALSE(chip.lapic.expire_timer(chip.clock));
  (void)chip.write(Reg::kInitialCount, 1000);
  CHECK(chip.read(Reg::kInitialCount) == 0);
  CHECK(chip.current() == 0);
}

TEST_CASE("TSC-deadline: the host deadline is aimed again when the TSC lags behind the host's clock") {
  TimerChip chip(kTscDeadline | kVector);
  REQUIRE(chip.set_tsc_deadline(chip.clock.tsc + 2'000'000).has_value());
  chip.clock.now += 1ms;
  chip.clock.tsc += 1'999'000;
  CHECK_FALSE(chip.lapic.expire_timer(chip.clock));
  CHECK(chip.lapic.timer_deadline() == chip.clock.now + 500ns);
  chip.pass(500ns);
  CHECK(chip.lapic.expire_timer(chip.clock));
}

TEST_CASE("TSC-deadline: a deadline beyond the end of host time does not wrap") {
  TimerChip chip(kTscDeadline | kVector);
  REQUIRE(chip.set_tsc_deadline(~std::uint64_t{0}).has_value());
  CHECK(*chip.lapic.timer_deadline() > chip.clock.now + 1h);
}

TEST_CASE("IA32_TSC_DEADLINE reads 0 and ignores writes in the counting modes") {
  for (std::uint32_t mode : {0u, kPeriodic}) {
    TimerChip chip(mode | kVector);
    REQUIRE(chip.set_tsc_deadline(1).has_value());
    CHECK(chip.tsc_deadline() == 0);
    CHECK_FALSE(chip.fired());
  }
}

TEST_CASE("changing to or from TSC-deadline mode disarms") {
  TimerChip chip(kPeriodic | kVector);
  (void)chip.write(Reg::kInitialCount, 1000);
  (void)chip.write(Reg::kLvtTimer, kTscDeadline | kVector);
  CHECK_FALSE(chip.lapic.timer_deadline().has_value());
  CHECK(chip.read(Reg::kInitialCount) == 0);
  REQUIRE(chip.set_tsc_deadline(chip.clock.tsc + 2000).has_value());
  (void)chip.write(Reg::kLvtTimer, kVector);
  CHECK(chip.tsc_deadline() == 0);
  chip.pass(1ms);
  CHECK_FALSE(chip.lapic.expire_timer(chip.clock));
}

TEST_CASE("the reserved mode never fires") {
  TimerChip chip(3u << 17 | kVector);
  (void)chip.write(Reg::kInitialCount, 1000);
  REQUIRE(chip.set_tsc_deadline(1).has_value());
  CHECK_FALSE(chip.lapic.timer_deadline().has_value());
  chip.pass(1ms);
  CHECK_FALSE(chip.lapic.expire_timer(chip.clock));
}

TEST_CASE("tiny periods ask for the host's attention no more often than the configured interval") {
  TimerChip chip(kPeriodic | kVector, LapicConfig{.min_timer_interval = 100us});
  const auto start = chip.clock.now;
  (void)chip.write(Reg::kInitialCount, 7);
  chip.pass(7ns);
  CHECK(chip.lapic.expire_timer(chip.clock));
  CHECK(chip.fired());
  CHECK(chip.lapic.timer_deadline() == start + 100'007ns);
  chip.pass(50us);
  CHECK_FALSE(chip.lapic.expire_timer(chip.clock));
  chip.pass(50us);
  CHECK(chip.lapic.expire_timer(chip.clock));
  CHECK(chip.current() == 7 - (100'007 % 7));
}

TEST_CASE("software-disabling silences the timer; enabling alone does not unmask it") {
  TimerChip chip(kPeriodic | kVector);
  (void)chip.write(Reg::kInitialCount, 1000);
  CHECK(chip.write(Reg::kSvr, 0xff) == Effect{TimerChanged{}});
  CHECK_FALSE(chip.lapic.timer_deadline().has_value());
  CHECK(chip.write(Reg::kSvr, 0x1ff) == Effect{AcceptanceChanged{}});
  CHECK_FALSE(chip.lapic.timer_deadline().has_value());
  (void)chip.write(Reg::kLvtTimer, kPeriodic | kVector);
  CHECK(chip.lapic.timer_deadline().has_value());
}

TEST_CASE("the timer's registers work through x2APIC MSRs") {
  TimerChip chip(kPeriodic | kVector);
  chip.to_x2apic();
  CHECK(chip.wrmsr(Reg::kInitialCount, 1000) == Effect{TimerChanged{}});
  chip.pass(250ns);
  CHECK(chip.rdmsr(Reg::kCurrentCount) == 750);
  CHECK(chip.rdmsr(Reg::kInitialCount) == 1000);
  chip.pass(750ns);
  CHECK(chip.lapic.expire_timer(chip.clock));
}

}  // namespace
}  // namespace apic_test
