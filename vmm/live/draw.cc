#include "vmm/live/draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "vmm/cli/table.h"
#include "vmm/live/layout.h"

namespace vmm {

const LiveGlyphs kUtf8Glyphs{.run = "█", .spin = "▓", .wait = "░", .halt = "·", .dash = "–"};
const LiveGlyphs kAsciiGlyphs{.run = "#", .spin = "%", .wait = "-", .halt = ".", .dash = "-"};

namespace {

using enum LiveStyle;
using layout::cut;
using layout::Grid;
using layout::Writer;

std::string repeated(std::string_view glyph, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += glyph;
  return text;
}

std::string whole_percent(double share) { return fmt::format("{:.0f}%", 100 * share); }
std::string rate(double value) { return grouped(static_cast<uint64_t>(std::llround(std::max(0.0, value)))); }

// Each share as whole cells of a bar; those that lose most by rounding down get what is left.
std::array<size_t, 4> cells_of(const LiveShares& shares, size_t width) {
  const std::array parts{shares.run, shares.spin, shares.wait, shares.halt};
  std::array<size_t, 4> cells{};
  std::array<double, 4> missing{};
  double sum = 0;
  size_t used = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const double exact = std::clamp(parts[i], 0.0, 1.0) * static_cast<double>(width);
    cells[i] = static_cast<size_t>(exact);
    missing[i] = exact - std::floor(exact);
    sum += exact;
    used += cells[i];
  }
  const size_t filled = std::min(width, static_cast<size_t>(std::llround(sum)));
  for (; used < filled; ++used) {
    const auto most = std::max_element(missing.begin(), missing.end());
    ++cells[static_cast<size_t>(most - missing.begin())];
    *most = -1;
  }
  return cells;
}

void put_bar(Writer& writer, const LiveShares& shares, size_t width, const LiveGlyphs& glyphs) {
  const auto cells = cells_of(shares, width);
  const std::array styles{kRun, kSpin, kWait, kHalt};
  const std::array marks{glyphs.run, glyphs.spin, glyphs.wait, glyphs.halt};
  size_t used = 0;
  for (size_t i = 0; i < cells.size() && used < width; ++i) {
    const size_t count = std::min(cells[i], width - used);
    writer.put(repeated(marks[i], count), styles[i]);
    used += count;
  }
  writer.blanks(width - used);
}

LiveLine worker_cell(const LiveWorker& worker, size_t index, size_t width, const LiveGlyphs& glyphs) {
  constexpr size_t kFields = 4 + 1 + 1 + 5 + 9 + 1 + 7;
  Writer writer(width);
  writer.left(fmt::format("w{}", index), 4, kStrong);
  const size_t bar = width > kFields ? width - kFields : 0;
  put_bar(writer, {.run = worker.load}, bar, glyphs);
  writer.right(whole_percent(worker.load), 5);
  writer.left(worker.runs.empty() ? worker.doing : worker.runs, 9);
  writer.left(worker.waiting.value_or(0) > 0 ? fmt::format("+{} wait", *worker.waiting) : "", 7, kWait);
  return writer.take();
}

LiveLine vcpu_head(size_t width, size_t bar, const LiveGlyphs& glyphs) {
  Writer writer(width);
  writer.left("vCPU", 6, kHead).left("state", 8, kHead);
  Writer legend(bar);
  legend.put(glyphs.run, kRun)
      .put("run ")
      .put(glyphs.spin, kSpin)
      .put("spin ")
      .put(glyphs.wait, kWait)
      .put("wait ");
  writer.add(legend.put(glyphs.halt, kHalt).put("halt").fill().take()).blanks(1);
  for (const char* share : {"run", "spin", "wait", "halt"}) writer.right(share, 4, kHead);
  writer.right("IPI p99", 8, kHead).right("switch/s", 8, kHead);
  return writer.take();
}

constexpr size_t kVcpuFields = 7 + 9 + 1 + 4 * 5 + 9 + 9;
constexpr size_t kSmallestVcpu = kVcpuFields + 14;
size_t vcpu_bar(size_t width) { return width > kVcpuFields ? width - kVcpuFields : 0; }

LiveLine vcpu_cell(const LiveVcpu& vcpu, size_t width, const LiveGlyphs& glyphs) {
  Writer writer(width);
  writer.left(vcpu.name, 6, kStrong).left(vcpu.state, 8);
  put_bar(writer, vcpu.shares, vcpu_bar(width), glyphs);
  writer.blanks(1);
  const std::array shares{vcpu.shares.run, vcpu.shares.spin, vcpu.shares.wait, vcpu.shares.halt};
  const std::array styles{kRun, kSpin, kWait, kHalt};
  for (size_t i = 0; i < shares.size(); ++i) writer.right(whole_percent(shares[i]), 4, styles[i]);
  writer.right(vcpu.ipi_p99 ? human_time(*vcpu.ipi_p99) : std::string(glyphs.dash), 8);
  writer.right(rate(vcpu.switches), 8);
  return writer.take();
}

LiveLine title_line(const LiveFrame& frame, size_t columns) {
  Writer writer(columns);
  const size_t clock = display_width(frame.clock) + 2;
  writer.put(" ", kTitle).put(cut(frame.title, columns > clock + 1 ? columns - clock - 1 : 0), kTitle);
  if (writer.left_over() > clock) writer.blanks(writer.left_over() - clock, kTitle);
  writer.put(" ", kTitle).put(frame.clock, kTitle).fill(kTitle);
  return writer.take();
}

std::vector<LiveLine> rate_lines(const LiveRates& rates, size_t columns) {
  std::vector<LiveLine> lines;
  Writer first(columns);
  first.put("a second  ", kHead).put("yields ").put(rate(rates.yields), kStrong);
  const double known = rates.hits + rates.misses + rates.harmful;
  if (known > 0) {
    first.put(fmt::format(": {} hit, {} miss, {} harmful", whole_percent(rates.hits / known),
                          whole_percent(rates.misses / known), whole_percent(rates.harmful / known)));
  }
  lines.push_back(first.put("   pulls ").put(rate(rates.pulls), kStrong).take());
  Writer second(columns);
  const auto put = [&second](std::string_view name, double value) {
    second.put(name).put(" ").put(rate(value), kStrong).put("  ");
  };
  second.blanks(10);
  put("switches", rates.switches);
  put("steals", rates.steals);
  put("balances", rates.balances);
  put("kicks", rates.kicks);
  put("exits", rates.exits);
  lines.push_back(second.take());
  if (!rates.operations) return lines;
  Writer third(columns);
  lines.push_back(third.blanks(10).put("operations ").put(rate(*rates.operations), kStrong).take());
  return lines;
}

std::vector<LiveLine> comparison_lines(const LiveComparison& comparison, size_t columns) {
  std::vector<LiveLine> lines;
  Writer title(columns);
  title.put(fmt::format("cell {} of {}  ", comparison.cell + 1, comparison.cells), kHead)
      .put(comparison.title);
  lines.push_back(title.take());
  size_t longest = 6;
  for (const LiveRow& row : comparison.rows) longest = std::max(longest, display_width(row.policy));
  const size_t name = std::min(longest, columns > 66 ? columns - 60 : 12);
  const auto add = [&](const LiveRow& row, const std::string& runs, LiveStyle style) {
    Writer writer(columns);
    writer.blanks(2).left(row.policy, name, style == kPlain ? kStrong : style).right(runs, 4, style);
    writer.right(row.throughput, 12, style).right(row.ratio, 7, style).right(row.interval, 15, style);
    lines.push_back(writer.left(row.verdict, 14, style).take());
  };
  add({.policy = "policy",
       .throughput = "throughput",
       .ratio = "ratio",
       .interval = "95 % interval",
       .verdict = "verdict"},
      "runs", kHead);
  for (const LiveRow& row : comparison.rows) add(row, grouped(row.runs), kPlain);
  return lines;
}

// As many in a row as fit.
std::vector<LiveLine> feature_lines(const std::vector<LiveFeature>& features, size_t columns) {
  std::vector<LiveLine> lines;
  if (features.empty()) return lines;
  size_t cell = 0;
  for (const LiveFeature& f : features)
    cell = std::max(cell, 5 + display_width(f.name) + display_width(f.word));
  const size_t abreast = std::max<size_t>(1, columns / cell);
  for (size_t i = 0; i < features.size(); i += abreast) {
    Writer writer(columns);
    for (size_t j = i; j < std::min(features.size(), i + abreast); ++j) {
      const LiveFeature& feature = features[j];
      writer.up_to((j - i) * cell).put({&feature.key, 1}, kStrong).put(" ").put(feature.name);
      writer.put("=").put(feature.word, feature.is_on ? kStrong : kFaint);
    }
    lines.push_back(writer.take());
  }
  return lines;
}

void append(std::vector<LiveLine>& lines, std::vector<LiveLine> more) {
  for (LiveLine& line : more) lines.push_back(std::move(line));
}

LiveLine plain_line(std::string_view text, size_t columns, LiveStyle style = kPlain) {
  return Writer(columns).put(text, style).take();
}

void add_workers(const LiveFrame& frame, LiveSize size, const LiveGlyphs& glyphs,
                 std::vector<LiveLine>& lines) {
  if (frame.workers.empty()) return;
  constexpr size_t kCell = 39;
  Grid grid(frame.workers.size(), size.columns, kCell);
  grid.fit(std::max<size_t>(2, size.rows / 6));
  grid.add_to(lines, 0,
              [&](size_t i, size_t width) { return worker_cell(frame.workers[i], i, width, glyphs); });
  if (grid.rows() < grid.rows_needed()) {
    lines.push_back(
        plain_line(fmt::format("     … {} workers in all", frame.workers.size()), size.columns, kFaint));
  }
}

// In at most so many rows, the head included. The clamped scroll.
size_t add_vcpus(const LiveFrame& frame, size_t rows, size_t scroll, size_t columns, const LiveGlyphs& glyphs,
                 std::vector<LiveLine>& lines) {
  if (frame.vcpus.empty() || rows < 2) return 0;
  Grid grid(frame.vcpus.size(), columns, kSmallestVcpu);
  grid.fit(rows - 1);
  const size_t from = grid.clamped(scroll);
  lines.push_back(grid.head([&](size_t width) { return vcpu_head(width, vcpu_bar(width), glyphs); }));
  grid.add_to(lines, from, [&](size_t i, size_t width) { return vcpu_cell(frame.vcpus[i], width, glyphs); });
  if (grid.rows() < grid.rows_needed()) {
    lines.back() =
        plain_line(fmt::format("… rows {} to {} of {}", from + 1, from + grid.rows() - 1, grid.rows_needed()),
                   columns, kFaint);
  }
  return from;
}

LiveScreen too_small(LiveSize size) {
  LiveScreen screen;
  const std::string text = fmt::format("{} × {} is too small: {} × {}", size.columns, size.rows,
                                       kSmallestLive.columns, kSmallestLive.rows);
  if (size.rows > 0) screen.lines.push_back(plain_line(text, size.columns));
  return screen;
}

}  // namespace

std::string text_of(const LiveLine& line) {
  std::string text;
  for (const LivePiece& piece : line) text += piece.text;
  return text;
}

LiveScreen draw(const LiveFrame& frame, LiveSize size, size_t scroll, const LiveGlyphs& glyphs) {
  if (size.rows < kSmallestLive.rows || size.columns < kSmallestLive.columns) return too_small(size);
  LiveScreen screen;
  std::vector<LiveLine>& lines = screen.lines;
  lines.push_back(title_line(frame, size.columns));
  add_workers(frame, size, glyphs, lines);
  std::vector<LiveLine> below;
  if (frame.rates) append(below, rate_lines(*frame.rates, size.columns));
  if (frame.comparison) append(below, comparison_lines(*frame.comparison, size.columns));
  append(below, feature_lines(frame.features, size.columns));
  // What is left of the screen is for vCPUs; a console has as much as they have.
  constexpr size_t kFewest = 4;
  const size_t fixed = lines.size() + 2;
  const size_t most_below = size.rows > fixed + kFewest ? size.rows - fixed - kFewest : 0;
  if (below.size() > most_below) below.resize(most_below);
  size_t room = size.rows - fixed - below.size();
  size_t console = 0;
  if (frame.has_console) {
    const size_t wanted = frame.vcpus.empty() ? 0 : frame.vcpus.size() + 1;
    console = room - std::min(wanted, room - room / 2);
    room -= console;
  }
  screen.scroll = add_vcpus(frame, room, scroll, size.columns, glyphs, lines);
  append(lines, std::move(below));
  const size_t shown = std::min(frame.console.size(), console > 0 ? console - 1 : 0);
  if (console > 0) lines.push_back(Writer(size.columns).put("console ", kHead).take());
  for (size_t i = frame.console.size() - shown; i < frame.console.size(); ++i) {
    lines.push_back(plain_line(frame.console[i], size.columns));
  }
  lines.resize(size.rows - 2);
  lines.push_back(plain_line(frame.message, size.columns, kStrong));
  lines.push_back(plain_line(frame.help, size.columns, kFaint));
  return screen;
}

}  // namespace vmm
