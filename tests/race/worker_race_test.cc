// The whole protocol as workers use it (vmm/run/worker.cc): the real scheduler, two worker threads with their
// Kicks, vCPUs with their IRRs, and a third thread that posts interrupts like a device. Tokens, each an
// interrupt vector of its own, hop between the vCPUs of a VM; almost all of these sleep, so almost every hop
// is an interrupt for one that halts, has halted or is being woken; every fourth is by the vCPU's own LAPIC
// timer, while which it halts, waits in the queue, or computes. A token that nobody takes any more is a lost
// wake-up, and a guest that computes on after its deadline has met a lost signal.
#include <chrono>
#include <optional>
#include <string>

#include "apic/pending_vectors.h"
#include "manual_timer.h"
#include "race_support.h"
#include "sched/policy/parse.h"
#include "sched/scheduler.h"
#include "vmm/run/alarms.h"

using namespace race;
using namespace sched;

namespace {

constexpr uint32_t kWorkers = 2;
constexpr uint32_t kVms = 3;     // not as many on each worker: where VMs stay whole they move to and fro
constexpr uint32_t kVcpus = 4;   // of a VM
constexpr uint32_t kTokens = 3;  // of a VM
constexpr uint8_t kFirstToken = 64;
constexpr uint8_t kDeviceVector = 200;
constexpr uint64_t kHopsPerRun = 50'000;
constexpr auto kGiveUp = std::chrono::seconds(30);  // without any hop
constexpr Nanos kLongestTimer{20'000};
constexpr Nanos kLost{1'000'000'000};
constexpr std::array kPresets{"kvmux,balance-interval=100us", "rr", "v2", "gang", "v3", "fair", "yield"};

struct alignas(64) Vcpu {
  apic::PendingVectors irr;
  std::optional<vmm::Alarm> alarm;
  // Its LAPIC's timer; the lease holder's.
  Nanos deadline = kForever;
  apic::Vector timer_vector{0};
  uint64_t stays = 0;  // no atomic: its lease, as TSan sees it
};

// The rest of a turn in the guest: a few instructions, or an end by a signal.
class ShortGuest final : public Guest {
 public:
  ShortGuest(ManualTimer& timer, uint64_t units) : Guest(timer), units_(units) {}

 private:
  void inside() override {
    for (uint64_t i = 0; i < units_ && !exit_requested(); ++i) pause(8);
  }
  uint64_t units_;
};

// Stays in the guest until it is taken out, or too late.
class LongGuest final : public Guest {
 public:
  LongGuest(ManualTimer& timer, Nanos limit, const std::atomic<bool>& stop)
      : Guest(timer), limit_(limit), stop_(stop) {}
  bool gave_up() const { return gave_up_; }

 private:
  void inside() override {
    while (!exit_requested() && !stop_.load(std::memory_order_relaxed)) {
      if (vmm::monotonic_now() < limit_) continue;
      gave_up_ = !exit_requested();
      return;
    }
  }
  const Nanos limit_;
  const std::atomic<bool>& stop_;
  bool gave_up_ = false;
};

Setup setup_of(uint64_t seed) {
  const auto policy = parse_policy(kPresets[seed % kPresets.size()]);
  REQUIRE(policy);
  Setup setup;
  setup.workers = kWorkers;
  setup.queue = policy->features.queue;
  setup.tuning = policy->tuning;
  setup.seed = seed;
  for (uint32_t vm = 0; vm < kVms; ++vm) {
    setup.vms.push_back({.vcpus = kVcpus, .weight = {}, .parent = kRootGroup, .policy = *policy});
  }
  return setup;
}

class Machine final : public Host {
 public:
  explicit Machine(uint64_t seed) : seed_(seed), s_(setup_of(seed), *this) {
    for (uint32_t v = 0; v < s_.vcpus(); ++v) vcpus_[v].alarm.emplace(VcpuId{v});
  }
  uint64_t timers() const { return timers_.load(); }

  // What went wrong, or nothing.
  std::string run() {
    std::vector<std::thread> threads;
    for (uint32_t w = 0; w < kWorkers; ++w) threads.emplace_back([this, w] { work(WorkerId{w}); });
    wait_until([this] { return ready_.load() == kWorkers; });
    for (uint32_t v = 0; v < s_.vcpus(); ++v) s_.start(VcpuId{v}, vmm::monotonic_now());
    for (uint32_t vm = 0; vm < kVms; ++vm) {
      for (uint32_t t = 0; t < kTokens; ++t) post(s_.vcpu_id(VmId{vm}, t), token(t));
    }
    const bool arrived = be_a_device();
    std::string states = arrived ? std::string() : describe();
    if (lost_.load() != 0) states += "lost LAPIC deadlines: " + std::to_string(lost_.load());
    stop_.store(true);
    for (WorkerThread& w : workers_) ask(w, kStop, false);
    for (std::thread& thread : threads) thread.join();
    s_.check();
    return states;
  }

  void kick(WorkerId worker) override {
    WorkerThread& w = workers_[index_of(worker)];
    ask(w, kTick, &w == current);
  }
  void arm_tick(WorkerId worker, Nanos at, Nanos now) override {
    workers_[index_of(worker)].kicks.arm_tick(at, now);
  }

 private:
  enum Reason : uint32_t { kTick = 1, kLook = 2, kStop = 4 };
  enum class Departure : uint8_t { kPut, kHalt };
  struct alignas(64) WorkerThread {
    vmm::BasicKicks<ManualTimer> kicks{0};
    vmm::Alarms alarms{kVms * kVcpus};
    ManualTimer* timer = nullptr;
    std::atomic<bool> woken{false};
  };
  static inline thread_local WorkerThread* current = nullptr;

  static apic::Vector token(uint32_t t) { return apic::Vector(static_cast<uint8_t>(kFirstToken + t)); }

  static void ask(WorkerThread& w, uint32_t why, bool by_owner) {
    w.kicks.ask(why, by_owner, [&w] { w.woken.store(true, std::memory_order_release); });
  }

  void post(VcpuId target, apic::Vector vector) {
    vcpus_[index_of(target)].irr.post(vector, apic::TriggerMode::kEdge);
    tell(target);
  }
  void tell(VcpuId target) {
    if (s_.interrupt_posted(target, vmm::monotonic_now()) != Scheduler::Posted::kRunning) return;
    WorkerThread& w = workers_[index_of(s_.status(target).worker())];
    ask(w, kLook, &w == current);
  }

  // Posts now and then until all tokens have arrived. False: no hop for long.
  bool be_a_device() {
    Rng rng(seed_);
    auto last = std::chrono::steady_clock::now();
    uint64_t seen = 0;
    for (bool over = false;;) {
      const uint64_t hops = hops_.load(std::memory_order_relaxed);
      over = over || hops >= kHopsPerRun;
      if (over && arrived_.load() == kVms * kTokens && all_taken()) return true;
      if (hops != seen || devices_.exchange(false)) last = std::chrono::steady_clock::now();
      seen = hops;
      if (std::chrono::steady_clock::now() - last > kGiveUp) return false;
      if (!over) post(VcpuId{static_cast<uint32_t>(rng.below(s_.vcpus()))}, apic::Vector(kDeviceVector));
      for (uint64_t i = rng.below(64); i > 0; --i) std::this_thread::yield();
    }
  }
  bool all_taken() const {
    for (const Vcpu& vcpu : vcpus_) {
      if (vcpu.irr.highest()) return false;
    }
    return true;
  }

  std::string describe() const {
    std::string text = "lost wake-up under " + std::string(kPresets[seed_ % kPresets.size()]) +
                       "; replay with KVMUX_SEED=" + std::to_string(seed_) + "; states:";
    for (uint32_t v = 0; v < s_.vcpus(); ++v) {
      text += ' ' + std::to_string(static_cast<uint32_t>(s_.status(VcpuId{v}).state()));
      if (vcpus_[v].irr.highest()) text += "+irq";
    }
    return text;
  }

  // --- A worker, step by step as in vmm/run/worker.cc. ---
  void work(WorkerId id) {
    WorkerThread& w = workers_[index_of(id)];
    current = &w;
    const Pinned here(index_of(id));
    const bool good = w.kicks.set_up(trouble_).has_value();
    w.timer = ManualTimer::created;
    ready_.fetch_add(good ? 1 : 0);
    Rng rng(seed_ * kWorkers + index_of(id));
    for (;;) {
      if ((w.kicks.take() & kStop) != 0) return;
      post_due(w, kNoVcpu);
      if (const auto turn = s_.pick(id, vmm::monotonic_now())) {
        host(id, w, turn->vcpu, rng);
      } else {
        w.kicks.sleep([&] {
          wait_until([&] {
            return w.woken.exchange(false) || stop_.load() || vmm::monotonic_now() >= w.alarms.earliest();
          });
        });
      }
    }
  }

  void host(WorkerId id, WorkerThread& w, VcpuId vcpu, Rng& rng) {
    ++vcpus_[index_of(vcpu)].stays;
    const Departure departure = stay(id, w, vcpu, rng);
    w.alarms.keep(*vcpus_[index_of(vcpu)].alarm, vcpus_[index_of(vcpu)].deadline);
    if (departure == Departure::kPut) return s_.put(id, vmm::monotonic_now(), rng.below(2) == 0);
    s_.halt(id, vmm::monotonic_now());
    if (vcpus_[index_of(vcpu)].irr.highest()) tell(vcpu);
  }

  void post_due(WorkerThread& w, VcpuId running) {
    while (const auto due = w.alarms.take_due(vmm::monotonic_now())) {
      if (*due != running) tell(*due);
    }
  }

  // As before an entry: what its timer has to say becomes an interrupt.
  static void expire_timer(Vcpu& vcpu) {
    if (vcpu.deadline > vmm::monotonic_now()) return;
    vcpu.irr.post(vcpu.timer_vector, apic::TriggerMode::kEdge);
    vcpu.deadline = kForever;
  }

  Departure stay(WorkerId id, WorkerThread& w, VcpuId vcpu, Rng& rng) {
    Vcpu& me = vcpus_[index_of(vcpu)];
    apic::PendingVectors& irr = me.irr;
    for (;;) {
      const uint32_t reasons = w.kicks.take();
      if ((reasons & kStop) != 0) {
        w.kicks.put_back(kStop);
        return Departure::kPut;
      }
      const bool tick = w.kicks.take_fired() && vmm::monotonic_now() >= w.kicks.tick_at();
      post_due(w, vcpu);
      if ((tick || (reasons & kTick) != 0) && !s_.tick(id, vmm::monotonic_now())) return Departure::kPut;
      s_.interrupts_seen(vcpu);
      expire_timer(me);
      while (const auto vector = irr.highest()) {
        static_cast<void>(irr.take(*vector));
        if (handle(vcpu, *vector, rng) && s_.sent(id, vmm::monotonic_now())) return Departure::kPut;
      }
      w.alarms.keep(*me.alarm, me.deadline);
      w.kicks.arm_alarm(w.alarms.earliest());
      if (me.deadline != kForever && rng.below(2) == 0) {
        wait_for_timer(w, me);
        continue;
      }
      ShortGuest guest(*w.timer, rng.below(8));
      static_cast<void>(w.kicks.run(guest));
      const bool spins = rng.below(spins_one_in_) == 0;
      if (spins && s_.spin(id, vmm::monotonic_now(), rng.below(2) == 0)) return Departure::kPut;
      if (!spins && !irr.highest()) return Departure::kHalt;
    }
  }

  // A guest that does nothing but wait for its timer: only a signal takes it out. One that nobody sends is a
  // lost deadline.
  void wait_for_timer(WorkerThread& w, const Vcpu& me) {
    LongGuest guest(*w.timer, me.deadline + kLost, stop_);
    static_cast<void>(w.kicks.run(guest));
    if (guest.gave_up()) lost_.fetch_add(1);
  }

  // The guest's handler: the token goes on. True: by an IPI.
  bool handle(VcpuId vcpu, apic::Vector vector, Rng& rng) {
    const IrqVector irq{apic::raw(vector)};
    s_.eoi(vcpu, irq, vmm::monotonic_now());
    if (apic::raw(vector) == kDeviceVector) {
      devices_.store(true);
      return false;
    }
    if (hops_.fetch_add(1, std::memory_order_relaxed) >= kHopsPerRun) {
      arrived_.fetch_add(1);
      return false;
    }
    // Every fourth hop is by the vCPU's own timer, if that is free.
    Vcpu& here = vcpus_[index_of(vcpu)];
    if (here.deadline == kForever && rng.below(4) == 0) {
      here.timer_vector = vector;
      here.deadline = vmm::monotonic_now() + Nanos(static_cast<int64_t>(rng.below(kLongestTimer.count())));
      timers_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    const uint32_t me = s_.index_in_vm(vcpu);
    const uint32_t next = (me + 1 + static_cast<uint32_t>(rng.below(kVcpus - 1))) % kVcpus;
    const VmId vm = s_.vm_of(vcpu);
    const VcpuId target = s_.vcpu_id(vm, next);
    VcpuSet receivers(kVcpus);
    receivers.insert(next);
    vcpus_[index_of(target)].irr.post(vector, apic::TriggerMode::kEdge);
    s_.ipi_sent(vm, {me, irq, false, receivers}, vmm::monotonic_now());
    tell(target);
    return true;
  }

  const uint64_t seed_;
  const uint64_t spins_one_in_ =
      seed_ % 2 == 0 ? 16 : 2;  // who often spins is soon known to wait for its receivers
  std::array<WorkerThread, kWorkers> workers_;
  std::array<Vcpu, kVms * kVcpus> vcpus_;
  std::atomic<uint32_t> ready_{0};
  vmm::Trouble trouble_;
  std::atomic<uint64_t> hops_{0};
  std::atomic<uint64_t> timers_{0};
  std::atomic<uint64_t> lost_{0};
  std::atomic<uint32_t> arrived_{0};
  std::atomic<bool> devices_{false};
  std::atomic<bool> stop_{false};
  Scheduler s_;
};

}  // namespace

TEST_CASE("race: no token that hops between sleeping vCPUs is ever lost, under any run queue") {
  const uint64_t runs = std::max<uint64_t>(kPresets.size(), races() / kHopsPerRun);
  uint64_t timers = 0;
  for (uint64_t run = 0; run < runs; ++run) {
    Machine machine(batch_seed(run));
    const std::string wrong = machine.run();
    REQUIRE_MESSAGE(wrong.empty(), wrong);
    timers += machine.timers();
  }
  MESSAGE((runs * kHopsPerRun) << " hops, " << timers << " of them by a LAPIC timer");
}
