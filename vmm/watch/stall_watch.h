// The watchdog of a run: a thread of its own that looks at the engine several times a second, says who gets
// nowhere, and prints a dump; also when SIGUSR1 asks for one. The run goes on.
//
// It reads what is published (machine_view.h) and costs the threads that run vCPUs nothing. What only the
// holder of a vCPU may touch (registers, most of a LAPIC) is gathered by the thread that drives the engine,
// in a pause of microseconds, and only where all workers come to it.
//
// The driver's thread: start() after Engine::start(), serve() as often as it looks, stop() before
// Engine::stop().
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "vmm/watch/dossier.h"
#include "vmm/watch/thread_files.h"

namespace vmm::watch {

struct WatchSetup {
  Nanos stall{};  // what gets nowhere for so long is reported; 0: nothing is, but requests are answered
  // As in Limits. Empty: the host has the queues.
  std::function<Nanos(uint32_t)> longest_wait;
  uint32_t cpus = 1;
  // Takes whole lines; any thread, must not wait.
  std::function<void(const std::string&)> say;
  // Writes what the trace has of this time under this title, and says where; the watcher's thread. May be
  // empty.
  std::function<std::string(const std::string& title, Nanos from, Nanos to)> keep_trace;
  Symbolize symbolize;                // the driver's thread; may be empty
  std::function<void()> call_driver;  // any thread; empty: it looks several times a second
};

class StallWatch {
 public:
  [[nodiscard]] static Result<std::unique_ptr<StallWatch>> start(Engine& engine, WatchSetup setup);
  ~StallWatch() { stop(); }
  void stop();

  void serve();
  // The engine is paused, and it is certain that this VM never runs again.
  void vm_died(VmId vm, const std::string& why);

  // After stop(): what was found, a sentence each; and whether some of it still held, not for the host's
  // sake.
  [[nodiscard]] const std::vector<std::string>& stalls() const { return stalls_; }
  [[nodiscard]] bool stalled() const { return stalled_; }

 private:
  // What the driver found in a pause.
  struct Inside {
    std::vector<Registers> registers;
    std::vector<std::pair<sched::VcpuId, sched::VcpuId>> awaited;
  };

  StallWatch(Engine& engine, WatchSetup setup);
  Result<void> set_up();
  void loop();
  Nanos period() const;
  void look(Nanos planned);
  void read_threads();
  void report(const std::vector<Finding>& fresh);
  void dump_now(const std::string& title, const std::vector<Finding>& findings);
  std::string keep_traces(const Finding& finding);
  bool all_get_on() const;
  std::optional<Inside> ask_driver();

  Engine& engine_;
  const WatchSetup setup_;
  const Nanos started_;
  std::map<pid_t, ThreadFiles> files_;
  std::optional<ThreadFiles> own_;

  // The watcher's.
  Judge judge_;
  MachineView view_;
  std::vector<ThreadHost> threads_;
  ThreadHost own_before_;
  Nanos no_dump_before_{};
  uint32_t dumps_ = 0;
  std::vector<std::string> stalls_;
  bool stalled_ = false;

  // Between the watcher and the driver.
  std::atomic<bool> ends_{false};
  std::atomic<bool> asks_{false};
  std::mutex mutex_;
  std::condition_variable answered_;
  std::optional<Inside> answer_;

  std::thread thread_;
};

}  // namespace vmm::watch
