// Ends a process that hangs: says what it was doing and where each of its threads stands, then aborts, so
// that there is a core as well where the host keeps them.
//
// One a process, made before other threads start. begin() and end(): one thread at a time.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "tests/soak/machine.h"

namespace soak {

class Watchdog {
 public:
  Watchdog();
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // `what` must be over within `limit`: the next begin() or end() has to come by then.
  void begin(std::string what, Nanos limit);
  void end();

 private:
  void watch();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string what_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  bool over_ = false;
  std::thread thread_;
};

// To standard error: state, place in the kernel and system call of every thread of a process.
void dump_threads(pid_t process);

}  // namespace soak
