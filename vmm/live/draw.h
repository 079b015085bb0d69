// A LiveFrame as the lines of a screen of some size. Pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/live/frame.h"

namespace vmm {

enum class LiveStyle : uint8_t { kPlain, kTitle, kHead, kStrong, kFaint, kRun, kSpin, kWait, kHalt };
inline constexpr size_t kLiveStyles = 9;

// UTF-8; every code point is one column wide.
struct LivePiece {
  std::string text;
  LiveStyle style = LiveStyle::kPlain;
  friend bool operator==(const LivePiece&, const LivePiece&) = default;
};
using LiveLine = std::vector<LivePiece>;

struct LiveSize {
  size_t rows = 0;
  size_t columns = 0;
  friend bool operator==(const LiveSize&, const LiveSize&) = default;
};
inline constexpr LiveSize kSmallestLive{12, 60};

// What bars are made of. Each has a look of its own, so that colours are not needed to tell them apart.
struct LiveGlyphs {
  std::string_view run;
  std::string_view spin;
  std::string_view wait;
  std::string_view halt;
  std::string_view dash;  // nothing to show
};
extern const LiveGlyphs kUtf8Glyphs;
extern const LiveGlyphs kAsciiGlyphs;

struct LiveScreen {
  std::vector<LiveLine> lines;  // at most as many as rows, each at most as wide as columns
  size_t scroll = 0;            // as asked for, or as far as there is something to see
};

// `scroll`: rows of vCPUs that are out of sight above. Smaller than kSmallestLive: says so.
[[nodiscard]] LiveScreen draw(const LiveFrame& frame, LiveSize size, size_t scroll, const LiveGlyphs& glyphs);

// The text of a line, for tests and captures.
[[nodiscard]] std::string text_of(const LiveLine& line);

}  // namespace vmm
