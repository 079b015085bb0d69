// A serial port of the PC board and what is typed at it: the UART holds sixteen bytes, the rest waits here,
// since nobody at a terminal minds flow control.
//
// Pure; one caller at a time, the board's lock held.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <utility>

#include "vmm/device/serial.h"

namespace vmm {

class SerialLine {
 public:
  // As Uart16550.
  SerialLine(Uart16550::Output output, Uart16550::Clear clear) : uart_(std::move(output), std::move(clear)) {}

  // The guest's accesses. True of room_again() afterwards: whoever found no room is to look again.
  [[nodiscard]] uint8_t read(uint8_t offset);
  void write(uint8_t offset, uint8_t value);

  // So much of what is typed has room; with none, room_again() tells when that has changed well enough.
  [[nodiscard]] size_t room();
  [[nodiscard]] bool room_again() { return std::exchange(room_again_, false); }
  // What is typed by one who goes on far beyond that is lost and counted.
  void receive(std::span<const uint8_t> typed);

  // As Uart16550.
  void line_clear() { uart_.line_clear(); }
  void drain() { uart_.drain(); }
  [[nodiscard]] bool interrupt_line() const { return uart_.interrupt_line(); }

  [[nodiscard]] uint64_t lost_written() const { return uart_.lost(); }
  [[nodiscard]] uint64_t lost_typed() const { return lost_typed_; }

 private:
  void feed();

  Uart16550 uart_;
  std::deque<uint8_t> typed_;
  uint64_t lost_typed_ = 0;
  bool full_ = false;  // somebody waits for room
  bool room_again_ = false;
};

}  // namespace vmm
