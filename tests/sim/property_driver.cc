#include "property_driver.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <utility>

namespace sched_test {
namespace {

Setup with_vms(const Plan& plan) {
  Setup setup = plan.setup;
  setup.vms.clear();
  for (const VmPlan& vm : plan.vms) setup.vms.push_back(vm.setup);
  return setup;
}

template <class Fn>
void for_each_member(const Timeline& timeline, Fn fn) {
  for (const Entity* e = timeline.tree().first(); e != nullptr; e = Tree::next(*e)) fn(*e);
  if (timeline.current() != nullptr) fn(*timeline.current());
}

}  // namespace

Policy preset(std::string_view name) {
  Policy policy;
  policy.name = name;
  for (const Preset& p : presets()) {
    if (p.name == name) policy.features = p.features;
  }
  return policy;
}

std::string Plan::describe() const {
  std::ostringstream out;
  out << setup.workers << " workers";
  for (const GroupSetup& group : setup.groups) {
    out << "; group " << group.weight.value << " in " << static_cast<int32_t>(group.parent);
  }
  for (const VmPlan& vm : vms) {
    out << "; " << vm.setup.policy.name << " vm " << vm.setup.weight.value << " in "
        << static_cast<int32_t>(vm.setup.parent) << ":";
    for (const Behaviour behaviour : vm.vcpus) out << ' ' << static_cast<int>(behaviour);
  }
  return out.str();
}

Driver::Driver(const Plan& plan, uint64_t seed)
    : plan_(plan), rng_(seed), workers_(plan.setup.workers), s_(with_vms(plan), *this) {
  for (const VmPlan& vm : plan.vms) {
    for (const Behaviour behaviour : vm.vcpus) {
      Guest& guest = guests_.emplace_back();
      guest.behaviour = behaviour;
      guest.left = behaviour == Behaviour::kCompute ? kForever : up_to(1ms);
    }
  }
  for (uint32_t w = 0; w < plan.setup.workers; ++w) push(0ns, Kind::kLook, w);
  for (uint32_t v = 0; v < s_.vcpus(); ++v) s_.start(VcpuId{v}, now_);
}

void Driver::push(Nanos at, Kind kind, uint32_t whom, uint64_t version) {
  events_.push({at, order_++, kind, whom, version});
}

// A kick takes up to 2 µs to arrive.
void Driver::kick(WorkerId worker) {
  push(now_ + Nanos{static_cast<int64_t>(rng_.below(2000))}, Kind::kLook, index_of(worker));
}

void Driver::arm_tick(WorkerId worker, Nanos at) {
  WorkerState& state = workers_[index_of(worker)];
  state.armed = at;
  ++state.tick_version;
  if (at != kForever) push(std::max(at, now_), Kind::kTick, index_of(worker), state.tick_version);
}

void Driver::run_until(Nanos until) {
  uint64_t at_one_instant = 0;
  while (!events_.empty() && events_.top().at <= until) {
    const Event event = events_.top();
    events_.pop();
    at_one_instant = event.at == now_ ? at_one_instant + 1 : 0;
    REQUIRE_MESSAGE(at_one_instant < 10'000, "time stands still");
    now_ = event.at;
    switch (event.kind) {
      case Kind::kLook:
        look(event.whom);
        break;
      case Kind::kTick:
        if (workers_[event.whom].tick_version == event.version) look(event.whom);
        break;
      case Kind::kAction:
        if (workers_[event.whom].run_version == event.version) act(event.whom);
        break;
      case Kind::kTimer:
        post(VcpuId{event.whom});
        break;
    }
  }
  now_ = until;
}

// The worker's loop, from a tick or a kick on.
void Driver::look(uint32_t worker) {
  WorkerState& w = workers_[worker];
  if (w.running == kNoVcpu) return enter(worker);
  take_interrupts(w.running);
  if (!s_.tick(WorkerId{worker}, now_)) {
    leave(worker, Next::kPut);
  } else {
    schedule_action(worker);
  }
}

void Driver::enter(uint32_t worker) {
  WorkerState& w = workers_[worker];
  const WorkerId id{worker};
  s_.inspect(id, [&](RunQueue& queue) {
    nominees_.clear();
    if (const auto* eevdf = dynamic_cast<EevdfQueue*>(&queue)) remember_nominees(*eevdf);
  });
  const auto turn = s_.pick(id, now_);
  if (!turn) return;
  w.running = turn->vcpu;
  w.since = now_;
  check_nominees(w.running);
  take_interrupts(w.running);
  schedule_action(worker);
}

// The program's next action, or a sleeper's just before the tick.
void Driver::schedule_action(uint32_t worker) {
  WorkerState& w = workers_[worker];
  Guest& g = guest(w.running);
  if (g.left != kForever) g.left -= now_ - w.since;
  w.since = now_;
  ++w.run_version;
  if (g.behaviour == Behaviour::kSleepsAtTick) {
    g.left = w.armed == kForever ? 1ms : std::max(1ns, w.armed - now_ - 1us);
  }
  if (g.left != kForever) push(now_ + std::max(0ns, g.left), Kind::kAction, worker, w.run_version);
}

void Driver::leave(uint32_t worker, Next how) {
  WorkerState& w = workers_[worker];
  const VcpuId vcpu = w.running;
  Guest& g = guest(vcpu);
  if (g.left != kForever) g.left = std::max(0ns, g.left - (now_ - w.since));
  ++w.run_version;
  w.running = kNoVcpu;
  if (how == Next::kPut) {
    s_.put(WorkerId{worker}, now_, rng_.below(2) == 0);
  } else {
    s_.halt(WorkerId{worker}, now_);
    if (g.interrupt) s_.interrupt_posted(vcpu, now_);
  }
  enter(worker);
}

void Driver::act(uint32_t worker) {
  WorkerState& w = workers_[worker];
  Guest& g = guest(w.running);
  w.since = now_;
  g.left = 0ns;
  const Next next = step(worker, g);
  if (next != Next::kGoOn) return leave(worker, next);
  schedule_action(worker);
}

Driver::Next Driver::step(uint32_t worker, Guest& g) {
  const VcpuId me = workers_[worker].running;
  switch (g.behaviour) {
    case Behaviour::kYieldsTight:
      g.left = 20us;
      return spin(worker);
    case Behaviour::kSpins:
      if (g.windows == 0) g.windows = 1 + static_cast<uint32_t>(rng_.below(20));
      g.left = --g.windows == 0 ? up_to(1ms) : kWindow;
      return spin(worker);
    case Behaviour::kSleeps:
      g.left = up_to(3ms);
      push(now_ + up_to(5ms), Kind::kTimer, index_of(me));
      return Next::kHalt;
    case Behaviour::kSleepsAtTick:
      push(now_ + 1us, Kind::kTimer, index_of(me));
      return Next::kHalt;
    case Behaviour::kSendsIpis:
      if (g.sent && g.awaits != 0) {
        g.left = kWindow;
        return spin(worker);
      }
      g.sent = !g.sent;
      if (g.sent) send_ipis(me, g);
      g.left = g.sent ? kWindow : up_to(500us);
      return Next::kGoOn;
    default:
      g.left = kForever;
      return Next::kGoOn;
  }
}

Driver::Next Driver::spin(uint32_t worker) {
  WorkerState& w = workers_[worker];
  const WorkerId id{worker};
  ++spins_;
  const uint64_t before = s_.stats(w.running, now_).penalties;
  const bool off = s_.spin(id, now_, rng_.below(2) == 0);
  if (s_.stats(w.running, now_).penalties != before) {
    REQUIRE_MESSAGE(now_ - w.last_penalty > 6ms, "two penalties within 6 ms on worker " << worker);
    w.last_penalty = now_;
  }
  return off ? Next::kPut : Next::kGoOn;
}

void Driver::send_ipis(VcpuId sender, Guest& g) {
  const VmId vm = s_.vm_of(sender);
  const uint32_t n = static_cast<uint32_t>(plan_.vms[index_of(vm)].vcpus.size());
  VcpuSet receivers(n);
  const uint32_t me = s_.index_in_vm(sender);
  for (uint32_t i = 0; i < n; ++i) {
    if (i == me || rng_.below(2) == 0) continue;
    receivers.insert(i);
    g.awaits |= uint64_t{1} << i;
    Guest& receiver = guest(s_.vcpu_id(vm, i));
    receiver.interrupt = true;
    receiver.senders |= uint64_t{1} << me;
  }
  s_.ipi_sent(vm, {me, IrqVector{0x40}, false, receivers}, now_);
  receivers.for_each([&](uint32_t i) { post(s_.vcpu_id(vm, i)); });
}

// An interrupt is visible in the target's IRR.
void Driver::post(VcpuId target) {
  guest(target).interrupt = true;
  if (s_.interrupt_posted(target, now_) == Scheduler::Posted::kRunning) kick(s_.status(target).worker());
}

// Its handler acknowledges everything at once.
void Driver::take_interrupts(VcpuId vcpu) {
  Guest& g = guest(vcpu);
  s_.interrupts_seen(vcpu);
  if (!g.interrupt) return;
  g.interrupt = false;
  const VmId vm = s_.vm_of(vcpu);
  const uint64_t me = uint64_t{1} << s_.index_in_vm(vcpu);
  for (uint64_t senders = std::exchange(g.senders, 0); senders != 0; senders &= senders - 1) {
    guest(s_.vcpu_id(vm, static_cast<uint32_t>(__builtin_ctzll(senders)))).awaits &= ~me;
  }
  s_.eoi(vcpu, IrqVector{0x40}, now_);
}

Nanos Driver::service(VmId vm) {
  Nanos sum{};
  for (uint32_t i = 0; i < plan_.vms[index_of(vm)].vcpus.size(); ++i) {
    sum += s_.stats(s_.vcpu_id(vm, i), now_).times.running;
  }
  return sum;
}

void Driver::remember_nominees(const EevdfQueue& queue) {
  const auto remember = [&](const Timeline& timeline) {
    if (const Entity* e = timeline.nominee())
      nominees_.push_back({&timeline, e, e->weight, timeline.members(), -timeline.lag(*e)});
  };
  remember(queue.root());
  for (uint32_t g = 0; g < groups(); ++g) remember(queue.timeline(GroupId{g}));
}

// A nominee that runs now was within its limit when it was picked: eligible, or in a policy that pulls no
// further ahead of the average than the nomination lag.
void Driver::check_nominees(VcpuId picked) {
  const Policy& policy = s_.policy(s_.vm_of(picked));
  const Nanos slack = policy.features.pull ? policy.tuning.nomination_lag : 0ns;
  for (const Nominee& nominee : nominees_) {
    if (nominee.timeline->current() != nominee.entity) continue;
    if (nominee.timeline->members() != nominee.members) continue;  // a vCPU came or went with this pick
    // One tick for the rounding of the average.
    REQUIRE(nominee.ahead <= to_virtual(slack, nominee.weight) + Vruntime{1});
  }
}

namespace {

void check_sums(const Timeline& timeline) {
  Int128 weighted = 0;
  Int128 lags = 0;
  int64_t load = 0;
  uint32_t members = 0;
  for_each_member(timeline, [&](const Entity& e) {
    weighted += static_cast<Int128>(e.weight.value) * e.vruntime.ticks;
    lags += static_cast<Int128>(e.weight.value) * timeline.lag(e).ticks;
    load += e.weight.value;
    ++members;
    REQUIRE(e.deadline > e.vruntime);
  });
  REQUIRE(members == timeline.members());
  REQUIRE(load == timeline.load().value);
  if (members == 0) return;
  // The average is maintained: it must be the recomputed one, rounded down.
  const Int128 average = timeline.average().ticks;
  REQUIRE(average * load <= weighted);
  REQUIRE((average + 1) * load > weighted);
  // Lags, weighted, sum to zero but for that rounding, which counts once for every unit of weight.
  REQUIRE(lags <= 0);
  REQUIRE(lags > -static_cast<Int128>(load));
}

}  // namespace

void Driver::check_all() {
  for (uint32_t w = 0; w < workers_.size(); ++w) {
    s_.inspect(WorkerId{w}, [&](RunQueue& queue) {
      auto* eevdf = dynamic_cast<EevdfQueue*>(&queue);
      if (eevdf == nullptr) return;
      check_sums(eevdf->root());
      for (uint32_t g = 0; g < groups(); ++g) check_sums(eevdf->timeline(GroupId{g}));
    });
  }
  for (uint32_t v = 0; v < s_.vcpus(); ++v) {
    if (s_.status(VcpuId{v}).state() == RunState::kHalted) REQUIRE_FALSE(guests_[v].interrupt);
  }
}

Plan random_plan(Rng& rng, std::initializer_list<std::string_view> presets,
                 std::span<const Behaviour> behaviours) {
  const auto up_to = [&](uint64_t n) { return 1 + static_cast<uint32_t>(rng.below(n)); };
  const auto weight = [&] { return Weight{256 << rng.below(5)}; };
  Plan plan;
  plan.setup.workers = up_to(4);
  plan.setup.seed = rng.next();
  const uint32_t groups = rng.below(4) == 0 ? up_to(3) : 0;
  for (uint32_t g = 0; g < groups; ++g) {
    const GroupId parent =
        g == 0 || rng.below(2) == 0 ? kRootGroup : GroupId{static_cast<uint32_t>(rng.below(g))};
    plan.setup.groups.push_back({"", parent, weight()});
  }
  const uint32_t vms = up_to(5);
  for (uint32_t v = 0; v < vms; ++v) {
    VmPlan& vm = plan.vms.emplace_back();
    vm.setup.policy = preset(*(presets.begin() + rng.below(presets.size())));
    vm.setup.weight = rng.below(2) == 0 ? kDefaultWeight : weight();
    if (groups > 0 && rng.below(2) == 0) vm.setup.parent = GroupId{static_cast<uint32_t>(rng.below(groups))};
    vm.vcpus.resize(up_to(5));
    vm.setup.vcpus = static_cast<uint32_t>(vm.vcpus.size());
    for (Behaviour& behaviour : vm.vcpus) behaviour = behaviours[rng.below(behaviours.size())];
    plan.setup.queue = vm.setup.policy.features.queue;
  }
  return plan;
}

void for_each_seed(uint64_t count, const std::function<void(uint64_t)>& property) {
  if (const char* one = std::getenv("KVMUX_SEED")) return property(std::strtoull(one, nullptr, 10));
  if (const char* many = std::getenv("KVMUX_SEEDS")) count = std::strtoull(many, nullptr, 10);
  for (uint64_t seed = 1; seed <= count; ++seed) {
    INFO("replay with KVMUX_SEED=" << seed);
    property(seed);
  }
}

}  // namespace sched_test
