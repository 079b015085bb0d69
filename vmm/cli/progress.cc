#include "vmm/cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

namespace vmm {
namespace {

using namespace std::chrono_literals;

constexpr size_t kBarWidth = 24;
constexpr Nanos kRedraw = 200ms;

std::string clock_time(double seconds) {
  const auto whole = static_cast<uint64_t>(seconds + 0.5);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

Progress::Progress(std::ostream& err, bool is_terminal, std::function<Nanos()> now)
    : err_(err), is_terminal_(is_terminal), now_(std::move(now)), started_(now_()) {}

void Progress::plan(size_t steps, size_t already_done) {
  steps_ = std::max<size_t>(1, steps);
  done_ = already_done;
}

void Progress::note(const std::string& text) {
  if (text == note_) return;
  note_ = text;
  if (!is_terminal_ && !show_ && !note_.empty()) err_ << note_ << "\n" << std::flush;
}

void Progress::begin(const std::string& what) {
  what_ = what;
  drawn_ = {};
  if (is_terminal_ || show_) draw(0);
}

void Progress::update(double share) {
  if ((is_terminal_ || show_) && now_() - drawn_ >= kRedraw) draw(share);
}

void Progress::finish(const std::string& outcome) {
  ++done_;
  ++worked_;
  if (is_terminal_ || show_) {
    draw(0);
  } else if (!outcome.empty()) {
    err_ << fmt::format("[{}/{}] {}: {}\n", done_, steps_, what_, outcome) << std::flush;
  }
}

void Progress::clear() {
  if (on_screen_) err_ << "\r\x1b[K" << std::flush;
  on_screen_ = false;
}

std::string Progress::time_left(double share) const {
  const double worked = static_cast<double>(worked_) + share;
  if (worked <= 0) return "";
  const double elapsed = static_cast<double>((now_() - started_).count()) / 1e9;
  const double remaining = static_cast<double>(steps_ - std::min(done_, steps_)) - share;
  double left = elapsed / worked * std::max(0.0, remaining);
  if (deadline_ != Nanos::max()) {
    left = std::min(left, std::max(0.0, static_cast<double>((deadline_ - now_()).count()) / 1e9));
  }
  return ", " + clock_time(left) + " left";
}

void Progress::draw(double share) {
  drawn_ = now_();
  if (show_) return show_(what_, fmt::format("{}/{}{}", done_, steps_, time_left(share)));
  const double part =
      std::clamp((static_cast<double>(done_) + share) / static_cast<double>(steps_), 0.0, 1.0);
  const auto filled = static_cast<size_t>(part * kBarWidth);
  err_ << "\r\x1b[K["
       << fmt::format("{}{}] {:3.0f} %, {}/{}{}  {}", std::string(filled, '#'),
                      std::string(kBarWidth - filled, '.'), part * 100, done_, steps_, time_left(share),
                      what_ + (note_.empty() ? "" : " (" + note_ + ")"))
       << std::flush;
  on_screen_ = true;
}

}  // namespace vmm
