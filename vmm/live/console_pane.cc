#include "vmm/live/console_pane.h"

#include <algorithm>

namespace vmm {
namespace {

constexpr uint8_t kEscape = 0x1b;
constexpr uint8_t kBell = 0x07;
constexpr uint8_t kBackspace = 0x08;
constexpr size_t kLongestLine = 1000;

}  // namespace

void ConsolePane::add(std::span<const uint8_t> bytes) {
  total_ += bytes.size();
  for (const uint8_t byte : bytes) {
    bytes_ += static_cast<char>(byte);
    add_to_line(byte);
  }
  if (bytes_.size() > 2 * kBytes) bytes_.erase(0, bytes_.size() - kBytes);
}

// Escape sequences (ECMA-48) are taken out: CSI … letter, OSC and other strings up to BEL or ST, and two
// bytes.
void ConsolePane::add_to_line(uint8_t byte) {
  switch (state_) {
    case State::kEscape:
      state_ = byte == '['                                                ? State::kSequence
               : byte == ']' || byte == 'P' || byte == '^' || byte == '_' ? State::kString
                                                                          : State::kText;
      return;
    case State::kSequence:
      if (byte >= 0x40 && byte <= 0x7e) state_ = State::kText;
      return;
    case State::kString:
      if (byte == kBell) state_ = State::kText;
      if (byte == kEscape) state_ = State::kEscape;
      return;
    case State::kText:
      break;
  }
  std::string& line = lines_.back();
  if (byte == kEscape) {
    state_ = State::kEscape;
  } else if (byte == '\n') {
    lines_.emplace_back();
    carriage_returned_ = false;
    if (lines_.size() > kLines) lines_.pop_front();
  } else if (byte == '\r') {
    carriage_returned_ = true;
  } else if (byte == kBackspace) {
    if (!line.empty()) line.pop_back();
  } else if (byte == '\t') {
    line.append(8 - line.size() % 8, ' ');
  } else if (byte >= 0x20 && byte < 0x7f) {
    if (carriage_returned_) line.clear();
    carriage_returned_ = false;
    if (line.size() < kLongestLine) line += static_cast<char>(byte);
  } else if (byte >= 0x80) {
    if (line.size() < kLongestLine) line += '?';
  }
}

std::vector<std::string> ConsolePane::last(size_t count) const {
  // An empty line that nothing has been written to yet is none.
  const size_t all = lines_.back().empty() ? lines_.size() - 1 : lines_.size();
  const size_t shown = std::min(count, all);
  return {lines_.begin() + static_cast<std::ptrdiff_t>(all - shown),
          lines_.begin() + static_cast<std::ptrdiff_t>(all)};
}

std::string ConsolePane::tail() const {
  if (bytes_.size() <= kBytes && bytes_.size() == total_) return bytes_;
  const size_t from = bytes_.size() > kBytes ? bytes_.size() - kBytes : 0;
  const size_t line = bytes_.find('\n', from);
  return bytes_.substr(line == std::string::npos ? from : line + 1);
}

}  // namespace vmm
