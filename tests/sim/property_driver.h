// A small machine in virtual time for property tests: workers, VMs and made-up vCPU programs over the real
// scheduler object. Events happen in order of (time, order of arrival), so a seed repeats a run exactly.
//
// One thread. Make a plan, construct, run_until() as often as wanted. What must never happen (a lost wake-up,
// a nominee beyond its limit, two penalties within the interval, sums that differ) is checked as it goes,
// with doctest's REQUIRE.
#pragma once

#include <queue>
#include <vector>

#include "property_plan.h"
#include "sched/queue/eevdf_queue.h"

namespace sched_test {

class Driver final : public Host {
 public:
  Driver(const Plan& plan, uint64_t seed);

  void run_until(Nanos until);
  Nanos now() const { return now_; }
  Scheduler& scheduler() { return s_; }
  Nanos service(VmId vm);  // running time of all its vCPUs so far
  uint64_t spins() const { return spins_; }
  // The longest time in which a worker was without a vCPU while another worker's queue had somebody waiting.
  Nanos longest_unfairly_idle() const { return longest_idle_; }

  // Every sum of every queue against a recomputation, lags that sum to zero, nobody halted with an interrupt.
  void check_all();

  void kick(WorkerId worker) override;
  void arm_tick(WorkerId worker, Nanos at, Nanos now) override;

 private:
  static constexpr Nanos kWindow = 50us;
  enum class Kind : uint8_t { kLook, kTick, kAction, kTimer };
  struct Event {
    Nanos at;
    uint64_t order;
    Kind kind;
    uint32_t whom;     // worker, or vCPU for kTimer
    uint64_t version;  // of the worker's armed tick or of its run; an outdated event is ignored
    bool operator<(const Event& other) const { return at != other.at ? at > other.at : order > other.order; }
  };
  struct Guest {
    Behaviour behaviour{};
    Nanos left{};            // until its next action, in running time
    uint32_t windows = 0;    // of spinning still to do
    bool sent = false;       // IPIs, and waits for the answers
    uint64_t awaits = 0;     // siblings by bit that have not acknowledged
    bool interrupt = false;  // IRR: the timer's, or IPIs from `senders`
    uint64_t senders = 0;
  };
  struct WorkerState {
    VcpuId running = kNoVcpu;
    Nanos since{};
    Nanos armed = kForever;
    uint64_t tick_version = 0;
    uint64_t run_version = 0;
    Nanos last_penalty{-1s};
  };
  enum class Next : uint8_t { kGoOn, kPut, kHalt };

  void push(Nanos at, Kind kind, uint32_t whom, uint64_t version = 0);
  void look(uint32_t worker);
  void act(uint32_t worker);
  void enter(uint32_t worker);
  void leave(uint32_t worker, Next how);
  void schedule_action(uint32_t worker);
  Next step(uint32_t worker, Guest& guest);
  Next spin(uint32_t worker);
  void send_ipis(VcpuId sender, Guest& guest);
  void take_interrupts(VcpuId vcpu);
  void post(VcpuId target);
  Guest& guest(VcpuId vcpu) { return guests_[index_of(vcpu)]; }
  Nanos up_to(Nanos limit) {
    return Nanos{1 + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(limit.count())))};
  }

  uint32_t groups() const { return static_cast<uint32_t>(plan_.setup.groups.size() + plan_.vms.size()); }
  bool idles_beside_work();
  void remember_nominees(const EevdfQueue& queue);
  void check_nominees(WorkerId worker, VcpuId picked);

  const Plan plan_;
  Rng rng_;
  Nanos now_{};
  uint64_t order_ = 0;
  uint64_t spins_ = 0;
  Nanos idle_since_ = kForever;  // a worker idles beside work; kForever: none does
  Nanos longest_idle_{};
  std::priority_queue<Event> events_;
  std::vector<WorkerState> workers_;
  std::vector<Guest> guests_;
  struct Nominee {
    const Timeline* timeline;
    const Entity* entity;
    Weight weight;
    Vruntime ahead;  // of the average when the pick was made
  };
  std::vector<Nominee> nominees_;
  uint32_t runnable_before_ = 0;  // the pick
  Scheduler s_;
};

}  // namespace sched_test
