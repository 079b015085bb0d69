// The TSC deadline when the guest writes its counter (SDM, TSC-Deadline Mode: the timer fires once the
// counter has reached the deadline, however it got there).
#include "rig.h"

namespace apic_test {
namespace {

constexpr std::uint32_t kTscDeadlineTimer = 2u << 17 | 0x40;

void arm(Chip& chip, std::uint64_t ticks_ahead) {
  (void)chip.write(Reg::kLvtTimer, kTscDeadlineTimer);
  REQUIRE(chip.lapic.write_msr(kMsrTscDeadline, chip.clock.tsc + ticks_ahead, chip.clock).has_value());
}

TEST_CASE("a TSC moved forward brings its deadline nearer") {
  auto chip = Chip::enabled();
  arm(chip, 20'000'000);  // 10 ms
  chip.clock.tsc += 15'000'000;
  chip.lapic.tsc_changed(chip.clock);
  CHECK(chip.lapic.timer_deadline() == chip.clock.now + 2'500us);
  chip.pass(2'500us);
  CHECK(chip.lapic.expire_timer(chip.clock));
  CHECK(chip.lapic.pending() == Vector(0x40));
}

TEST_CASE("a TSC moved beyond the deadline fires at once") {
  auto chip = Chip::enabled();
  arm(chip, 20'000'000);
  chip.clock.tsc += 20'000'000;
  chip.lapic.tsc_changed(chip.clock);
  CHECK(chip.lapic.pending() == Vector(0x40));
  CHECK_FALSE(chip.lapic.timer_deadline().has_value());
  CHECK(chip.lapic.read_msr(kMsrTscDeadline, chip.clock) == 0);
}

TEST_CASE("a TSC moved back puts its deadline off") {
  auto chip = Chip::enabled();
  arm(chip, 20'000'000);
  chip.clock.tsc -= 2'000'000;
  chip.lapic.tsc_changed(chip.clock);
  CHECK(chip.lapic.timer_deadline() == chip.clock.now + 11ms);
  chip.pass(10ms);
  CHECK_FALSE(chip.lapic.expire_timer(chip.clock));
  chip.pass(1ms);
  CHECK(chip.lapic.expire_timer(chip.clock));
}

TEST_CASE("a counting timer does not mind the TSC") {
  auto chip = Chip::enabled();
  (void)chip.write(Reg::kDcr, 0xb);
  (void)chip.write(Reg::kLvtTimer, 0x40);
  (void)chip.write(Reg::kInitialCount, 1000);
  const auto due = chip.lapic.timer_deadline();
  chip.clock.tsc = 5;
  chip.lapic.tsc_changed(chip.clock);
  CHECK(chip.lapic.timer_deadline() == due);
  CHECK_FALSE(chip.lapic.pending().has_value());
}

}  // namespace
}  // namespace apic_test
