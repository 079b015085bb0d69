#include "vmm/run/measured_run.h"

#include <algorithm>

#include "guest/embedded.h"
#include "sched/policy/parse.h"
#include "vmm/output/standard.h"
#include "vmm/run/code_sites.h"
#include "vmm/run/cpu_choice.h"
#include "vmm/run/no_progress.h"
#include "vmm/run/observer.h"
#include "vmm/run/pc_course.h"
#include "vmm/run/policy_changes.h"
#include "vmm/run/sections.h"
#include "vmm/run/setup.h"
#include "vmm/run/silence_watch.h"
#include "vmm/run/sleep_state.h"
#include "vmm/run/waiting.h"
#include "vmm/run/window.h"
#include "vmm/watch/promise.h"
#include "vmm/watch/stall_watch.h"

namespace vmm {
namespace {

// In order with the results. What has no room is lost and said in its place: a bell that says LOG cannot
// wait, and a run that waited for its reader would not be measured.
void print_line(std::string_view line) {
  static std::atomic<uint64_t> lost{0};
  if (!standard_output().ready(kConsoleBuffer)) {
    lost.fetch_add(1);
    return;
  }
  if (const uint64_t count = lost.exchange(0); count > 0) {
    standard_output().put("kvmux: " + std::to_string(count) +
                          " console lines are lost here: nobody read them\n");
  }
  standard_output().put(line);
}

// A run's pieces, in the order in which they must go: the engine's threads, then the VMs.
struct Bench {
  Console console;
  std::unique_ptr<PcGuests> pcs;  // null: none of the VMs is one
  RunVms vms;
  RunPlan plan;

  Bench(bool quiet, RunPlan given)
      : console(quiet ? Console::Sink([](std::string_view) {}) : print_line), plan(std::move(given)) {}
  ~Bench() { plan.engine->stop(); }
};

Result<std::unique_ptr<RunVm>> build_vm(const System& system, const RunSpec& spec, VmId id,
                                        sched::VcpuId first, bool traced, Bench& bench) {
  const VmSpec& vm = spec.vms[index_of(id)];
  VmOptions options = bench.plan.vm_options;
  options.id = id;
  if (vm.linux_guest) {
    // A thread for each vCPU: what KVM tells of it is the truth.
    options.own_steal_time = spec.paravirt && !sched::is_host_queue(vm.policy.features.queue);
    return bench.pcs->make(system, {.options = options, .first = first, .spec = vm}, *bench.plan.engine);
  }
  auto tiny = make_tiny_vm(system,
                           {.options = options,
                            .first = first,
                            .spec = vm,
                            .calibration = bench.plan.calibrations.at(vm.ring),
                            .spin_window = bench.plan.spin_window,
                            .seed = spec.seed * 1000 + index_of(id),
                            .marks = traced},
                           *bench.plan.engine, bench.console);
  if (!tiny) return Failure(tiny.error());
  return std::make_unique<TinyRunVm>(std::move(*tiny));
}

Result<void> build(const RunSpec& spec, const RunControl& control, Bench& bench) {
  const auto system = System::open();
  if (!system) return Failure(system.error());
  if (has_linux_guests(spec)) {
    if (!control.pcs) return usage_error("--guest linux", "this program has no PCs for its runs");
    bench.pcs = control.pcs(spec);
  }
  uint32_t first = 0;
  for (uint32_t i = 0; i < spec.vms.size(); ++i) {
    if (control.stop.load()) return host_error("set-up", 0, "interrupted before anything was measured");
    auto vm = build_vm(*system, spec, VmId{i}, sched::VcpuId{first}, control.trace != nullptr, bench);
    if (!vm) return Failure(vm.error());
    bench.vms.push_back(std::move(*vm));
    first += spec.vms[i].vcpus;
  }
  for (size_t i = 0; i < bench.vms.size(); ++i) {
    RunningVm running = bench.vms[i]->running();
    running.handicap_percent = spec.vms[i].handicap_percent.value_or(0);
    if (spec.vms[i].policy.features.running_hint) running.vcpus_running = running.hint_place;
    bench.plan.engine->add(running);
  }
  return {};
}

// Null: nobody listens.
Result<std::unique_ptr<watch::StallWatch>> watch_stalls(const RunSpec& spec, const RunControl& control,
                                                        Engine& engine, GuestSymbols& symbols) {
  if (!control.say) return nullptr;
  return watch::StallWatch::start(
      engine, {.stall = spec.stall,
               .longest_wait = watch::promised_wait(spec),
               .cpus = static_cast<uint32_t>(chosen_cpus(spec.workers).cpus.size()),
               .say = control.say,
               .keep_trace = control.keep_trace,
               .symbolize = [&symbols](VmId vm, uint64_t address) { return symbols.of(vm).name_at(address); },
               .call_driver = {}});
}

// From mark to mark. False: the run ends before its time.
bool pass_marks(const RunSpec& spec, const Bench& bench, Nanos begin, Waiting& waiting,
                PolicyChanges& changes, Sections<Snapshot>& sections) {
  for (const Mark& mark : marks_of(spec)) {
    if (!waiting.until(begin + mark.at)) return false;
    if (mark.kind == Mark::Kind::kChange) {
      changes.make(*mark.change);
    } else {
      sections.take(mark, peek(bench.vms));
    }
  }
  return true;
}

// Outlived by what it points to.
ObservedRun observed(const RunSpec& spec, const Bench& bench) {
  ObservedRun run{.engine = *bench.plan.engine,
                  .policies = {},
                  .length = spec.warmup + spec.duration,
                  .guest = {},
                  .tsc_khz = static_cast<double>(bench.vms.front()->vm().tsc_khz()),
                  .host_schedules = is_host_run(spec)};
  for (const VmSpec& vm : spec.vms) run.policies.push_back({vm.policy, vm.handicap_percent});
  run.guest = [&spec, &bench](VmId vm, VcpuIndex vcpu) {
    return counters_of(bench.vms[index_of(vm)]->results(vcpu),
                       bench.plan.calibrations.at(spec.vms[index_of(vm)].ring));
  };
  return run;
}

// The engine has stopped. Names the VMs that got nowhere, and where those are that sleep.
void add_notes(Bench& bench, const SilenceWatch& watch, const Snapshot& start, const Snapshot& end,
               RunResult& result) {
  // A look has to find a VM asleep before it can say since when.
  constexpr Nanos kLooks = 2 * Suspicion::kFirst;
  for (size_t i = 0; i < bench.vms.size(); ++i) {
    VmResult& vm = result.vms[i];
    if (!vm.failure.empty() || vm.exit_code || (vm.linux_guest && vm.linux_guest->operations > 0)) continue;
    const auto since = watch.silent_since(VmId{static_cast<uint32_t>(i)});
    const bool silent = since && *since <= start.at + kLooks && result.window > 2 * kLooks;
    const bool counted = std::any_of(start.vms[i].begin(), start.vms[i].end(),
                                     [](const VcpuSnapshot& vcpu) { return vcpu.guest.operations > 0; });
    vm.note = no_progress(vm, {.length = result.window,
                               .silent = silent,
                               .counts_operations = counted || guests::find(vm.guest).has_value()});
    if (vm.note.empty()) continue;
    const auto states = sleep_states(bench.vms[i]->vm(), end.at);
    vm.note += ": " + describe(states);
  }
}

}  // namespace

Result<RunResult> measured_run(const RunSpec& spec, RunControl& control, RunPlan plan) {
  Bench bench(spec.quiet_console, std::move(plan));
  Engine& engine = *bench.plan.engine;
  if (auto built = build(spec, control, bench); !built) return Failure(built.error());
  SilenceWatch watch(engine);
  engine.trace_into(control.trace);
  GuestSymbols symbols(spec);
  for (const auto& one : bench.vms) (void)symbols.of(one->vm().id());  // no files while guests run
  if (auto started = engine.start(); !started) return Failure(started.error());

  const auto watching = watch_stalls(spec, control, engine, symbols);
  if (!watching) return Failure(watching.error());
  watch::StallWatch* const stalls = watching->get();
  if (stalls != nullptr) {
    watch.on_death([stalls](VmId vm, const std::string& why) { stalls->vm_died(vm, why); });
  }
  Observation observation(control.observer, observed(spec, bench));
  Waiting waiting(spec, engine, watch, stalls, bench.pcs.get(), control);
  PcCourse pcs(bench.pcs.get(), spec, engine, control, waiting);
  if (auto up = pcs.come_up(); !up) return Failure(up.error());
  (void)waiting.until(monotonic_now() + spec.warmup);
  pcs.ask();
  engine.pause();
  engine.reset_peaks();
  for (const auto& one : bench.vms) forget_sites(one->vm());
  const Snapshot start = take_snapshot(engine, bench.vms);
  engine.resume();
  Sections<Snapshot> sections(spec, [&](const Snapshot& from, const Snapshot& to) {
    return counters_between(spec, bench.plan.calibrations, bench.vms, from, to);
  });
  sections.begin(start);
  const Nanos begin = monotonic_now();
  PolicyChanges changes(engine, bench.vms, observation, sections, begin, [&pcs] { pcs.ask(); });
  waiting.at_each_look([&changes] { changes.make_those_asked_for(); });
  const bool whole = pass_marks(spec, bench, begin, waiting, changes, sections);
  if (whole) (void)waiting.until(begin + spec.duration);
  waiting.at_each_look({});
  pcs.ask();
  observation.end();
  engine.pause();
  const Snapshot end = take_snapshot(engine, bench.vms);
  watch.judge_paused(end.at);
  std::vector<SitesOfVm> sites;
  for (const auto& one : bench.vms) sites.push_back(sites_of(one->vm(), symbols.of(one->vm().id())));
  engine.resume();
  if (stalls != nullptr) stalls->stop();
  engine.stop();
  if (const auto trouble = engine.trouble().first()) return Failure(*trouble);

  RunResult result = difference(spec, bench.plan.calibrations, bench.vms, start, end);
  for (size_t i = 0; i < sites.size(); ++i) {
    result.vms[i].spinning = std::move(sites[i].spinning);
    result.vms[i].taken_off = std::move(sites[i].taken_off);
  }
  add_notes(bench, watch, start, end, result);
  sections.finish(end, result);
  result.changes_made = changes.take_made();
  result.spin_window = bench.plan.spin_window;
  if (!spec.vms.empty()) result.exit_cost = bench.plan.calibrations.at(spec.vms.front().ring).exit_cost;
  result.interrupted = control.stop.load();
  if (stalls != nullptr) {
    result.stalls = stalls->stalls();
    result.stalled = stalls->stalled();
  }
  return result;
}

}  // namespace vmm
