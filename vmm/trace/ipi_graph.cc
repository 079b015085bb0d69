#include "vmm/trace/ipi_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <optional>
#include <vector>

#include "vmm/trace/svg_text.h"

namespace vmm {
namespace {

constexpr int kMargin = 16;
constexpr int kTitle = 34;
constexpr int kLine = 17;
constexpr int kBetween = 28;        // panels
constexpr int kPerRow = 2;          // panels
constexpr int kMostPanels = 16;     // VMs
constexpr size_t kMostLabels = 14;  // of a VM

constexpr std::string_view kStyle = R"svg(<style>
text{font:12px system-ui,sans-serif;fill:#222}.t{font-weight:600}.s{fill:#555;font-size:11px}
.bg{fill:#fff}.v{fill:#f2f4f7;stroke:#555;stroke-width:1.5}.n{text-anchor:middle;font-weight:600}
.e{fill:none;stroke-opacity:.75;stroke-linecap:round}.l{text-anchor:middle;font-size:10px;paint-order:stroke;stroke:#fff;stroke-width:3px}
.c0{stroke:#0072b2}.c1{stroke:#b36b00}.c2{stroke:#00795a}.c3{stroke:#a5527f}
.f0{fill:#0072b2}.f1{fill:#b36b00}.f2{fill:#00795a}.f3{fill:#a5527f}
@media(prefers-color-scheme:dark){text{fill:#ddd}.s{fill:#aaa}.bg{fill:#181818}.v{fill:#2a2d31;stroke:#aaa}.l{stroke:#181818}
.c0{stroke:#56b4e9}.c1{stroke:#e69f00}.c2{stroke:#2fc49a}.c3{stroke:#e08cba}
.f0{fill:#56b4e9}.f1{fill:#e69f00}.f2{fill:#2fc49a}.f3{fill:#e08cba}}
</style>
)svg";

std::string time_text(int64_t ns) {
  const double value = static_cast<double>(ns);
  if (ns < 1000) return fmt::format("{} ns", ns);
  if (ns < 1'000'000) return fmt::format("{:.1f} µs", value / 1e3);
  if (ns < 1'000'000'000) return fmt::format("{:.2f} ms", value / 1e6);
  return fmt::format("{:.2f} s", value / 1e9);
}

std::string quantiles(const Latencies& latencies) {
  if (latencies.count() == 0) return "–";
  return fmt::format("{} / {}", time_text(latencies.quantile(0.5)), time_text(latencies.quantile(0.99)));
}

struct Point {
  double x = 0;
  double y = 0;
};

Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
Point operator*(Point a, double by) { return {a.x * by, a.y * by}; }
double length_of(Point a) { return std::hypot(a.x, a.y); }

struct Edge {
  uint32_t from;  // vCPUs of the trace
  uint32_t to;
  const IpiPair* pair;
  uint64_t count;
};

// One VM: its vCPUs on a circle.
class VmGraph {
 public:
  VmGraph(const Trace& trace, size_t vm, uint32_t first, std::vector<Edge> edges, uint64_t most)
      : trace_(trace), vm_(vm), first_(first), edges_(std::move(edges)), most_(std::max<uint64_t>(1, most)) {
    std::stable_sort(edges_.begin(), edges_.end(),
                     [](const Edge& a, const Edge& b) { return a.count > b.count; });
    const uint32_t vcpus = trace.vms[vm].vcpus;
    radius_ = std::max(205.0, vcpus * 2.6 * node_radius() / std::numbers::pi / 2 * 1.6);
  }

  double size() const { return 2 * (radius_ + node_radius() + 30); }

  void draw(std::string& out, Point corner) const {
    const Point middle = corner + Point{size() / 2, size() / 2 + 12};
    fmt::format_to(std::back_inserter(out),
                   "<text class=\"t\" x=\"{:.0f}\" y=\"{:.0f}\">VM {}: {}, {}</text>\n", corner.x,
                   corner.y + 12, vm_, svg_escaped(trace_.vms[vm_].guest),
                   svg_escaped(trace_.vms[vm_].policy));
    // The thick ones first, so that none hides another.
    for (const Edge& edge : edges_) draw_edge(out, middle, edge);
    for (uint32_t i = 0; i < trace_.vms[vm_].vcpus; ++i) {
      const Point at = place(middle, first_ + i);
      fmt::format_to(
          std::back_inserter(out),
          "<circle class=\"v\" cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"{2:.1f}\"/><text class=\"n f{3}\" "
          "x=\"{0:.1f}\" y=\"{4:.1f}\">{5}</text>\n",
          at.x, at.y, node_radius(), i % 4, at.y + 4, trace_.name_of(first_ + i));
    }
    for (size_t i = 0; i < std::min(edges_.size(), kMostLabels); ++i) draw_label(out, middle, edges_[i]);
  }

 private:
  double node_radius() const { return trace_.vms[vm_].vcpus > 16 ? 13 : 19; }

  Point place(Point middle, uint32_t vcpu) const {
    const double turn = 2 * std::numbers::pi * (vcpu - first_) / trace_.vms[vm_].vcpus - std::numbers::pi / 2;
    return middle + Point{std::cos(turn), std::sin(turn)} * radius_;
  }

  double width(const Edge& edge) const {
    return 1 + 7 * std::sqrt(static_cast<double>(edge.count) / static_cast<double>(most_));
  }

  // A curve to the right of the straight line: there and back lie apart.
  struct Curve {
    Point begin;
    Point bend;
    Point end;
    Point at(double t) const {
      return begin * ((1 - t) * (1 - t)) + bend * (2 * t * (1 - t)) + end * (t * t);
    }
  };
  Curve curve(Point middle, const Edge& edge) const {
    const Point from = place(middle, edge.from);
    const Point to = place(middle, edge.to);
    if (edge.from == edge.to) {  // to itself: a loop outwards
      const Point out = (from + middle * -1) * (1 / radius_);
      const Point aside{-out.y, out.x};
      return {from + out * node_radius() + aside * 8, from + out * (node_radius() + 70),
              from + out * node_radius() + aside * -8};
    }
    const Point way = to + from * -1;
    const double far = length_of(way);
    const Point unit = way * (1 / far);
    const Point right{-unit.y, unit.x};
    const double gap = node_radius() + 4;
    return {from + unit * gap + right * 5, (from + to) * 0.5 + right * (0.14 * far + 6),
            to + unit * -(gap + 5) + right * 5};
  }

  std::string text(const Edge& edge) const {
    return fmt::format(
        "{} → {}: {} IPIs; sent until injected {}, injected until EOI {} (p50 / p99); {} not acknowledged",
        trace_.name_of(edge.from), trace_.name_of(edge.to), edge.count, quantiles(edge.pair->injection),
        quantiles(edge.pair->handling), edge.pair->unfinished);
  }

  void draw_edge(std::string& out, Point middle, const Edge& edge) const {
    const Curve way = curve(middle, edge);
    const double wide = width(edge);
    const Point back = way.end + way.bend * -1;
    const Point unit = back * (1 / std::max(1.0, length_of(back)));
    const Point right{-unit.y, unit.x};
    const double head = 5 + wide;
    const Point tip = way.end + unit * 4;
    const Point left_wing = tip + unit * -head + right * (head * 0.55);
    const Point right_wing = tip + unit * -head + right * (-head * 0.55);
    const uint32_t color = (edge.from - first_) % 4;
    fmt::format_to(
        std::back_inserter(out),
        "<g><title>{}</title><path class=\"e c{}\" stroke-width=\"{:.1f}\" d=\"M{:.1f} {:.1f}Q{:.1f} {:.1f} "
        "{:.1f} {:.1f}\"/><path class=\"f{}\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}L{:.1f} {:.1f}z\"/></g>\n",
        svg_escaped(text(edge)), color, wide, way.begin.x, way.begin.y, way.bend.x, way.bend.y,
        tip.x - unit.x * head * 0.7, tip.y - unit.y * head * 0.7, color, tip.x, tip.y, left_wing.x,
        left_wing.y, right_wing.x, right_wing.y);
  }

  void draw_label(std::string& out, Point middle, const Edge& edge) const {
    const Point at = curve(middle, edge).at(edge.from == edge.to ? 0.5 : 0.27);
    fmt::format_to(
        std::back_inserter(out),
        "<text class=\"l f{0}\" x=\"{1:.1f}\" y=\"{2:.1f}\">{3}</text><text class=\"l f{0}\" x=\"{1:.1f}\" "
        "y=\"{4:.1f}\">{5}</text>\n",
        (edge.from - first_) % 4, at.x, at.y - 1, quantiles(edge.pair->injection), at.y + 10,
        quantiles(edge.pair->handling));
  }

  const Trace& trace_;
  const size_t vm_;
  const uint32_t first_;
  std::vector<Edge> edges_;
  const uint64_t most_;
  double radius_ = 0;
};

uint64_t count_of(const IpiPair& pair) { return pair.handling.count() + pair.unfinished; }

// Graphs of the VMs that send any.
std::vector<VmGraph> graphs_of(const Trace& trace, const TraceStats& stats) {
  std::vector<std::vector<Edge>> edges(trace.vms.size());
  uint64_t most = 0;
  for (const auto& [who, pair] : stats.ipis) {
    // IPIs stay within a VM; a damaged file may say otherwise.
    const size_t vm = trace.vm_of(who.first);
    if (vm != trace.vm_of(who.second)) continue;
    edges[vm].push_back({who.first, who.second, &pair, count_of(pair)});
    most = std::max(most, count_of(pair));
  }
  std::vector<VmGraph> graphs;
  uint32_t first = 0;
  for (size_t vm = 0; vm < trace.vms.size(); ++vm) {
    if (!edges[vm].empty() && graphs.size() < kMostPanels)
      graphs.emplace_back(trace, vm, first, std::move(edges[vm]), most);
    first += trace.vms[vm].vcpus;
  }
  return graphs;
}

std::vector<std::string> lines_of(const TraceStats& stats) {
  std::vector<std::string> lines{
      "An arrow is as wide as it is used. On it, in the sender's colour: sent until injected, below injected "
      "until EOI; "
      "p50 / p99."};
  for (const auto& [receivers, latencies] : stats.fanouts) {
    if (receivers < 2) continue;
    lines.push_back(fmt::format("Fan-out to {} receivers: {} times; until the last has acknowledged {}",
                                receivers, latencies.count(), quantiles(latencies)));
  }
  for (const auto& [depth, count] : stats.ipi_chains) {
    lines.push_back(depth == 0
                        ? fmt::format("{} IPIs sent outside of handlers", count)
                        : fmt::format("{} IPIs sent by the handler of another, at depth {}", count, depth));
  }
  return lines;
}

std::string words_of(const Trace& trace, const TraceStats& stats) {
  if (stats.ipis.empty()) return "No IPIs were sent.";
  const auto busiest =
      std::max_element(stats.ipis.begin(), stats.ipis.end(),
                       [](const auto& a, const auto& b) { return count_of(a.second) < count_of(b.second); });
  return fmt::format(
      "{} pairs of vCPUs send each other IPIs; most from {} to {}: {} of them, sent until injected {}, "
      "injected until "
      "EOI {} (p50 / p99).",
      stats.ipis.size(), trace.name_of(busiest->first.first), trace.name_of(busiest->first.second),
      count_of(busiest->second), quantiles(busiest->second.injection), quantiles(busiest->second.handling));
}

}  // namespace

IpiGraph ipi_graph(const Trace& trace, const TraceStats& stats, const std::string& title) {
  const std::vector<VmGraph> graphs = graphs_of(trace, stats);
  std::string body =
      fmt::format("<text class=\"t\" x=\"{}\" y=\"22\">{}</text>\n", kMargin, svg_escaped(title));
  double y = kTitle;
  double width = 760;
  for (size_t i = 0; i < graphs.size(); i += kPerRow) {
    double x = kMargin;
    double high = 0;
    for (size_t k = i; k < std::min(graphs.size(), i + kPerRow); ++k) {
      graphs[k].draw(body, {x, y});
      x += graphs[k].size() + kBetween;
      high = std::max(high, graphs[k].size());
    }
    width = std::max(width, x);
    y += high + kBetween;
  }
  std::vector<std::string> lines = lines_of(stats);
  if (stats.ipis.empty())
    lines = {"No IPIs were sent in this part of the trace, or its LAPIC is inside KVM."};
  for (const std::string& line : lines) {
    y += kLine;
    fmt::format_to(std::back_inserter(body), "<text class=\"s\" x=\"{}\" y=\"{:.0f}\">{}</text>\n", kMargin,
                   y, svg_escaped(line));
  }
  const std::string words = words_of(trace, stats);
  return {fmt::format(
              "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
              "height=\"{1:.0f}\" role=\"img\" aria-label=\"{2}\">\n{3}<rect class=\"bg\" width=\"{0:.0f}\" "
              "height=\"{1:.0f}\"/>\n{4}</svg>\n",
              width, y + kMargin, svg_escaped(words), kStyle, body),
          words};
}

}  // namespace vmm
