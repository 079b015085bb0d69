// The live view's own thread: looks, draws, reads keys.
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "vmm/last_words.h"
#include "vmm/live/view.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/signal_stack.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

constexpr Nanos kRedraw = 100ms;
constexpr size_t kSamples = 11;  // rates and shares are of the last second

LiveSize size_of(int terminal) {
  winsize size{};
  if (::ioctl(terminal, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {24, 80};
  return {size.ws_row, size.ws_col};
}

double seconds(Nanos time) { return std::chrono::duration<double>(time).count(); }

std::string_view help_of(LiveView::Of of) {
  switch (of) {
    case LiveView::Of::kRun:
      return "q quits  letters switch features  arrows, PgUp, PgDn scroll  Ctrl-L redraws";
    case LiveView::Of::kBoot:
      return "Ctrl-A and: x leaves, a letter switches a feature, < > scroll; else the guest's";
    case LiveView::Of::kCompare:
      return "q quits  left, right: other cells  up, down scroll  (features stay as they are)";
  }
  return "";
}

}  // namespace

void LiveView::loop() {
  ::pthread_setname_np(::pthread_self(), "kvmux-view");
  use_signal_stack();
  if (sandbox::is_confined()) {
    if (const auto entered = sandbox::enter_sandbox(sandbox::ThreadKind::kView); !entered) {
      last_words("kvmux: " + entered.error().text() + "\n");
      ::_exit(exit_status(ErrorKind::kHost));
    }
  }
  for (;;) {
    const Nanos began = monotonic_now();
    {
      const std::lock_guard lock(mutex_);
      if (ending_) return;
      look();
    }
    redraw();
    wait_for_keys(began + kRedraw);
  }
}

// Under the mutex.
void LiveView::look() {
  if (!run_) return;
  LiveSample sample;
  if (samples_.size() == kSamples) {
    sample = std::move(samples_.front());  // its memory
    samples_.pop_front();
  }
  look_at(*run_, sample);
  samples_.push_back(std::move(sample));
}

// Under the mutex.
LiveFrame LiveView::frame() {
  LiveFrame frame{.title = "kvmux " + title_, .message = message_, .help = std::string(help_of(of_))};
  if (samples_.size() > 1) show_between(samples_.front(), samples_.back(), frame);
  frame.clock = clock_;
  if (run_) {
    const double past = seconds(monotonic_now() - began_);
    const bool has_end = run_->length != sched::kForever;
    frame.clock += frame.clock.empty() ? "" : ", ";
    frame.clock += has_end ? fmt::format("{:.1f} of {:.1f} s", std::min(past, seconds(run_->length)),
                                         seconds(run_->length))
                           : fmt::format("{:.1f} s", past);
  } else if (frame.clock.empty()) {
    frame.clock = "setting up";
  }
  frame.features = features_.shown();
  if (!cells_.empty())
    frame.comparison = cells_[std::min(chosen_cell_.value_or(current_cell_), cells_.size() - 1)];
  frame.has_console = of_ == Of::kBoot;
  return frame;
}

void LiveView::redraw() {
  const uint32_t number = screen_number();
  if (number == 0) return;
  const LiveSize size = size_of(terminal_.get());
  LiveFrame shown;
  size_t from = 0;
  bool whole = number != drawn_on_ || size != drawn_size_;
  {
    const std::lock_guard lock(mutex_);
    shown = frame();
    from = scroll_;
    whole = std::exchange(again_, false) || whole;
  }
  if (of_ == Of::kBoot) {
    const std::lock_guard lock(console_mutex_);
    shown.console = console_.last(ConsolePane::kLines);
  }
  const LiveScreen lines = draw(shown, size, from, screen_->glyphs());
  if (lines.scroll != from) {
    const std::lock_guard lock(mutex_);
    if (scroll_ == from) scroll_ = lines.scroll;  // else somebody has scrolled on meanwhile
  }
  const auto bytes = screen_->render(lines, size, whole);
  const bool is_drawn = bytes && draw_on_screen(*bytes);
  drawn_on_ = is_drawn ? number : 0;  // else all of it the next time
  drawn_size_ = size;
}

void LiveView::wait_for_keys(Nanos until) {
  const bool listens = of_ != Of::kBoot && has_keys_;
  for (;;) {
    const Nanos left = until - monotonic_now();
    if (left <= 0ns) return;
    // In the background the terminal's keys are others'.
    if (!listens || screen_number() == 0) {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, left, [this] { return ending_; });
      return;
    }
    pollfd typed{terminal_.get(), POLLIN, 0};
    const auto patience = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
    if (::poll(&typed, 1, patience) <= 0) {
      keys_.forget();
      continue;
    }
    std::array<uint8_t, 256> bytes;
    // Does not block: what poll() saw may have been thrown away since (Ctrl-C flushes).
    const ssize_t got = ::read(terminal_.get(), bytes.data(), bytes.size());
    if (got <= 0) {
      const bool in_background = errno == EIO && (typed.revents & POLLHUP) == 0;
      has_keys_ = got < 0 && (errno == EINTR || errno == EAGAIN || in_background);
      if (!in_background) return;
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, left, [this] { return ending_; });
      return;
    }
    const std::lock_guard lock(mutex_);
    for (const LiveAction& action : keys_.read(std::span(bytes).first(static_cast<size_t>(got)))) act(action);
    return;  // to be seen at once
  }
}

void LiveView::scroll(int64_t rows) {
  const auto now = static_cast<int64_t>(scroll_);
  scroll_ = static_cast<size_t>(std::max<int64_t>(0, now + rows));
}

// Under the mutex.
void LiveView::act(const LiveAction& action) {
  constexpr int64_t kPage = 8;
  constexpr int64_t kFar = 1 << 20;
  using Kind = LiveAction::Kind;
  const size_t shown = chosen_cell_.value_or(current_cell_);
  switch (action.kind) {
    case Kind::kQuit:
      message_ = "quits";
      stop_.store(true);
      return;
    case Kind::kUp:
      return scroll(-1);
    case Kind::kDown:
      return scroll(1);
    case Kind::kPageUp:
      return scroll(-kPage);
    case Kind::kPageDown:
      return scroll(kPage);
    case Kind::kFirst:
      return scroll(-kFar);
    case Kind::kLast:
      return scroll(kFar);
    case Kind::kPrevious:
      chosen_cell_ = shown == 0 ? 0 : shown - 1;
      return;
    case Kind::kNext:
      chosen_cell_ = std::min(shown + 1, cells_.empty() ? 0 : cells_.size() - 1);
      return;
    case Kind::kRedraw:
      again_ = true;
      return;
    case Kind::kLetter:
      return switch_feature(action.letter);
  }
}

// Under the mutex.
void LiveView::switch_feature(char key) {
  if (!run_ || !features_.has(key)) return;
  auto vms = features_.switch_feature(key);
  if (!vms) {
    message_ = vms.error().message;
    return;
  }
  wanted_ = std::move(*vms);
  message_ = fmt::format("{} since {:.1f} s", features_.last(), seconds(monotonic_now() - began_));
}

}  // namespace vmm
