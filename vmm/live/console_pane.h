// The last lines of a guest's console, as text that moves no cursor: for a part of a screen. And the last of
// its bytes as they came, for the terminal when the screen is gone. Pure, one owner.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

namespace vmm {

class ConsolePane {
 public:
  static constexpr size_t kLines = 200;
  static constexpr size_t kBytes = size_t{64} << 10;

  void add(std::span<const uint8_t> bytes);
  // At most so many, the one that is being written last.
  [[nodiscard]] std::vector<std::string> last(size_t count) const;
  // As they came, from the beginning of a line; and how many came before them.
  [[nodiscard]] std::string tail() const;
  [[nodiscard]] uint64_t before_tail() const { return total_ - tail().size(); }

 private:
  void add_to_line(uint8_t byte);
  enum class State : uint8_t { kText, kEscape, kSequence, kString };

  std::deque<std::string> lines_{""};
  bool carriage_returned_ = false;  // the next character begins the line anew
  State state_ = State::kText;
  std::string bytes_;
  uint64_t total_ = 0;
};

}  // namespace vmm
