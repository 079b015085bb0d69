#include "vmm/platform/pit.h"

#include <doctest/doctest.h>

using vmm::Nanos;
using vmm::Pit;

namespace {

// Host time after so many of the chip's clocks.
Nanos at(uint64_t clocks) {
  return Nanos(static_cast<int64_t>((clocks * 1'000'000'000 + Pit::kHz - 1) / Pit::kHz));
}

void program(Pit& pit, unsigned channel, unsigned mode, uint16_t count, Nanos now = {}) {
  pit.write(0x43, static_cast<uint8_t>(channel << 6 | 0x30 | mode << 1), now);
  pit.write(static_cast<uint16_t>(0x40 + channel), static_cast<uint8_t>(count), now);
  pit.write(static_cast<uint16_t>(0x40 + channel), static_cast<uint8_t>(count >> 8), now);
}

unsigned read_count(Pit& pit, unsigned channel, Nanos now) {
  pit.write(0x43, static_cast<uint8_t>(channel << 6), now);
  const auto port = static_cast<uint16_t>(0x40 + channel);
  const unsigned low = pit.read(port, now);
  return low | static_cast<unsigned>(pit.read(port, now)) << 8;
}

bool speaker_output(Pit& pit, Nanos now) { return (pit.read(0x61, now) & 0x20) != 0; }

}  // namespace

TEST_CASE("nobody programmed it: no tick, ever") {
  Pit pit;
  CHECK(!pit.next_tick());
  CHECK(pit.take_ticks(Nanos(1'000'000'000'000)) == 0);
}

TEST_CASE("rate generator: a tick each period, none lost however late one looks") {
  Pit pit;
  program(pit, 0, 2, 1000);
  CHECK(pit.next_tick() == at(1000));
  CHECK(pit.take_ticks(at(999)) == 0);
  CHECK(pit.take_ticks(at(1000)) == 1);
  CHECK(pit.next_tick() == at(2000));
  CHECK(pit.take_ticks(at(10500)) == 9);
  CHECK(read_count(pit, 0, at(10500)) == 500);
}

TEST_CASE("square wave: ticks at its period, counts down by two") {
  Pit pit;
  program(pit, 0, 3, 1000);
  CHECK(pit.take_ticks(at(3000)) == 3);
  CHECK(read_count(pit, 0, at(3100)) == 800);
  CHECK(read_count(pit, 0, at(3600)) == 800);
}

TEST_CASE("count 0 is 65536") {
  Pit pit;
  program(pit, 0, 2, 0);
  CHECK(pit.next_tick() == at(65536));
}

TEST_CASE("terminal count: one tick, then it counts on") {
  Pit pit;
  program(pit, 0, 0, 100);
  CHECK(pit.next_tick() == at(100));
  CHECK(pit.take_ticks(at(5000)) == 1);
  CHECK(!pit.next_tick());
  CHECK(read_count(pit, 0, at(200)) == 65536 - 100);
}

TEST_CASE("programming anew forgets ticks, and tells so") {
  Pit pit;
  program(pit, 0, 2, 100);
  const uint32_t before = pit.programmed();
  program(pit, 0, 2, 200, at(1000));
  CHECK(pit.programmed() != before);
  CHECK(pit.take_ticks(at(1199)) == 0);
  CHECK(pit.take_ticks(at(1200)) == 1);
}

TEST_CASE("channel 2 counts while its gate is open; port 61H shows its output") {
  Pit pit;
  program(pit, 2, 0, 1000);
  CHECK(!speaker_output(pit, at(5000)));  // the gate is closed
  pit.write(0x61, 1, at(5000));
  CHECK(!speaker_output(pit, at(5999)));
  CHECK(speaker_output(pit, at(6001)));
  CHECK((pit.read(0x61, at(6001)) & 0x0f) == 1);
}

TEST_CASE("closing the gate stops mode 0, opening it goes on") {
  Pit pit;
  pit.write(0x61, 1, {});
  program(pit, 2, 0, 1000);
  pit.write(0x61, 0, at(400));
  CHECK(read_count(pit, 2, at(9000)) == 600);
  pit.write(0x61, 1, at(9000));
  CHECK(!speaker_output(pit, at(9590)));
  CHECK(speaker_output(pit, at(9601)));
}

TEST_CASE("one-shot: starts at the gate's rising edge") {
  Pit pit;
  program(pit, 2, 1, 500);
  CHECK(speaker_output(pit, at(10)));
  pit.write(0x61, 1, at(100));
  CHECK(!speaker_output(pit, at(400)));
  CHECK(speaker_output(pit, at(601)));
}

TEST_CASE("the refresh bit of port 61H moves") {
  Pit pit;
  CHECK((pit.read(0x61, {}) & 0x10) != (pit.read(0x61, {}) & 0x10));
}

TEST_CASE("read-back latches status and count") {
  Pit pit;
  program(pit, 0, 2, 1000);
  pit.write(0x43, 0xc2, at(10));  // count and status of channel 0
  const uint8_t status = pit.read(0x40, at(500));
  CHECK((status & 0x3f) == 0x34);
  CHECK((status & 0x40) == 0);  // a count was loaded
  const unsigned low = pit.read(0x40, at(500));
  CHECK((low | unsigned{pit.read(0x40, at(500))} << 8) == 990);
}

TEST_CASE("single-byte access and BCD") {
  Pit pit;
  pit.write(0x43, 0x14, {});  // low byte only, mode 2
  pit.write(0x40, 50, {});
  CHECK(pit.next_tick() == at(50));
  CHECK(pit.read(0x40, at(10)) == 40);
  pit.write(0x43, 0x35, {});  // both bytes, mode 2, BCD
  pit.write(0x40, 0x00, {});
  pit.write(0x40, 0x10, {});
  CHECK(pit.next_tick() == at(1000));
  CHECK(read_count(pit, 0, at(1)) == 0x0999);
}

TEST_CASE("the first byte of a new count leaves a periodic channel and its ticks alone") {
  Pit pit;
  program(pit, 0, 2, 1000);
  CHECK(pit.take_ticks(at(10'500)) == 10);
  pit.write(0x40, 0xd0, at(10'500));
  CHECK(pit.take_ticks(at(10'600)) == 0);
  CHECK(pit.next_tick() == at(11'000));
  pit.write(0x40, 0x07, at(10'700));
  CHECK(pit.take_ticks(at(12'600)) == 0);
  CHECK(pit.take_ticks(at(12'700)) == 1);
}

TEST_CASE("mode 0: the first byte of a new count stops the counting where it is, and the output falls") {
  Pit pit;
  pit.write(0x61, 1, {});
  program(pit, 2, 0, 1000);
  CHECK(speaker_output(pit, at(1000)));
  pit.write(0x42, 0xe8, at(1200));
  CHECK(!speaker_output(pit, at(1300)));
  const unsigned stopped = read_count(pit, 2, at(1300));
  CHECK(stopped == read_count(pit, 2, at(1900)));
  CHECK(stopped == 65536 - 200);
  pit.write(0x42, 0x03, at(2000));
  CHECK(!speaker_output(pit, at(2999)));
  CHECK(speaker_output(pit, at(3000)));
}
