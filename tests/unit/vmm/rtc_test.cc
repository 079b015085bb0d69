#include "vmm/platform/rtc.h"

#include <doctest/doctest.h>

using vmm::Nanos;
using vmm::Rtc;

namespace {

constexpr Nanos kSecond{1'000'000'000};
constexpr int64_t kNewYearsEve = 1798761599;  // 2026-12-31 23:59:59 UTC, a Thursday

uint8_t get(Rtc& rtc, uint8_t index, Nanos now = {}) {
  rtc.write(0x70, index, now);
  return rtc.read(0x71, now);
}

void set(Rtc& rtc, uint8_t index, uint8_t value, Nanos now = {}) {
  rtc.write(0x70, index, now);
  rtc.write(0x71, value, now);
}

}  // namespace

TEST_CASE("the time of day in BCD, into the next year") {
  Rtc rtc(kNewYearsEve, {});
  CHECK(get(rtc, 0) == 0x59);
  CHECK(get(rtc, 2) == 0x59);
  CHECK(get(rtc, 4) == 0x23);
  CHECK(get(rtc, 6) == 5);
  CHECK(get(rtc, 7) == 0x31);
  CHECK(get(rtc, 8) == 0x12);
  CHECK(get(rtc, 9) == 0x26);
  CHECK(get(rtc, 0x32) == 0x20);
  CHECK(get(rtc, 0, kSecond) == 0);
  CHECK(get(rtc, 9, kSecond) == 0x27);
}

TEST_CASE("binary, and twelve hours") {
  Rtc rtc(kNewYearsEve, {});
  set(rtc, 11, 0x04);
  CHECK(get(rtc, 0) == 59);
  CHECK(get(rtc, 4) == (11 | 0x80));
}

TEST_CASE("it can be set while it stands still") {
  Rtc rtc(kNewYearsEve, {});
  set(rtc, 11, 0x82);
  set(rtc, 0, 0x30);
  set(rtc, 4, 0x07);
  set(rtc, 9, 0x30);
  CHECK(get(rtc, 0, 10 * kSecond) == 0x30);
  set(rtc, 11, 0x02, 10 * kSecond);
  CHECK(get(rtc, 0, 12 * kSecond) == 0x32);
  CHECK(get(rtc, 4, 12 * kSecond) == 0x07);
  CHECK(get(rtc, 9, 12 * kSecond) == 0x30);
}

TEST_CASE("update in progress shows just before the second changes") {
  Rtc rtc(kNewYearsEve, {});
  CHECK((get(rtc, 10, kSecond / 2) & 0x80) == 0);
  CHECK((get(rtc, 10, kSecond - Nanos(100'000)) & 0x80) != 0);
  CHECK((get(rtc, 10, kSecond + Nanos(1000)) & 0x80) == 0);
}

TEST_CASE("periodic interrupts until register C is read") {
  Rtc rtc(kNewYearsEve, {});
  CHECK(!rtc.next_event());
  set(rtc, 10, 0x26);  // 1024 Hz
  set(rtc, 11, 0x42);
  REQUIRE(rtc.next_event());
  const Nanos first = *rtc.next_event();
  CHECK(first <= Nanos(976'563));
  rtc.advance(first);
  CHECK(rtc.interrupt_line());
  CHECK(!rtc.next_event());
  CHECK(get(rtc, 12, first) == 0xc0);
  CHECK(!rtc.interrupt_line());
  CHECK(*rtc.next_event() - first == Nanos(976'562));
  CHECK(get(rtc, 12, first) == 0);
}

TEST_CASE("update-ended and alarm interrupts") {
  Rtc rtc(kNewYearsEve, {});
  set(rtc, 11, 0x12);
  CHECK(*rtc.next_event() == kSecond);
  rtc.advance(kSecond);
  CHECK(rtc.interrupt_line());
  CHECK((get(rtc, 12, kSecond) & 0x90) == 0x90);
  set(rtc, 11, 0x22, kSecond);
  set(rtc, 1, 0x03, kSecond);  // at second 3 of any minute
  set(rtc, 3, 0xc0, kSecond);
  set(rtc, 5, 0xff, kSecond);
  rtc.advance(3 * kSecond);
  CHECK(!rtc.interrupt_line());
  rtc.advance(4 * kSecond);
  CHECK(rtc.interrupt_line());
  CHECK((get(rtc, 12, 4 * kSecond) & 0x20) != 0);
}

TEST_CASE("CMOS memory keeps what firmware and guest store") {
  Rtc rtc(kNewYearsEve, {});
  rtc.set_cmos(0x17, 0xab);
  CHECK(get(rtc, 0x17) == 0xab);
  set(rtc, 0x0f, 0x0a);
  CHECK(get(rtc, 0x0f) == 0x0a);
  CHECK((get(rtc, 13) & 0x80) != 0);  // the battery is good
}

TEST_CASE("a divider in reset stops the clock; its first update comes 500 ms after the release") {
  for (const uint8_t reset : {uint8_t{0x66}, uint8_t{0x76}}) {
    Rtc rtc(kNewYearsEve, {});
    set(rtc, 11, 0x12);  // update-ended interrupts
    set(rtc, 10, reset, kSecond / 4);
    CHECK(!rtc.next_event());
    CHECK(get(rtc, 12, kSecond / 4) == 0x40);  // periodic ticks from before
    CHECK(get(rtc, 0, 10 * kSecond) == 0x59);
    CHECK(get(rtc, 10, 10 * kSecond - Nanos(1000)) == reset);  // no update in progress
    CHECK(get(rtc, 12, 10 * kSecond) == 0);
    set(rtc, 0, 0x10, 10 * kSecond);
    const Nanos release = 10 * kSecond + kSecond / 8;
    set(rtc, 10, 0x26, release);
    REQUIRE(rtc.next_event());
    CHECK(*rtc.next_event() == release + kSecond / 2);
    CHECK(get(rtc, 0, release + kSecond / 2 - Nanos(1)) == 0x10);
    CHECK((get(rtc, 10, release + kSecond / 2 - Nanos(1000)) & 0x80) != 0);
    CHECK(get(rtc, 0, release + kSecond / 2) == 0x11);
    CHECK(get(rtc, 0, release + kSecond * 3 / 2) == 0x12);
  }
}

TEST_CASE("setting the time as Linux does: SET, divider reset, fields, SET off, divider on") {
  Rtc rtc(kNewYearsEve, {});
  set(rtc, 11, 0x82, kSecond / 4);
  set(rtc, 10, 0x76, kSecond / 4);
  set(rtc, 0, 0x30, kSecond / 2);
  set(rtc, 11, 0x02, kSecond / 2);
  set(rtc, 10, 0x26, kSecond / 2);
  CHECK(get(rtc, 0, kSecond - Nanos(1)) == 0x30);
  CHECK(get(rtc, 0, kSecond) == 0x31);
}

TEST_CASE("SET alone does not move the divider: seconds go on beginning when they did") {
  Rtc rtc(kNewYearsEve, {});
  set(rtc, 11, 0x82, kSecond / 4);
  set(rtc, 0, 0x30, kSecond / 4);
  set(rtc, 11, 0x02, kSecond * 3 / 4);
  CHECK(get(rtc, 0, kSecond - Nanos(1)) == 0x30);
  CHECK(get(rtc, 0, kSecond) == 0x31);
}
