// What is typed, as what the live view is asked for. Pure, one owner.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace vmm {

struct LiveAction {
  enum class Kind : uint8_t {
    kQuit,
    kUp,  // a row of vCPUs
    kDown,
    kPageUp,
    kPageDown,
    kFirst,
    kLast,
    kPrevious,  // cell of a comparison
    kNext,
    kRedraw,
    kLetter,  // of a feature, perhaps
  };
  Kind kind = Kind::kLetter;
  char letter = 0;
  friend bool operator==(const LiveAction&, const LiveAction&) = default;
};

// Keys come as bytes; those with an arrow on them as several, which may come apart.
class LiveKeys {
 public:
  [[nodiscard]] std::vector<LiveAction> read(std::span<const uint8_t> typed);
  // In the middle of a key: what comes next belongs to it. An escape that nothing follows is one, too.
  [[nodiscard]] bool is_inside() const { return !sequence_.empty(); }
  // Nothing has followed for a while.
  void forget() { sequence_.clear(); }

 private:
  std::string sequence_;  // begun with an escape, not complete
};

}  // namespace vmm
