#include "vmm/cli/heatmap.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>

#include "sched/base/text.h"
#include "vmm/cli/table.h"
#include "vmm/trace/svg_text.h"

namespace vmm {
namespace {

constexpr int kCellWidth = 92;
constexpr int kCellHeight = 23;
constexpr int kEdge = 12;
constexpr int kLine = 14;      // of text
constexpr int kLetter = 7;     // about as wide as one is at most
constexpr int kGroupGap = 26;  // above the rows of each number of workers, with that number
constexpr int kLegendWidth = 58;

// Steps of a ratio away from 1, in margins. Colours are blue where the policy wins and orange to red where it
// loses; a loss has a frame as well, so that nothing is said by colour alone.
constexpr std::array<double, 4> kSteps{1, 2.5, 5, 12.5};

constexpr std::string_view kStyle = R"svg(<style>
text{font:12px system-ui,sans-serif;fill:#222}.t{font-size:15px;font-weight:600}.b{font-weight:600}
.s{fill:#666;font-size:11px}.m{text-anchor:middle}.e{text-anchor:end}.bg{fill:#fff}.f{fill:none;stroke:#8c1d10;stroke-width:2}
.n{fill:#efefef}.w1{fill:#dbe9f5}.w2{fill:#b9d6ec}.w3{fill:#8fbfe3}.w4{fill:#62a5d8}
.l1{fill:#fbe0cd}.l2{fill:#f6bd97}.l3{fill:#ee9765}.l4{fill:#e2744a}.c .s{fill:#444}
@media(prefers-color-scheme:dark){text{fill:#e4e4e4}.s{fill:#aaa}.bg{fill:#181818}.f{stroke:#ffb199}
.n{fill:#2e2e2e}.w1{fill:#1d3344}.w2{fill:#1f4766}.w3{fill:#215d8b}.w4{fill:#2573b2}
.l1{fill:#47301f}.l2{fill:#643520}.l3{fill:#843b20}.l4{fill:#a6431f}.c .s{fill:#ccc}}
</style>
)svg";

bool is_loss(double ratio, double margin) { return ratio < 1 - margin; }

std::string_view colour(double ratio, double margin) {
  constexpr std::array<std::string_view, 5> kWins{"n", "w1", "w2", "w3", "w4"};
  constexpr std::array<std::string_view, 5> kLosses{"n", "l1", "l2", "l3", "l4"};
  const double away = std::abs(ratio - 1);
  const auto step = static_cast<size_t>(
      std::count_if(kSteps.begin(), kSteps.end(), [&](double s) { return away > s * margin; }));
  return ratio < 1 ? kLosses[step] : kWins[step];
}

// Enough digits to see by how much a margin was missed, and no more where it is far away.
std::string ratio_words(double ratio) {
  return ratio < 1.995 ? fmt::format("{:.3f}", ratio) : fmt::format("{:.1f}", ratio);
}

std::string beside_words(std::optional<double> value, const MetricInfo& metric) {
  if (!value) return "";
  return metric.unit == Unit::kShare ? fmt::format("{:.2f}", *value) : with_unit(metric.unit, *value);
}

std::string title_of(const HeatmapOptions& options) {
  if (!options.title.empty()) return options.title;
  return fmt::format("{}: {} against the best of the other policies", options.standing.metric->title,
                     options.standing.policy);
}

// A machine and what each guest did on it. Machines that look alike but are measured twice have a row each.
struct Row {
  uint32_t workers = 0;
  std::string size;
  std::map<size_t, const Standing*> cells;  // by column
};

struct Grid {
  std::vector<std::string> columns;  // guests
  std::vector<Row> rows;             // by workers
};

Grid grid_of(std::span<const Standing> standings) {
  Grid grid;
  for (const Standing& standing : standings) {
    const CellInfo& cell = standing.cell;
    auto column = std::find(grid.columns.begin(), grid.columns.end(), cell.guest);
    if (column == grid.columns.end()) column = grid.columns.insert(column, cell.guest);
    const auto place = static_cast<size_t>(column - grid.columns.begin());
    const auto row = std::find_if(grid.rows.begin(), grid.rows.end(), [&](const Row& its) {
      return its.workers == cell.workers && its.size == cell.size && !its.cells.contains(place);
    });
    Row& ours = row == grid.rows.end() ? grid.rows.emplace_back(Row{cell.workers, cell.size, {}}) : *row;
    ours.cells[place] = &standing;
  }
  std::stable_sort(grid.rows.begin(), grid.rows.end(),
                   [](const Row& a, const Row& b) { return a.workers < b.workers; });
  return grid;
}

// "lock (ttas, think 50us)" as lock, ttas, think 50us: a line each.
std::vector<std::string> heading(const std::string& guest) {
  const size_t open = guest.find(" (");
  if (open == std::string::npos) return {guest};
  std::vector<std::string> lines{guest.substr(0, open)};
  std::string rest = guest.substr(open + 2);
  if (rest.ends_with(')')) rest.pop_back();
  for (const std::string_view part : sched::split(rest, ",")) {
    lines.emplace_back(part.substr(part.find_first_not_of(' ') == 0 ? 0 : 1));
  }
  return lines;
}

class Picture {
 public:
  Picture(const Grid& grid, const HeatmapOptions& options) : grid_(grid), options_(options) {
    size_t widest = 0;
    for (const Row& row : grid_.rows) widest = std::max(widest, display_width(row.size));
    left_ = 2 * kEdge + kLetter * static_cast<int>(widest);
    width_ = left_ + kCellWidth * static_cast<int>(grid_.columns.size()) + kEdge;
    width_ = std::max({width_, left_ + 9 * kLegendWidth + kEdge,
                       2 * kEdge + 9 * static_cast<int>(display_width(title_of(options_)))});
  }

  std::string svg() {
    text(kEdge, 24, "t", title_of(options_));
    draw_legend(36);
    int y = draw_headings(92);
    uint32_t workers = 0;
    for (const Row& row : grid_.rows) {
      if (row.workers != workers) y = draw_group(y, row.workers);
      workers = row.workers;
      draw_row(row, y);
      y += kCellHeight;
    }
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
        "role=\"img\">\n<title>{2}</title>\n{3}<rect class=\"bg\" width=\"{0}\" "
        "height=\"{1}\"/>\n{4}</svg>\n",
        width_, y + kEdge, svg_escaped(title_of(options_)), kStyle, body_);
  }

 private:
  void text(int x, int y, std::string_view style, std::string_view words) {
    fmt::format_to(std::back_inserter(body_), "<text class=\"{}\" x=\"{}\" y=\"{}\">{}</text>\n", style, x, y,
                   svg_escaped(words));
  }

  void box(int x, int y, int width, std::string_view style) {
    fmt::format_to(std::back_inserter(body_),
                   "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n", style, x, y,
                   width - 2, kCellHeight - 2);
  }

  // A box a colour, with the ratio at which it begins on the way from 1.
  void draw_legend(int y) {
    int x = left_;
    const auto entry = [&](std::string_view style, const std::string& words) {
      box(x, y, kLegendWidth, style);
      if (style.starts_with('l')) box(x, y, kLegendWidth, "f");
      text(x + kLegendWidth / 2 - 1, y + 15, "m", words);
      x += kLegendWidth;
    };
    const double margin = options_.margin;
    for (size_t step = kSteps.size(); step-- > 0;) {
      const double ratio = 1 - kSteps[step] * margin;
      if (ratio > 0) entry(fmt::format("l{}", step + 1), fmt::format("< {:.3g}", ratio));
    }
    entry("n", fmt::format("± {:.3g} %", margin * 100));
    for (size_t step = 0; step < kSteps.size(); ++step) {
      entry(fmt::format("w{}", step + 1), fmt::format("> {:.4g}", 1 + kSteps[step] * margin));
    }
    const MetricInfo* beside = options_.standing.beside;
    text(left_, y + kCellHeight + kLine, "s",
         fmt::format("framed: lost by more than {:.3g} %{}", margin * 100,
                     beside == nullptr
                         ? ""
                         : fmt::format("; small: {} of {}", beside->title, options_.standing.policy)));
  }

  int draw_headings(int y) {
    size_t most = 1;
    for (const std::string& guest : grid_.columns) most = std::max(most, heading(guest).size());
    const int bottom = y + kLine * static_cast<int>(most);
    text(kEdge, bottom - kLine, "s", "VMs × vCPUs");
    for (size_t column = 0; column < grid_.columns.size(); ++column) {
      const int x = left_ + kCellWidth * static_cast<int>(column) + kCellWidth / 2;
      const auto lines = heading(grid_.columns[column]);
      for (size_t line = 0; line < lines.size(); ++line)
        text(x, y + kLine * static_cast<int>(line), line == 0 ? "b m" : "s m", lines[line]);
    }
    return bottom - kLine;
  }

  int draw_group(int y, uint32_t workers) {
    text(kEdge, y + kGroupGap - 7, "b", fmt::format("{} worker{}", workers, workers == 1 ? "" : "s"));
    return y + kGroupGap;
  }

  void draw_row(const Row& row, int y) {
    text(left_ - kEdge / 2, y + 15, "e", row.size);
    for (const auto& [column, standing] : row.cells) {
      body_ += "<g class=\"c\">";
      draw_cell(*standing, left_ + kCellWidth * static_cast<int>(column), y);
      body_ += "</g>\n";
    }
  }

  void draw_cell(const Standing& standing, int x, int y) {
    if (!standing.ratio) {
      box(x, y, kCellWidth, "n");
      text(x + kCellWidth / 2, y + 15, "m", "–");
      return;
    }
    const double ratio = *standing.ratio;
    const bool lost = is_loss(ratio, options_.margin);
    fmt::format_to(
        std::back_inserter(body_), "<title>{}</title>\n",
        svg_escaped(fmt::format("{}, {} on {} workers: {} of {}", standing.cell.guest, standing.cell.size,
                                standing.cell.workers, ratio_words(ratio), standing.rival)));
    box(x, y, kCellWidth, colour(ratio, options_.margin));
    if (lost) box(x, y, kCellWidth, "f");
    const MetricInfo* beside = options_.standing.beside;
    const int middle = beside == nullptr ? kCellWidth / 2 : 26;
    text(x + middle, y + 15, lost ? "b m" : "m", ratio_words(ratio));
    if (beside != nullptr) text(x + kCellWidth - 8, y + 15, "s e", beside_words(standing.beside, *beside));
  }

  const Grid& grid_;
  const HeatmapOptions& options_;
  int left_ = 0;
  int width_ = 0;
  std::string body_;
};

std::vector<const Standing*> losses(std::span<const Standing> standings, double margin) {
  std::vector<const Standing*> lost;
  for (const Standing& standing : standings) {
    if (standing.ratio && is_loss(*standing.ratio, margin)) lost.push_back(&standing);
  }
  std::stable_sort(lost.begin(), lost.end(),
                   [](const Standing* a, const Standing* b) { return *a->ratio < *b->ratio; });
  return lost;
}

std::string summary(std::span<const Standing> standings, size_t lost, const HeatmapOptions& options) {
  const auto measured = std::count_if(standings.begin(), standings.end(),
                                      [](const Standing& standing) { return standing.ratio.has_value(); });
  std::string text = fmt::format("{}: {} cells, {} lost by more than {:.3g} %", title_of(options), measured,
                                 lost, options.margin * 100);
  const size_t missing = standings.size() - static_cast<size_t>(measured);
  if (missing != 0) text += fmt::format("; {} more have no ratio", missing);
  return text + ".\n";
}

}  // namespace

std::string heatmap_svg(std::span<const Standing> standings, const HeatmapOptions& options) {
  const Grid grid = grid_of(standings);
  return Picture(grid, options).svg();
}

std::string heatmap_text(std::span<const Standing> standings, const HeatmapOptions& options,
                         ReportStyle style) {
  const auto lost = losses(standings, options.margin);
  const std::string head = summary(standings, lost.size(), options);
  if (lost.empty()) return head;
  const MetricInfo* beside = options.standing.beside;
  std::vector<std::string> titles{"workers", "<VMs × vCPUs", "<guest", "ratio", "<best"};
  if (beside != nullptr) {
    titles.push_back(fmt::format("{} of {}", beside->title, options.standing.policy));
    titles.emplace_back("of the best");
  }
  Table table(titles);
  for (const Standing* standing : lost) {
    const CellInfo& cell = standing->cell;
    std::vector<std::string> row{std::to_string(cell.workers), cell.size, cell.guest,
                                 ratio_text(*standing->ratio), standing->rival};
    if (beside != nullptr) {
      row.push_back(beside_words(standing->beside, *beside));
      row.push_back(beside_words(standing->rivals_beside, *beside));
    }
    table.add(std::move(row));
  }
  return head + "\n" + (style == ReportStyle::kMarkdown ? table.markdown() : table.text());
}

}  // namespace vmm
