// The live view's screen as text: every size, nothing wider or longer than it, nothing left out without a
// word.
#include <doctest/doctest.h>

#include <algorithm>

#include "vmm/cli/table.h"
#include "vmm/live/draw.h"

using namespace vmm;

namespace {

LiveFrame some_frame(size_t workers, size_t vcpus) {
  LiveFrame frame{.title = "kvmux run  lock, 2 × 4, kvmux", .clock = "1.2 of 2.1 s"};
  for (size_t i = 0; i < workers; ++i) {
    frame.workers.push_back(
        {.load = 0.5, .runs = i == 0 ? "1.3" : "", .doing = "sleeps", .waiting = i == 0 ? 3 : 0});
  }
  for (size_t i = 0; i < vcpus; ++i) {
    frame.vcpus.push_back({.name = "0." + std::to_string(i),
                           .state = "on w1",
                           .shares = {.run = 0.25, .spin = 0.25, .wait = 0.25, .halt = 0.25},
                           .ipi_p99 = std::nullopt,
                           .switches = 1234});
  }
  frame.rates =
      LiveRates{.yields = 1000, .hits = 80, .misses = 15, .harmful = 5, .steals = 7, .operations = 7544};
  frame.features = {{'p', "pull", "on", true}, {'d', "deboost", "off", false}};
  frame.message = "pull=on since 1.2 s";
  frame.help = "q quits";
  return frame;
}

std::string text_of(const LiveScreen& screen) {
  std::string text;
  for (const LiveLine& line : screen.lines) text += text_of(line) + "\n";
  return text;
}

bool has(const LiveScreen& screen, const std::string& what) {
  return text_of(screen).find(what) != std::string::npos;
}

void check_fits(const LiveScreen& screen, LiveSize size) {
  CHECK(screen.lines.size() <= size.rows);
  for (const LiveLine& line : screen.lines) CHECK(display_width(text_of(line)) <= size.columns);
}

}  // namespace

TEST_CASE("live: 80 × 24 holds two workers, eight vCPUs, rates, features and help") {
  const LiveScreen screen = draw(some_frame(2, 8), {24, 80}, 0, kUtf8Glyphs);
  check_fits(screen, {24, 80});
  REQUIRE(screen.lines.size() == 24);
  CHECK(text_of(screen.lines[0]).starts_with(" kvmux run  lock, 2 × 4, kvmux"));
  CHECK(text_of(screen.lines[0]).ends_with(" 1.2 of 2.1 s "));
  CHECK(screen.lines[0].front().style == LiveStyle::kTitle);
  CHECK(text_of(screen.lines[1]).starts_with("w0 "));
  CHECK(text_of(screen.lines[1]).find(" 50% 1.3       +3 wait") != std::string::npos);
  CHECK(text_of(screen.lines[2]).find("sleeps") != std::string::npos);
  CHECK(text_of(screen.lines[3]).starts_with("vCPU   state    █run ▓spin ░wait ·halt "));
  CHECK(text_of(screen.lines[4]).starts_with("0.0    on w1 "));
  CHECK(text_of(screen.lines[11]).starts_with("0.7 "));
  CHECK(has(screen, "yields 1,000: 80% hit, 15% miss, 5% harmful"));
  CHECK(has(screen, "steals 7"));
  CHECK(has(screen, "operations 7,544"));
  CHECK(has(screen, "p pull=on"));
  CHECK(has(screen, "d deboost=off"));
  CHECK(text_of(screen.lines[22]) == "pull=on since 1.2 s");
  CHECK(text_of(screen.lines[23]) == "q quits");
}

TEST_CASE("live: a bar shows its shares as cells, each with a mark and a style of its own") {
  LiveFrame frame = some_frame(1, 1);
  const auto bar = [&frame](LiveShares shares, const LiveGlyphs& glyphs) {
    frame.vcpus.front().shares = shares;
    const LiveLine line = draw(frame, {24, 95}, 0, glyphs).lines[3];
    std::string text;
    for (const LivePiece& piece : line) {
      const bool is_figure = piece.text.find_first_of("0123456789") != std::string::npos;
      if (piece.style >= LiveStyle::kRun && !is_figure) text += piece.text;
    }
    return text;
  };
  // 40 cells.
  CHECK(bar({.run = 0.5, .spin = 0.25, .wait = 0.1, .halt = 0.15}, kAsciiGlyphs).substr(0, 40) ==
        std::string(20, '#') + std::string(10, '%') + "----" + "......");
  frame.vcpus.front().shares = {.run = 1};
  CHECK(text_of(draw(frame, {24, 95}, 0, kUtf8Glyphs).lines[3])
            .find("████████████████████████████████████████ ") != std::string::npos);
  CHECK(has(draw(frame, {24, 95}, 0, kAsciiGlyphs), std::string(40, '#') + " "));
}

TEST_CASE("live: bars of any shares are as wide as they should be") {
  LiveFrame frame = some_frame(1, 1);
  for (const LiveShares& shares : {LiveShares{}, LiveShares{.run = 1.0 / 3, .spin = 1.0 / 3, .wait = 1.0 / 3},
                                   LiveShares{.run = 2, .halt = 3}, LiveShares{.run = -1, .wait = 0.999},
                                   LiveShares{.run = 0.001, .spin = 0.001, .wait = 0.001, .halt = 0.997}}) {
    frame.vcpus.front().shares = shares;
    const std::string line = text_of(draw(frame, {24, 95}, 0, kAsciiGlyphs).lines[3]);
    CHECK(display_width(line) == 95);
    CHECK(line.ends_with("   1,234 "));
  }
}

TEST_CASE("live: what does not fit is scrolled, and the screen says so") {
  const LiveFrame frame = some_frame(2, 64);
  const LiveScreen top = draw(frame, {24, 80}, 0, kUtf8Glyphs);
  CHECK(has(top, "0.0 "));
  CHECK_FALSE(has(top, "0.63"));
  CHECK(has(top, "of 64"));
  const LiveScreen bottom = draw(frame, {24, 80}, 1000, kUtf8Glyphs);
  CHECK(bottom.scroll < 64);
  CHECK(bottom.scroll > 40);
  CHECK_FALSE(has(bottom, "0.0 "));
  check_fits(bottom, {24, 80});
  const LiveScreen next = draw(frame, {24, 80}, 1, kUtf8Glyphs);
  CHECK(has(next, "0.1 "));
  CHECK_FALSE(has(next, "0.0 "));
  CHECK(next.scroll == 1);
}

TEST_CASE("live: a wide screen has vCPUs abreast where one column does not hold them") {
  const LiveScreen wide = draw(some_frame(2, 64), {50, 160}, 0, kUtf8Glyphs);
  check_fits(wide, {50, 160});
  CHECK(has(wide, "0.0 "));
  CHECK(has(wide, "0.63"));
  CHECK_FALSE(has(wide, "of 64"));
  // Few of them have all of the width.
  const LiveScreen few = draw(some_frame(2, 8), {50, 160}, 0, kUtf8Glyphs);
  CHECK(text_of(few.lines[4]).find("0.1") == std::string::npos);
}

TEST_CASE("live: any frame fits any size") {
  LiveFrame frame = some_frame(40, 100);
  frame.comparison = LiveComparison{.title = "lock ticket, think 50us", .cell = 1, .cells = 4, .rows = {}};
  for (int i = 0; i < 12; ++i) {
    frame.comparison->rows.push_back({"v2,deboost=off,ipi-window=10ms,quantum-multiplier=12", 9, "28,516/s",
                                      "3.870", "3.708 … 4.115", "better"});
  }
  frame.has_console = true;
  frame.console = std::vector<std::string>(
      300, "a line of the guest that is longer than any screen is wide " + std::string(300, 'x'));
  for (size_t rows = 0; rows <= 60; ++rows) {
    for (const size_t columns : {0, 1, 20, 59, 60, 61, 79, 80, 81, 120, 158, 160, 240, 400}) {
      const LiveSize size{rows, columns};
      check_fits(draw(frame, size, rows, kUtf8Glyphs), size);
      check_fits(draw(some_frame(0, 0), size, 0, kAsciiGlyphs), size);
    }
  }
  CHECK(has(draw(frame, {11, 80}, 0, kUtf8Glyphs), "80 × 11 is too small: 60 × 12"));
}

TEST_CASE("live: a comparison shows the ratio and interval of each policy so far") {
  LiveFrame frame = some_frame(2, 4);
  frame.features.clear();
  frame.comparison = LiveComparison{.title = "lock ticket, 2 × 4",
                                    .cell = 0,
                                    .cells = 3,
                                    .rows = {{"yield", 5, "7,544/s", "", "", "baseline"},
                                             {"kvmux", 5, "28,516/s", "3.870", "3.708 … 4.115", "better"}}};
  const LiveScreen screen = draw(frame, {24, 80}, 0, kUtf8Glyphs);
  CHECK(has(screen, "cell 1 of 3  lock ticket, 2 × 4"));
  CHECK(has(screen, "policy runs   throughput   ratio   95 % interval verdict"));
  CHECK(has(screen, "kvmux     5     28,516/s   3.870   3.708 … 4.115 better"));
}

TEST_CASE("live: a guest's console has the lower part, its last line last") {
  LiveFrame frame = some_frame(2, 2);
  frame.has_console = true;
  for (int i = 0; i < 100; ++i) frame.console.push_back("line " + std::to_string(i));
  const LiveScreen screen = draw(frame, {24, 80}, 0, kUtf8Glyphs);
  CHECK(text_of(screen.lines[21]) == "line 99");
  CHECK(text_of(screen.lines[20]) == "line 98");
  CHECK(has(screen, "console"));
  CHECK(has(screen, "0.1 "));
  CHECK_FALSE(has(screen, "line 50"));
}
