// A thread that workers come to. Before Linux 6.13 a vCPU that changes threads waits for an RCU grace period
// (move_cost.h); there each vCPU has a thread of its own that alone runs its KVM_RUN, its carrier, and a
// worker is a token: whichever thread holds it is that worker, with its lease of a vCPU, its timer and its
// CPU.
//
// A worker's own thread (worker.h) is its home: there it begins, parks at the pause barrier and ends. When
// the scheduler chooses a vCPU, the worker goes to that one's carrier, which runs the stay and chooses the
// next; if that is the same one, nobody is woken. A worker without a vCPU sleeps where it is.
//
// No thread that is wanted waits for one that waits, because
//   a carrier parks no worker and ends none: it sends them home;
//   one that is chosen while its thread still has another worker finds the new one in its inbox, which has
//   room, since a vCPU is chosen by one worker at a time; what the thread still has to do for the old one is
//   bounded, unless it sleeps with it; who sleeps with a worker goes home when there is mail:
//     giver:   puts it into the inbox;     reads who sleeps here → kicks that worker
//     sleeper: writes who sleeps here;     looks into the inbox → home
//   all four sequentially consistent.
//
// The CPU is the worker's: the giver binds the receiver, which sleeps then, to it where it was not bound to
// it last, and the receiver sees to it that it is where it should be.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "vmm/result.h"
#include "vmm/run/inbox.h"
#include "vmm/run/thread_timer.h"
#include "vmm/run/trouble.h"

namespace vmm {

class Worker;
struct Vcpu;

// A worker on its way.
struct Token {
  Worker* worker = nullptr;
  Vcpu* vcpu = nullptr;  // that it has chosen; null: it looks itself what is to be done
  Nanos from{};          // since when that one has the worker
};

class Carrier {
 public:
  // A worker's home: the calling thread, which waits for its worker itself (next()).
  static std::unique_ptr<Carrier> home(Trouble& trouble);
  // Starts a thread that holds whatever worker comes, bound to `cpu` at first.
  [[nodiscard]] static Result<std::unique_ptr<Carrier>> start(const std::string& name, int cpu,
                                                              Trouble& trouble);
  ~Carrier() { stop(); }
  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;

  // Any thread that holds this worker, and holds it no more after that. `cpu`: the worker's.
  void give(const Token& token, int cpu);
  // When no worker is here or on its way here, and all givers are through.
  void stop();

  // Own thread.
  std::optional<Token> next();
  bool is_home() const { return home_; }
  bool has_mail() const { return inbox_.has_mail(); }
  void sleeps_with(Worker* worker) { sleeps_with_.store(worker, std::memory_order_seq_cst); }
  ThreadTimer* timer() { return timer_.get(); }  // null: a home, where nobody enters a guest
  // Binds it, unless it is there.
  void be_on(int cpu);
  void is_bound_to(int cpu) { cpu_.store(cpu, std::memory_order_relaxed); }
  pid_t thread() const { return thread_id_; }

 private:
  Carrier(bool home, Trouble& trouble) : home_(home), trouble_(trouble) {}
  Result<void> set_up(const std::string& name, int cpu);
  void loop();

  const bool home_;
  Trouble& trouble_;
  Inbox<Token> inbox_;
  pid_t thread_id_ = 0;
  std::unique_ptr<ThreadTimer> timer_;
  std::atomic<int> cpu_{-1};  // bound to last, as far as known
  std::atomic<Worker*> sleeps_with_{nullptr};
  std::thread thread_;
};

}  // namespace vmm
