#include "vmm/run/sim_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <utility>

#include "sched/sim/simulator.h"
#include "vmm/run/abuse_kind.h"
#include "vmm/run/moves.h"
#include "vmm/run/no_progress.h"
#include "vmm/run/sections.h"
#include "vmm/run/setup.h"
#include "vmm/run/sim_watch.h"
#include "vmm/run/sim_profile.h"
#include "vmm/trace/recorder.h"

namespace vmm {
namespace {

namespace sim = sched::sim;
using sched::QueueKind;

constexpr std::array<std::pair<std::string_view, sim::GuestKind>, 6> kGuests{{
    {"lock", sim::GuestKind::kLock},
    {"ipi", sim::GuestKind::kIpi},
    {"mixed", sim::GuestKind::kMixed},
    {"compute", sim::GuestKind::kCompute},
    {"pingpong", sim::GuestKind::kPingpong},
    {"abuse", sim::GuestKind::kAbuse},
}};
constexpr double kTicksPerMs = 1e6;  // the virtual TSC counts nanoseconds

Result<sim::GuestKind> guest_kind(const std::string& name) {
  for (const auto& [known, kind] : kGuests) {
    if (known == name) return kind;
  }
  return usage_error("--guest", fmt::format("'{}' is not available with --backend sim, which runs no code; "
                                            "accepted are lock, ipi, mixed, compute, pingpong and abuse",
                                            name));
}

Nanos nanos(uint64_t ns) { return Nanos{static_cast<int64_t>(ns)}; }

Result<sim::VmModel> model_of(const VmSpec& vm) {
  const auto kind = guest_kind(vm.guest);
  if (!kind) return tl::unexpected(kind.error());
  const kvmux_workload& w = vm.workload;
  sim::VmModel model;
  model.guest = *kind;
  model.kernel = vm.ring == 0;
  model.handicap_percent = vm.handicap_percent.value_or(0);
  model.workload = {.think = nanos(w.think_ns),
                    .hold = nanos(w.hold_ns),
                    .lock = static_cast<sim::LockKind>(std::min<uint32_t>(w.lock_kind, KVMUX_LOCK_PV)),
                    .locks = w.lock_count,
                    .fanout = w.fanout,
                    .senders = w.senders,
                    .stages = w.stages,
                    .batch = w.batch};
  if (*kind == sim::GuestKind::kAbuse) {
    const auto abuse = parse_abuse(vm.args, vm.vcpus);
    if (!abuse) return tl::unexpected(abuse.error());
    model.workload.abuse = static_cast<sim::AbuseKind>(*abuse);
  }
  return model;
}

// Linux: base_slice_ns, 0.7 ms scaled by 1 + log2 of the CPUs, at most 8 of which count.
Nanos linux_slice(uint32_t cpus) {
  constexpr Nanos kBase{700'000};
  return kBase * static_cast<int64_t>(std::bit_width(std::min(cpus, 8u)));
}

// Host threads: all vCPUs are peers in one group, and nothing of our policies applies.
sched::Setup flat_setup(const RunSpec& spec) {
  sched::Setup setup;
  setup.workers = spec.workers;
  setup.seed = spec.seed;
  sched::Policy fair{.name = "fair", .features = {}, .tuning = {}};
  fair.tuning.slice = linux_slice(spec.workers);
  fair.tuning.slice_jitter_permille = 0;
  setup.tuning = fair.tuning;
  uint32_t threads = 0;
  for (const VmSpec& vm : spec.vms) threads += vm.vcpus;
  setup.vms.push_back(
      {.vcpus = threads, .weight = sched::kDefaultWeight, .parent = sched::kRootGroup, .policy = fair});
  return setup;
}

Result<sim::Threads> threads_of(const RunSpec& spec) {
  if (const auto ok = check_together(spec); !ok) return tl::unexpected(ok.error());
  if (!is_host_run(spec)) return sim::Threads::kWorkers;
  const sched::Policy& policy = spec.vms.front().policy;
  if (policy.features.queue == QueueKind::kHostKvm) {
    return usage_error(
        "--policy", fmt::format("'{}' is not available with --backend sim: what KVM does inside the kernel "
                                "is not modelled; accepted are host and host-yield",
                                policy.name));
  }
  return policy.features.queue == QueueKind::kHost ? sim::Threads::kHost : sim::Threads::kHostYield;
}

Result<sim::CostProfile> costs_of(const RunSpec& spec, const SimInputs& inputs) {
  if (inputs.costs) return *inputs.costs;
  return load_cost_profile(spec.cost_profile.empty() ? "laptop-vmx" : spec.cost_profile);
}

Result<sim::Config> make_config(const RunSpec& spec, const SimInputs& inputs,
                               const sim::CostProfile& costs) {
  const auto threads = threads_of(spec);
  if (!threads) return tl::unexpected(threads.error());
  const bool kernel = spec.vms.front().ring == 0;
  sim::Config config{
      .setup = {},
      .vms = {},
      .costs = costs,
      .spin_window = spin_window_of(spec, kernel ? costs.exit_kernel : costs.exit_user),
      .sample_spins = spec.spin_detect == SpinDetect::kSample || spec.spin_detect == SpinDetect::kBoth,
      .threads = *threads,
      .seed = spec.seed};
  for (const VmSpec& vm : spec.vms) {
    auto model = inputs.scripts.empty() ? model_of(vm) : sim::VmModel{};
    if (!model) return tl::unexpected(model.error());
    if (!inputs.scripts.empty()) model->script = inputs.scripts[config.vms.size()];
    model->vcpus = vm.vcpus;
    config.vms.push_back(*model);
  }
  if (*threads == sim::Threads::kWorkers) {
    auto setup = make_setup(spec, config.spin_window);
    if (!setup) return tl::unexpected(setup.error());
    config.setup = std::move(*setup);
    for (size_t i = 0; i < inputs.places.size(); ++i) config.setup.vms[i].places = inputs.places[i];
  } else {
    config.setup = flat_setup(spec);
    if (*threads == sim::Threads::kHost) config.spin_window = {};  // nobody would listen to a bell
  }
  return config;
}

// What all had done at an instant.
struct Snapshot {
  Nanos at{};
  std::vector<sim::VcpuReport> vcpus;  // by VcpuId
  std::vector<std::array<uint64_t, sim::kAckBuckets>> acks;
  std::vector<Nanos> busy;
};

Snapshot take_snapshot(const sim::Simulator& simulator, const RunSpec& spec) {
  Snapshot snapshot{.at = simulator.now(), .vcpus = {}, .acks = {}, .busy = {}};
  uint32_t vcpu = 0;
  for (uint32_t vm = 0; vm < spec.vms.size(); ++vm) {
    for (uint32_t i = 0; i < spec.vms[vm].vcpus; ++i) {
      snapshot.vcpus.push_back(simulator.report(sched::VcpuId{vcpu++}));
    }
    snapshot.acks.push_back(simulator.acks(sched::VmId{vm}));
  }
  for (uint32_t i = 0; i < spec.workers; ++i) snapshot.busy.push_back(simulator.busy(sched::WorkerId{i}));
  return snapshot;
}

uint64_t per_ms(Nanos time, int64_t rate) {
  constexpr int64_t kMs = 1'000'000;
  const int64_t ns = time.count();
  return static_cast<uint64_t>(ns / kMs * rate + ns % kMs * rate / kMs);
}

Ledger make_ledger(const sim::Places& start, const sim::Places& end, const sched::StateTimes& times) {
  const auto at = [&](sim::Place place) {
    return end[static_cast<size_t>(place)] - start[static_cast<size_t>(place)];
  };
  return {.guest = at(sim::Place::kGuest),
          .spinning = at(sim::Place::kSpinning),
          .waiting = times.waiting,
          .halted = times.halted,
          .exits = at(sim::Place::kExits),
          .injection = at(sim::Place::kInjection),
          .migration = at(sim::Place::kMigration),
          .stolen = at(sim::Place::kStolen),
          .stopped = times.stopped};
}

VcpuResult vcpu_difference(const sim::VcpuReport& start, const sim::VcpuReport& end,
                           const sim::CostProfile& costs, int64_t slowdown) {
  VcpuResult r;
  r.operations = end.counters.operations - start.counters.operations;
  r.work_time = end.counters.work - start.counters.work;
  r.work_iters = per_ms(r.work_time, costs.delay_iters_per_ms);
  r.ipis_sent = end.counters.ipis_sent - start.counters.ipis_sent;
  r.ipis_acked = end.counters.ipis_acked - start.counters.ipis_acked;
  r.wakeups = end.counters.wakeups - start.counters.wakeups;
  r.guest_errors = end.counters.errors;  // all of them: a guest that was wrong while warming up was wrong
  r.exits = end.exits - start.exits;
  r.kicks = end.kicks - start.kicks;
  r.sched = end.sched - start.sched;
  r.ledger = make_ledger(start.places, end.places, r.sched.times);
  r.spin_pauses = per_ms(r.ledger.spinning / slowdown, costs.pauses_per_ms);
  return r;
}

RunResult difference(const RunSpec& spec, const sim::Config& config, const Snapshot& start,
                     const Snapshot& end) {
  RunResult result;
  result.window = end.at - start.at;
  result.window_begin = start.at;
  result.spin_window = config.spin_window;
  result.tsc_khz = kTicksPerMs;
  result.delay_iters_per_ms = static_cast<double>(config.costs.delay_iters_per_ms);
  result.pauses_per_ms = static_cast<double>(config.costs.pauses_per_ms);
  const double seconds = std::chrono::duration<double>(result.window).count();
  size_t vcpu = 0;
  for (size_t v = 0; v < spec.vms.size(); ++v) {
    VmResult& vm = result.vms.emplace_back();
    vm.guest = spec.vms[v].guest;
    vm.policy = spec.vms[v].policy.name;
    const int64_t slowdown = config.vms[v].kernel ? config.costs.kernel_slowdown : 1;
    uint64_t operations = 0;
    for (uint32_t i = 0; i < spec.vms[v].vcpus; ++i, ++vcpu) {
      vm.vcpus.push_back(vcpu_difference(start.vcpus[vcpu], end.vcpus[vcpu], config.costs, slowdown));
      operations += vm.vcpus.back().operations;
    }
    for (size_t b = 0; b < vm.ack_hist.size(); ++b) vm.ack_hist[b] = end.acks[v][b] - start.acks[v][b];
    if (seconds > 0) vm.ops_per_second = static_cast<double>(operations) / seconds;
    vm.note = no_progress(vm, {.length = result.window, .silent = false, .counts_operations = true});
  }
  for (size_t w = 0; w < end.busy.size(); ++w) result.worker_busy.push_back(end.busy[w] - start.busy[w]);
  return result;
}

// Advances to an instant of the run; false: it is to stop.
using AdvanceTo = std::function<bool(Nanos)>;

void change_policies(sim::Simulator& simulator, const PolicyChange& change) {
  std::vector<sched::Policy> policies;
  std::vector<int64_t> handicaps;
  for (const VmChange& vm : change.vms) {
    policies.push_back(vm.policy);
    handicaps.push_back(vm.handicap_percent.value_or(0));
  }
  simulator.change_policies(policies, handicaps);
}

// From change to change.
void pass_marks(const RunSpec& spec, sim::Simulator& simulator, const AdvanceTo& advance_to,
                Sections<Snapshot>& sections) {
  for (const Mark& mark : marks_of(spec)) {
    if (!advance_to(spec.warmup + mark.at)) return;
    sections.take(mark, take_snapshot(simulator, spec));
    if (mark.kind != Mark::Kind::kChange) continue;
    simulator.reset_peaks();
    change_policies(simulator, *mark.change);
  }
}

// In steps, so that a stop request is seen. The steps end at the same instants however fast the host is.
void advance(sim::Simulator& simulator, Nanos length, Nanos whole, SimWatch& watch, RunControl& control) {
  constexpr int kSteps = 64;
  const Nanos from = simulator.now();
  for (int i = 1; i <= kSteps && !control.stop.load(); ++i) {
    simulator.run_until(from + length * i / kSteps);
    watch.look(simulator);
    if (!control.progress) continue;
    const double done = static_cast<double>(simulator.now().count());
    control.progress(std::min(1.0, done / static_cast<double>(std::max(Nanos{1}, whole).count())));
  }
}

}  // namespace

Result<RunResult> run_simulated(const RunSpec& asked, RunControl& control, const SimInputs& inputs) {
  const auto costs = costs_of(asked, inputs);
  if (!costs) return tl::unexpected(costs.error());
  RunSpec spec = asked;
  const auto moves = weigh_moves(spec, {costs->vcpu_move, costs->carrier_switch});
  auto config = make_config(spec, inputs, *costs);
  if (!config) return tl::unexpected(config.error());
  config->trace = control.trace;
  config->carriers = moves && moves->carried;
  sim::Simulator simulator(*config);
  const Nanos whole = spec.warmup + spec.duration;
  SimWatch watch(spec, *config);
  advance(simulator, spec.warmup, whole, watch, control);
  simulator.reset_peaks();
  const Snapshot start = take_snapshot(simulator, spec);
  Sections<Snapshot> sections(
      spec, [&](const Snapshot& from, const Snapshot& to) { return difference(spec, *config, from, to); });
  sections.begin(start);
  const auto advance_to = [&](Nanos at) {
    advance(simulator, at - simulator.now(), whole, watch, control);
    return !control.stop.load();
  };
  pass_marks(spec, simulator, advance_to, sections);
  if (!control.stop.load()) advance_to(whole);
  const Snapshot end = take_snapshot(simulator, spec);
  RunResult result = difference(spec, *config, start, end);
  sections.finish(end, result);
  watch.finish(result);
  result.sim_events = simulator.events();
  result.moves = moves;
  result.interrupted = control.stop.load();
  return result;
}

}  // namespace vmm
