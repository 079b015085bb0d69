#include "vmm/live/keys.h"

#include <array>
#include <optional>
#include <string_view>

namespace vmm {
namespace {

using Kind = LiveAction::Kind;

struct Sequence {
  std::string_view bytes;
  Kind kind;
};

// As terminals send them in their normal and in their application mode.
constexpr std::array kSequences{
    Sequence{"\x1b[A", Kind::kUp},       Sequence{"\x1bOA", Kind::kUp},
    Sequence{"\x1b[B", Kind::kDown},     Sequence{"\x1bOB", Kind::kDown},
    Sequence{"\x1b[C", Kind::kNext},     Sequence{"\x1bOC", Kind::kNext},
    Sequence{"\x1b[D", Kind::kPrevious}, Sequence{"\x1bOD", Kind::kPrevious},
    Sequence{"\x1b[5~", Kind::kPageUp},  Sequence{"\x1b[6~", Kind::kPageDown},
    Sequence{"\x1b[H", Kind::kFirst},    Sequence{"\x1bOH", Kind::kFirst},
    Sequence{"\x1b[1~", Kind::kFirst},   Sequence{"\x1b[F", Kind::kLast},
    Sequence{"\x1bOF", Kind::kLast},     Sequence{"\x1b[4~", Kind::kLast},
};

constexpr uint8_t kCtrlC = 0x03;
constexpr uint8_t kCtrlL = 0x0c;
constexpr char kEscape = 0x1b;

std::optional<LiveAction> action_of(uint8_t key) {
  switch (key) {
    case 'q':
    case 'Q':
    case kCtrlC:  // where it is no signal
      return LiveAction{Kind::kQuit};
    case kCtrlL:
      return LiveAction{Kind::kRedraw};
    case '<':
      return LiveAction{Kind::kPageUp};
    case '>':
    case ' ':
      return LiveAction{Kind::kPageDown};
    default:
      break;
  }
  if (key >= 'a' && key <= 'z') return LiveAction{Kind::kLetter, static_cast<char>(key)};
  return std::nullopt;
}

// "\x1b[" and parameters end with a letter or a tilde, "\x1bO" with the next byte.
bool is_complete(std::string_view sequence) {
  if (sequence.size() < 2) return false;
  if (sequence[1] != '[' && sequence[1] != 'O') return true;
  if (sequence.size() < 3) return false;
  constexpr size_t kLongest = 16;
  return sequence[1] == 'O' || (sequence.back() >= 0x40 && sequence.back() <= 0x7e) ||
         sequence.size() >= kLongest;
}

}  // namespace

std::vector<LiveAction> LiveKeys::read(std::span<const uint8_t> typed) {
  std::vector<LiveAction> actions;
  for (const uint8_t key : typed) {
    if (sequence_.empty() && key != kEscape) {
      if (const auto action = action_of(key)) actions.push_back(*action);
      continue;
    }
    sequence_ += static_cast<char>(key);
    if (!is_complete(sequence_)) continue;
    for (const Sequence& known : kSequences) {
      if (known.bytes == sequence_) actions.push_back({known.kind});
    }
    sequence_.clear();
  }
  return actions;
}

}  // namespace vmm
