#include "vmm/platform/serial_line.h"

#include <algorithm>

namespace vmm {
namespace {

constexpr size_t kMostTyped = 64 * 1024;       // is asked for …
constexpr size_t kMostKept = 16 * kMostTyped;  // … and kept, of one who types on unasked

}  // namespace

uint8_t SerialLine::read(uint8_t offset) {
  uart_.line_clear();  // a guest that polls sees room as soon as it is there
  const uint8_t value = uart_.read(offset);
  feed();
  return value;
}

void SerialLine::write(uint8_t offset, uint8_t value) {
  uart_.write(offset, value);
  feed();
}

size_t SerialLine::room() {
  full_ = typed_.size() >= kMostTyped;
  return full_ ? 0 : kMostTyped - typed_.size();
}

void SerialLine::receive(std::span<const uint8_t> typed) {
  const auto taken = typed.first(std::min(kMostKept - typed_.size(), typed.size()));
  lost_typed_ += typed.size() - taken.size();
  typed_.insert(typed_.end(), taken.begin(), taken.end());
  feed();
}

void SerialLine::feed() {
  while (uart_.listened_to() && !typed_.empty() && uart_.receive_room() > 0) {
    const uint8_t byte = typed_.front();
    typed_.pop_front();
    uart_.receive({&byte, 1});
  }
  if (!full_ || typed_.size() > kMostTyped / 2) return;
  full_ = false;
  room_again_ = true;
}

}  // namespace vmm
