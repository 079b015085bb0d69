// Who gets nowhere, and whose doing it is: what the watchdog concludes from looks at a machine that runs.
//
// Pure: looks come in with their times, findings go out. One thread.
//
// Three clocks are kept apart. A wait is judged by the time in which the worker in question could have ended
// it: what the host took from that worker (it was stopped, it was runnable without a CPU, or the whole
// process did not run) and pauses of kvmux's own are not held against the scheduler. How long a runnable vCPU
// may wait at all is the policy's to say (sched/policy/longest_wait.h); twice that is allowed.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/run/machine_view.h"

namespace vmm::watch {

// What the host says of a thread.
struct ThreadHost {
  bool known = false;
  char state = '?';  // as in /proc/PID/stat: R, S, D, T, t …
  Nanos ran{};       // on a CPU
  Nanos waited{};    // runnable without one; grows when the wait is over
  [[nodiscard]] bool is_stopped() const { return known && (state == 'T' || state == 't'); }
};

struct Finding {
  enum class Kind : uint8_t {
    // The host's doing.
    kProcessStopped,
    kThreadStopped,
    kStarved,
    // Neither: a system call, a lock, a device.
    kOutsideGuest,
    // The scheduler's.
    kPassedOver,   // its worker runs others all the time
    kLostKick,     // its worker sleeps
    kEndlessTurn,  // its worker has run another one all the while
    kLostWakeup,
    kLostOnItsWay,
  };
  Kind kind{};
  std::optional<sched::WorkerId> worker;
  std::optional<sched::VcpuId> vcpu;
  Nanos lasts{};
  std::string text;  // a sentence that says who, for how long, and whose doing it is

  [[nodiscard]] bool is_hosts_doing() const { return kind <= Kind::kStarved; }
  [[nodiscard]] bool is_same(const Finding& other) const {
    return kind == other.kind && worker == other.worker && vcpu == other.vcpu;
  }
};

struct Limits {
  Nanos stall{};
  // How long a runnable vCPU may wait where so many are runnable on a worker. Empty: the host has the queues,
  // and nothing is promised.
  std::function<Nanos(uint32_t)> longest_wait;
  uint32_t cpus = 1;  // that the threads share
};

class Judge {
 public:
  explicit Judge(Limits limits) : limits_(std::move(limits)) {}

  // A look later than the one before, with what the host says of each of view.workers. `late`: the watcher
  // wanted to look that much earlier. `stopped`: for that time it was not even runnable. What holds now and
  // did not before.
  std::vector<Finding> look(const MachineView& view, std::span<const ThreadHost> threads, Nanos late = {},
                            bool stopped = false);
  // What holds since the last look, be it new or not.
  [[nodiscard]] const std::vector<Finding>& standing() const { return standing_; }

 private:
  // Time that a thread did not have, since the first look; and what it had.
  struct Taken {
    Nanos all{};      // by the host or by a pause
    Nanos host{};     // by the host, kvmux as a whole or this thread alone
    Nanos waited{};   // it was runnable, and the others ran
    Nanos stopped{};  // it was stopped, and the others were not
    Nanos ran{};
  };
  struct Sample {
    Nanos at{};
    std::vector<Taken> taken;  // by worker
  };
  struct WorkerTrack {
    uint64_t beats = 0;
    Nanos still_since{};  // no beat since
    Nanos parked{};
    pid_t thread = 0;
    ThreadHost host;
    Taken taken;
    uint32_t runnable = 0;
  };
  struct VcpuTrack {
    sched::RunState state{};
    Nanos since{};
    std::optional<Nanos> owed_since;  // it should have been woken, or have arrived
  };

  void follow(const MachineView& view, std::span<const ThreadHost> threads, Nanos late);
  void keep_sample(const MachineView& view);
  void follow_worker(const WorkerView& view, const ThreadHost& host, Nanos stretch, Nanos late,
                     WorkerTrack& track);
  void follow_vcpu(const VcpuView& view, Nanos now);
  Taken taken_since(size_t worker, Nanos at) const;
  Nanos most_taken_since(Nanos at) const;
  Nanos allowed_wait() const;
  std::optional<Finding> of_worker(const MachineView& view, size_t worker) const;
  std::optional<Finding> of_vcpu(const MachineView& view, const VcpuView& vcpu) const;
  std::optional<Finding> of_waiting(const MachineView& view, const VcpuView& vcpu) const;
  std::optional<Finding> of_owed(const MachineView& view, const VcpuView& vcpu) const;
  bool is_wanted(const MachineView& view, size_t worker) const;
  bool has_own_queues() const { return static_cast<bool>(limits_.longest_wait); }

  const Limits limits_;
  std::optional<Nanos> last_;
  std::vector<WorkerTrack> workers_;
  std::vector<VcpuTrack> vcpus_;
  std::deque<Sample> samples_;
  std::vector<Finding> standing_;
};

}  // namespace vmm::watch
