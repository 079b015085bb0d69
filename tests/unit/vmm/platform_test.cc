// Keyboard controller, tick queue, escape keys: the small parts of the PC board.
#include <doctest/doctest.h>

#include "vmm/cli/terminal.h"
#include "vmm/platform/keyboard.h"
#include "vmm/platform/tick_queue.h"

using vmm::KeyboardController;
using vmm::Nanos;
using vmm::TickQueue;

TEST_CASE("the keyboard controller passes its tests and resets the processor") {
  KeyboardController kbc;
  CHECK((kbc.read(0x64) & 0x03) == 0);  // nothing to read, ready to be written
  CHECK(!kbc.write(0x64, 0xaa));
  CHECK((kbc.read(0x64) & 0x01) == 1);
  CHECK(kbc.read(0x60) == 0x55);
  CHECK((kbc.read(0x64) & 0x01) == 0);
  CHECK(!kbc.write(0x64, 0x60));
  CHECK(!kbc.write(0x60, 0x47));
  CHECK(!kbc.write(0x64, 0x20));
  CHECK(kbc.read(0x60) == 0x47);
  CHECK(!kbc.write(0x64, 0xd1));
  CHECK(!kbc.write(0x60, 0xdf));  // A20
  CHECK(!kbc.write(0x64, 0xff));  // pulses nothing
  CHECK(kbc.write(0x64, 0xfe));
  CHECK(!kbc.write(0x64, 0xd1));
  CHECK(kbc.write(0x60, 0xde));
}

TEST_CASE("ticks wait for the one on its way") {
  TickQueue ticks;
  const Nanos now{1000};
  CHECK(!ticks.ready(now));
  ticks.add(3);
  REQUIRE(ticks.ready(now));
  ticks.sent(TickQueue::Path::kIoApic, apic::Vector{0x30}, now);
  CHECK(!ticks.ready(now));
  CHECK(!ticks.taken_by_pic());
  CHECK(!ticks.taken_by_eoi(apic::Vector{0x31}));
  CHECK(ticks.taken_by_eoi(apic::Vector{0x30}));
  CHECK(ticks.ready(now));
  ticks.sent(TickQueue::Path::kPic, {}, now);
  CHECK(ticks.taken_by_pic());
  ticks.sent(TickQueue::Path::kPic, {}, now);
  CHECK(ticks.taken_by_pic());
  CHECK(!ticks.ready(now));
}

TEST_CASE("where the end of an interrupt may never be told, ticks soon stop waiting for it") {
  TickQueue ticks;
  const apic::Vector vector{0x30};
  Nanos now{0};
  const auto tick = [&] {
    ticks.add(1);
    now += Nanos{1'000'000};
    if (!ticks.ready(now)) return false;
    ticks.sent(TickQueue::Path::kIoApicUnsure, vector, now);
    return true;
  };
  int sent = 0;
  for (int i = 0; i < 1000; ++i) sent += tick() ? 1 : 0;
  CHECK(sent > 970);
  // Once it has been told, it is waited for, also after the timer was programmed anew.
  CHECK(ticks.taken_by_eoi(vector));
  ticks.clear();
  CHECK(tick());
  for (int i = 0; i < 20; ++i) CHECK(!tick());
  CHECK(ticks.taken_by_eoi(vector));
  CHECK(tick());
}

TEST_CASE("ticks that nobody listens to are dropped, one that nobody takes is given up") {
  TickQueue ticks;
  ticks.add(5);
  ticks.sent(TickQueue::Path::kNone, {}, Nanos{0});
  CHECK(!ticks.ready(Nanos{0}));
  ticks.add(2);
  ticks.sent(TickQueue::Path::kPic, {}, Nanos{0});
  CHECK(!ticks.ready(Nanos{1'000'000}));
  CHECK(ticks.ready(Nanos{100'000'000}));
  ticks.clear();
  CHECK(!ticks.ready(Nanos{100'000'000}));
}

TEST_CASE("Ctrl-A X leaves, Ctrl-A twice sends one") {
  const auto filter = [](std::vector<uint8_t> typed, std::vector<uint8_t>& out) {
    vmm::EscapeKeys keys;
    return keys.filter(typed, out);
  };
  std::vector<uint8_t> out;
  CHECK(filter({'a', 3, 'b'}, out));
  CHECK(out == std::vector<uint8_t>{'a', 3, 'b'});
  out.clear();
  CHECK(filter({1, 1, 'x'}, out));
  CHECK(out == std::vector<uint8_t>{1, 'x'});
  out.clear();
  CHECK(filter({1, 'q', 'z'}, out));
  CHECK(out == std::vector<uint8_t>{'z'});
  out.clear();
  CHECK(!filter({'a', 1, 'x'}, out));
  CHECK(!filter({1, 'X'}, out));
  vmm::EscapeKeys split;
  out.clear();
  CHECK(split.filter(std::vector<uint8_t>{1}, out));
  CHECK(!split.filter(std::vector<uint8_t>{'x'}, out));
}
