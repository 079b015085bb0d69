#include "vmm/trace/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "vmm/trace/svg_text.h"
#include "vmm/trace/timeline.h"

namespace vmm {
namespace {

constexpr int kLeft = 64;
constexpr int kWidth = 900;  // of the time axis
constexpr int kRow = 20;
constexpr int kBar = 12;
constexpr int kTitle = 30;
constexpr int kGap = 14;  // between VMs
constexpr int kAxis = 26;
constexpr int kLegend = 26;

// Colours that most people can tell apart (Okabe and Ito, 2008); the waits are hatched, the lock is a line,
// so that nothing is said by colour alone.
constexpr std::string_view kStyle = R"svg(<style>
text{font:12px system-ui,sans-serif;fill:#222}.t{font-weight:600}.s{fill:#666;font-size:11px}
.bg{fill:#fff}.q{stroke:#bbb;stroke-width:1}.g{stroke:#e4e4e4}
.w0{fill:#0072b2}.w1{fill:#e69f00}.w2{fill:#009e73}.w3{fill:#cc79a7}
.h{fill:url(#hatch)}.l{fill:#d00000}.a{stroke:#222;fill:none}.ah{fill:#222}
@media(prefers-color-scheme:dark){text{fill:#ddd}.s{fill:#aaa}.bg{fill:#181818}.q{stroke:#555}.g{stroke:#333}
.l{fill:#ff5a5a}.a{stroke:#eee}.ah{fill:#eee}}
</style>
<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="2.5" height="5" fill="#fff" fill-opacity=".75"/></pattern></defs>
)svg";

class Panel {
 public:
  Panel(const PicturePanel& panel, int64_t length, int top)
      : trace_(*panel.trace), from_(panel.from), length_(length), top_(top), title_(panel.title) {
    int y = top_ + kTitle;
    for (size_t vm = 0, vcpu = 0; vm < trace_.vms.size(); ++vm) {
      for (uint32_t i = 0; i < trace_.vms[vm].vcpus; ++i, ++vcpu, y += kRow) rows_.push_back(y);
      y += kGap;
    }
    bottom_ = y - kGap;
  }

  int bottom() const { return bottom_; }

  void draw(std::string& out) const {
    fmt::format_to(std::back_inserter(out), "<text class=\"t\" x=\"8\" y=\"{}\">{}</text>\n", top_ + 18,
                   svg_escaped(title_));
    for (uint32_t vcpu = 0; vcpu < rows_.size(); ++vcpu) {
      fmt::format_to(std::back_inserter(out),
                     "<text class=\"s\" x=\"8\" y=\"{}\">vCPU {}</text><line class=\"q\" x1=\"{}\" x2=\"{}\" "
                     "y1=\"{}\" y2=\"{}\"/>\n",
                     rows_[vcpu] + 11, trace_.name_of(vcpu), kLeft, kLeft + kWidth, rows_[vcpu] + 6,
                     rows_[vcpu] + 6);
    }
    const Timeline timeline = timeline_of(trace_, from_, from_ + length_);
    for (const Stay& stay : timeline.stays) {
      bar(out, fmt::format("w{}", stay.worker % 4), stay.from, stay.to, rows_[stay.vcpu], kBar);
      for (const GuestStretch& guest : timeline.guests) {
        if (guest.vcpu != stay.vcpu || guest.kind != GuestStretch::Kind::kWaits) continue;
        bar(out, "h", std::max(guest.from, stay.from), std::min(guest.to, stay.to), rows_[stay.vcpu], kBar);
      }
    }
    for (const GuestStretch& guest : timeline.guests) {
      if (guest.kind == GuestStretch::Kind::kHolds)
        bar(out, "l", guest.from, guest.to, rows_[guest.vcpu] + kBar, 3);
    }
    for (const TimelineYield& yield : timeline.yields) arrow(out, yield);
  }

 private:
  double x_of(int64_t at) const {
    const double share = static_cast<double>(at - from_) / static_cast<double>(length_);
    return kLeft + kWidth * std::clamp(share, 0.0, 1.0);
  }

  void bar(std::string& out, std::string_view style, int64_t from, int64_t to, int y, int height) const {
    if (to <= from) return;
    const double x = x_of(from);
    fmt::format_to(std::back_inserter(out),
                   "<rect class=\"{}\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\"/>\n", style, x, y,
                   std::max(0.4, x_of(to) - x), height);
  }

  void arrow(std::string& out, const TimelineYield& yield) const {
    if (yield.from >= rows_.size() || yield.to >= rows_.size()) return;
    const int from = rows_[yield.from] + kBar / 2;
    const bool down = rows_[yield.to] > rows_[yield.from];
    const int to = rows_[yield.to] + (down ? -1 : kBar + 1);
    const double x = x_of(yield.at);
    fmt::format_to(std::back_inserter(out),
                   "<line class=\"a\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>"
                   "<path class=\"ah\" d=\"M{0:.1f} {3}l-3 {4}h6z\"/>\n",
                   x, from, to, to, down ? -5 : 5);
  }

  const Trace& trace_;
  const int64_t from_;
  const int64_t length_;
  const int top_;
  const std::string title_;
  std::vector<int> rows_;  // y, by vCPU
  int bottom_ = 0;
};

void draw_axis(std::string& out, int top, int bottom, int64_t length) {
  constexpr int kSteps = 8;
  for (int i = 0; i <= kSteps; ++i) {
    const int x = kLeft + kWidth * i / kSteps;
    fmt::format_to(std::back_inserter(out),
                   "<line class=\"g\" x1=\"{0}\" x2=\"{0}\" y1=\"{1}\" y2=\"{2}\"/>"
                   "<text class=\"s\" x=\"{0}\" y=\"{3}\" text-anchor=\"middle\">{4:.3g} ms</text>\n",
                   x, top, bottom, bottom + 16, static_cast<double>(length) / 1e6 * i / kSteps);
  }
}

void draw_legend(std::string& out, int y, uint32_t workers) {
  int x = kLeft;
  const auto entry = [&](std::string_view style, int height, std::string_view text) {
    fmt::format_to(std::back_inserter(out),
                   "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"22\" height=\"{}\"/><text class=\"s\" "
                   "x=\"{}\" y=\"{}\">{}</text>\n",
                   style, x, y + kBar - height, height, x + 28, y + 11, text);
    x += 40 + static_cast<int>(text.size()) * 7;
  };
  for (uint32_t worker = 0; worker < std::min(workers, 4u); ++worker) {
    entry(fmt::format("w{}", worker), kBar, fmt::format("runs on worker {}", worker));
  }
  fmt::format_to(std::back_inserter(out), "<rect class=\"w0\" x=\"{}\" y=\"{}\" width=\"22\" height=\"{}\"/>",
                 x, y, kBar);
  entry("h", kBar, "busy-waits");
  entry("l", 3, "owns the lock");
  fmt::format_to(std::back_inserter(out), "<text class=\"s\" x=\"{}\" y=\"{}\">↓ directed yield</text>\n", x,
                 y + 11);
}

}  // namespace

std::string svg_picture(const std::vector<PicturePanel>& panels, int64_t length) {
  std::string body;
  int y = 4;
  uint32_t workers = 0;
  for (const PicturePanel& panel : panels) {
    const Panel drawn(panel, length, y);
    draw_axis(body, y + kTitle - 4, drawn.bottom(), length);
    drawn.draw(body);
    y = drawn.bottom() + kAxis;
    workers = std::max(workers, panel.trace->workers);
  }
  draw_legend(body, y, workers);
  y += kLegend;
  const int width = kLeft + kWidth + 30;
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "role=\"img\">\n"
      "{2}<rect class=\"bg\" width=\"{0}\" height=\"{1}\"/>\n{3}</svg>\n",
      width, y, kStyle, body);
}

}  // namespace vmm
