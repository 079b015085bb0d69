// Discrete events in virtual time over the very same Scheduler that runs real vCPUs. Workers take the same
// turn as the real run loop: pick → switch → inject → guest → exit → handle → again; the guests are programs
// (program.h), and all that a host charges comes from a CostProfile.
//
//   Simulator s(config);  s.run_until(warmup);  before = s.report(id);  s.run_until(end);  after =
//   s.report(id);
//
// One thread. The same config gives the same run, to the last nanosecond. Nothing is allocated after
// construction. Cost: O(log workers) per event, plus what the scheduler does.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "sched/base/rng.h"
#include "sched/base/sample_clock.h"
#include "sched/base/trace.h"
#include "sched/scheduler.h"
#include "sched/sim/cost_profile.h"
#include "sched/sim/event_tree.h"
#include "sched/sim/model_vcpu.h"
#include "sched/sim/program.h"
#include "sched/sim/replay.h"

namespace sched::sim {

struct VmModel {
  GuestKind guest = GuestKind::kLock;
  Workload workload;
  uint32_t vcpus = 1;
  bool kernel = false;                              // the workload runs at CPL 0
  std::shared_ptr<const ReplayScript> script = {};  // instead of `guest` and `workload`, if there is one
  int64_t handicap_percent = 0;  // 0 … 99: the VMM burns this share of each stretch on a worker
};

// Who switches between vCPUs.
enum class Threads : uint8_t {
  kWorkers,    // our workers
  kHost,       // the host, a thread per vCPU: no exit to user space to switch; spin exits do nothing.
               // It places threads by load, knowing nothing of VMs, and preempts them at its ticks.
  kHostYield,  // the same, with sched_yield() on a spin exit
};

struct Config {
  Setup setup;  // its VMs are those of `vms`, in order; with host threads one VM stands for all threads
  std::vector<VmModel> vms;
  CostProfile costs;
  Nanos spin_window{50'000};  // the guests' bell; 0: none
  bool sample_spins = false;  // who is found busy-waiting at a look (base/sample_clock.h) is treated as if it had rung
  Threads threads = Threads::kWorkers;
  bool carriers = false;  // each vCPU has a thread, between which workers are handed on
  uint64_t seed = 1;
  TraceSink* trace = nullptr;  // must outlive the simulator
};

// Where a vCPU's time on a worker went; the sum is the running time that the scheduler counts.
enum class Place : uint8_t { kGuest, kSpinning, kExits, kInjection, kMigration, kStolen, kCount };
inline constexpr size_t kPlaces = static_cast<size_t>(Place::kCount);
using Places = std::array<Nanos, kPlaces>;

// Everything since the start.
struct VcpuReport {
  Counters counters;
  Places places{};
  uint64_t exits = 0;  // caused by the guest
  uint64_t kicks = 0;  // caused by a signal: another worker's or the timer's
  VcpuStats sched;
};

class Simulator final : private Host {
 public:
  explicit Simulator(const Config& config);
  ~Simulator() override;

  // Up to and including the events of this instant.
  void run_until(Nanos end);

  Nanos now() const { return now_; }
  uint64_t events() const { return events_done_; }
  VcpuReport report(VcpuId vcpu) const;
  // IPI send → acknowledge of all senders of a VM, by ack_bucket() of nanoseconds.
  const std::array<uint64_t, kAckBuckets>& acks(VmId vm) const;
  // Forgets the longest waits so far: a measured window begins.
  void reset_peaks() { scheduler_.reset_peaks(); }
  // From this instant on, by VmId: Scheduler::change_policies(), and what the VMM burns of each VM's
  // stretches.
  void change_policies(std::span<const Policy> policies, std::span<const int64_t> handicap_percent);
  Nanos busy(WorkerId worker) const { return workers_[index_of(worker)].busy; }
  Scheduler& scheduler() { return scheduler_; }
  const Scheduler& scheduler() const { return scheduler_; }
  // What waits in its LAPIC to be taken.
  std::optional<IrqVector> interrupt(VcpuId vcpu) const;

 private:
  class ModelVm;

  // A vCPU with its accounts.
  struct Seat {
    Seat(VcpuId vcpu, ModelVm& model, ModelVcpu machine) : id(vcpu), vm(model), cpu(machine) {}
    VcpuId id;
    ModelVm& vm;
    ModelVcpu cpu;
    uint32_t worker = kNowhere;  // the last one
    Nanos entry{};               // what its next entry costs
    Places places{};
    uint64_t exits = 0;
    uint64_t kicks = 0;
  };

  enum class Phase : uint8_t { kIdle, kWaking, kEntering, kGuest, kExiting, kStolen };

  struct Worker {
    WorkerId id{};
    Phase phase = Phase::kWaking;
    Exit exit{};
    bool tick_wanted = false;  // by the scheduler, before the next entry
    bool irq_posted = false;   // look at the interrupts before the next entry
    Seat* seat = nullptr;
    Seat* last = nullptr;
    Nanos since{};  // accounted until then
    Nanos end{};    // of the phase
    Nanos entered{};
    Nanos kick_at = kForever;  // a kick arrives in the guest
    Nanos tick_at = kForever;
    Nanos noise_at = kForever;
    SampleClock samples;
    Phase resume = Phase::kIdle;  // kStolen: what was interrupted
    Nanos resume_left{};
    Nanos stolen_at{};
    Nanos due_migration{};  // kEntering: what is left to account, in this order
    Nanos due_injection{};
    Nanos busy{};
    Rng noise{0};
  };

  static constexpr uint32_t kNowhere = 0xffffffffu;

  // Host
  void kick(WorkerId worker) override;
  void arm_tick(WorkerId worker, Nanos at, Nanos now) override;

  void add_vms(const Config& config);
  void add_workers(uint64_t seed);
  void shuffle_threads(uint64_t seed);
  void publish_pages(const ModelVm& vm);
  void step(Worker& worker);

  // The worker's turn (turn.cc).
  void dispatch(Worker& worker);
  void take_turn(Worker& worker, bool fresh);
  void enter(Worker& worker);
  void tell_turn_end(const Worker& worker);
  void in_guest(Worker& worker);
  void go_on(Worker& worker);
  void leave(Worker& worker, Exit exit);
  void handle(Worker& worker);
  bool turn_over(Worker& worker);
  bool sampled_spin(Worker& worker);
  Nanos signal_at(const Worker& worker) const;
  bool spin(Worker& worker, Wait wait);
  void put(Worker& worker, TraceOut why);
  void halt(Worker& worker);
  void send_ipi(Worker& worker);
  void post(Seat& receiver);
  void end_of_interrupt(Seat& seat);
  Nanos round_trip(const Worker& worker, Exit exit) const;
  Nanos switch_cost(bool moves) const;
  bool host_switches(const Worker& worker, Exit exit) const;

  // Time (simulator.cc).
  void send_kick(Worker& worker, bool for_irq);
  void schedule(Worker& worker);
  void schedule_end(Worker& worker, Phase phase, Nanos length);
  void account(Worker& worker);
  void steal(Worker& worker);
  void resume(Worker& worker);
  void look(Seat& seat);
  Nanos draw(Worker& worker, Nanos mean);
  void trace(const Worker& worker, TraceKind kind, uint8_t why = 0, uint64_t value = 0,
             uint32_t other = kNoOne) const;

  const CostProfile costs_;
  const Threads threads_;
  const bool carriers_;
  const Nanos sample_cost_;  // 0: nobody looks whether guests busy-wait
  TraceSink* const trace_;
  Nanos now_{};
  uint64_t events_done_ = 0;
  int64_t kicks_sent_ = 0;  // in this step
  Scheduler scheduler_;
  EventTree clock_;
  std::vector<std::unique_ptr<ModelVm>> vms_;
  std::vector<Seat> seats_;        // VM by VM; never resized
  std::vector<uint32_t> seat_of_;  // by the scheduler's VcpuId
  std::vector<Worker> workers_;
};

}  // namespace sched::sim
