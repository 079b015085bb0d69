// Progress of long work on the standard error: a bar with the time left that is redrawn on a terminal, plain
// lines elsewhere. Main thread.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <utility>

#include "sched/base/types.h"

namespace vmm {

using sched::Nanos;

class Progress {
 public:
  // `now` is monotonic.
  Progress(std::ostream& err, bool is_terminal, std::function<Nanos()> now);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // How many steps there are in all, and how many of them need no work any more. May be called again when the
  // number changes.
  void plan(size_t steps, size_t already_done);
  // Where it is shown instead: the present step, and how far all is ("3/12, 0:42 left").
  void show_elsewhere(std::function<void(const std::string& step, const std::string& how_far)> show) {
    show_ = std::move(show);
  }
  // No step is begun after this instant of `now`.
  void limit(Nanos deadline) { deadline_ = deadline; }
  // What is still to be found out; plain lines show it when it changes.
  void note(const std::string& text);
  // The step that begins now.
  void begin(const std::string& what);
  // Share of the present step, 0 … 1.
  void update(double share);
  // The present step is done; `outcome` is shown where lines are plain. Empty: what came of it is shown already.
  void finish(const std::string& outcome);
  // Takes the bar off the screen, e.g. before printing something else.
  void clear();

 private:
  void draw(double share);
  [[nodiscard]] std::string time_left(double share) const;

  std::ostream& err_;
  const bool is_terminal_;
  const std::function<Nanos()> now_;
  size_t steps_ = 1;
  size_t done_ = 0;
  size_t worked_ = 0;  // steps done since the start, to tell how long one takes
  Nanos started_{};
  Nanos drawn_{};
  Nanos deadline_ = Nanos::max();
  std::string what_;
  std::string note_;
  bool on_screen_ = false;
  std::function<void(const std::string&, const std::string&)> show_;
};

}  // namespace vmm
