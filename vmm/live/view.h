// --live: a screen that shows a run while it goes on, ten times a second, from a thread of its own.
//
//   auto view = LiveView::open(…)   main thread, before the sandbox closes
//   view->start()                   main thread, when it has closed: takes the terminal
//   … runs with the view as their observer …
//   ~LiveView()                     gives the terminal back; what was printed meanwhile appears
//
// It looks at counters that exist anyway (Engine's calls for any thread); the threads that run vCPUs do
// nothing for it. Messages and results that would go to the same terminal wait until it is given back.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "vmm/cli/terminal.h"
#include "vmm/kvm/fd.h"
#include "vmm/live/console_pane.h"
#include "vmm/live/curses_screen.h"
#include "vmm/live/features.h"
#include "vmm/live/frame.h"
#include "vmm/live/keys.h"
#include "vmm/output/outlet.h"
#include "vmm/run/observer.h"

namespace vmm {

class LiveView final : public RunObserver {
 public:
  enum class Of : uint8_t {
    kRun,      // keys switch features
    kBoot,     // … behind Ctrl-A: all others are the guest's
    kCompare,  // keys choose the cell that is shown: a switched feature would falsify the comparison
  };
  // `stop` is set by the key that quits. Usage errors: the standard input is no terminal, or one that cannot
  // move its cursor.
  [[nodiscard]] static Result<std::unique_ptr<LiveView>> open(Of of, std::atomic<bool>& stop);
  [[nodiscard]] Result<void> start();
  ~LiveView() override;
  LiveView(const LiveView&) = delete;
  LiveView& operator=(const LiveView&) = delete;

  // What is going to run, and how far all of it is (in front of the run's own clock).
  void set_title(const std::string& title, const std::string& clock = "");
  // All cells as far as they are measured; `current` is shown unless the user looks at another.
  void set_cells(std::vector<LiveComparison> cells, size_t current);
  // A key that was typed behind Ctrl-A. Any thread.
  void type(uint8_t key);
  // What the guest prints. Any thread, one at a time.
  void print(std::span<const uint8_t> bytes);
  // The standard output is this terminal: what the guest prints cannot go there now.
  [[nodiscard]] bool has_output() const { return held_.output; }

  // RunObserver
  void begins(const ObservedRun& run) override;
  void ends() override;
  void changed(std::span<const VmChange> vms) override;
  [[nodiscard]] std::optional<std::vector<VmChange>> take_change() override;

 private:
  // Messages and results of this process that would be written over the screen.
  struct Held {
    bool output = false;
    bool error = false;
    void hold(int terminal);
    void release();
  };

  LiveView(Of of, std::atomic<bool>& stop, std::unique_ptr<CursesScreen> screen, UniqueFd terminal);
  void loop();
  void look();
  void redraw();
  LiveFrame frame();
  void wait_for_keys(Nanos until);
  void act(const LiveAction& action);
  void switch_feature(char key);
  void scroll(int64_t rows);

  const Of of_;
  std::atomic<bool>& stop_;
  const std::unique_ptr<CursesScreen> screen_;
  const UniqueFd terminal_;  // not blocking, of nobody else
  std::optional<RawTerminal> raw_;
  Held held_;
  std::thread thread_;

  std::mutex mutex_;
  std::condition_variable wake_;
  // Under the mutex.
  bool ending_ = false;
  std::optional<ObservedRun> run_;
  Nanos began_{};
  std::deque<LiveSample> samples_;  // of the present run or the last, oldest first
  LiveFeatures features_;
  std::optional<std::vector<VmChange>> wanted_;
  std::string title_;
  std::string clock_;
  std::string message_;
  std::vector<LiveComparison> cells_;
  size_t current_cell_ = 0;
  std::optional<size_t> chosen_cell_;
  size_t scroll_ = 0;
  bool again_ = false;  // all of the screen

  std::mutex console_mutex_;  // of its own: who prints must not wait for who draws
  ConsolePane console_;

  // The view's thread alone.
  LiveKeys keys_;
  bool has_keys_ = true;  // false: the terminal has hung up
  uint32_t drawn_on_ = 0;
  LiveSize drawn_size_;
};

}  // namespace vmm
