// A serial port of the PC board: what is typed waits for the guest, and whoever types for room.
#include "vmm/platform/serial_line.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using vmm::SerialLine;

namespace {

constexpr uint8_t kData = 0, kInterruptEnable = 1, kFifoControl = 2, kLineStatus = 5;
constexpr uint8_t kReady = 1;
constexpr size_t kRoom = 64 * 1024;

struct Port {
  std::string sent;
  SerialLine line{[this](uint8_t byte) { sent += static_cast<char>(byte); }, {}};

  void type(const std::string& text) {
    line.receive({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }
  std::string read_all() {
    std::string text;
    while ((line.read(kLineStatus) & kReady) != 0) text += static_cast<char>(line.read(kData));
    return text;
  }
};

}  // namespace

TEST_CASE("a serial line sends at once, and keeps what is typed until the guest listens") {
  Port port;
  port.line.write(kData, 'a');
  CHECK(port.sent == "a");
  port.type("hello");
  port.line.write(kFifoControl, 7);  // a driver begins by clearing the FIFOs
  CHECK(!port.line.interrupt_line());
  port.line.write(kInterruptEnable, 1);
  CHECK(port.line.interrupt_line());
  CHECK(port.read_all() == "hello");
  CHECK(!port.line.interrupt_line());
}

TEST_CASE("more than the UART's sixteen bytes come one FIFO after the other") {
  Port port;
  port.line.write(kFifoControl, 1);
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>('a' + i % 26);
  port.type(text);
  (void)port.line.read(kLineStatus);  // now the guest listens
  CHECK(port.read_all() == text);
  CHECK(port.line.lost_typed() == 0);
}

TEST_CASE("who types waits for room, and is told when there is some again") {
  Port port;
  CHECK(port.line.room() == kRoom);
  port.type(std::string(kRoom, 'x'));
  CHECK(port.line.room() == 0);
  CHECK(!port.line.room_again());
  port.line.write(kInterruptEnable, 1);
  size_t taken = 0;
  while (!port.line.room_again()) {
    REQUIRE(port.line.read(kData) == 'x');
    ++taken;
  }
  CHECK(taken >= kRoom / 2 - 1);
  CHECK(taken <= kRoom / 2 + 16);
  CHECK(!port.line.room_again());
  CHECK(port.line.room() > 0);
}

TEST_CASE("nobody types without end for a guest that does not read") {
  Port port;
  for (int i = 0; i < 17; ++i) port.type(std::string(kRoom, 'x'));
  CHECK(port.line.lost_typed() == kRoom);
}
