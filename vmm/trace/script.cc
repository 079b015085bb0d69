#include "vmm/trace/script.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/trace/script_builder.h"

namespace vmm {
namespace {

using sched::TraceEvent;
using sched::TraceKind;
using sched::sim::ReplayScript;
using sched::sim::ReplayStep;
using Kind = ReplayStep::Kind;

// So much of what is complete only shows in what state the vCPUs are when the script begins.
constexpr int64_t kPreludeOneIn = 20;

struct Bounds {
  int64_t from = 0;   // looked at from here on
  int64_t begin = 0;  // of the script
  int64_t end = 0;
};

Bounds bounds_of(const Trace& trace) {
  Bounds bounds;
  const int64_t first = trace.events.empty() ? trace.window_begin : trace.events.front().at;
  bounds.from = std::max(first, trace.complete_from);
  bounds.end = trace.window_end;
  bounds.begin = std::max(trace.window_begin, bounds.from + (bounds.end - bounds.from) / kPreludeOneIn);
  return bounds;
}

Failure refuse(const std::string& why) { return usage_error("replay", why); }

Result<void> check_usable(const Trace& trace, const Bounds& bounds) {
  constexpr int64_t kLongest = int64_t{24} * 3600 * 1'000'000'000;
  if (bounds.end <= bounds.begin || bounds.end - bounds.begin > kLongest)
    return refuse("the trace holds nothing of the measured window");
  const auto is_in = [](const TraceEvent& event) { return event.kind == TraceKind::kIn; };
  if (std::none_of(trace.events.begin(), trace.events.end(), is_in)) {
    return refuse(
        "the host scheduled this run's vCPUs, so that its trace does not say when they ran; record under one "
        "of kvmux's own policies (`kvmux policies`)");
  }
  const auto changes = [](const TraceEvent& event) { return event.kind == TraceKind::kPolicy; };
  if (std::any_of(trace.events.begin(), trace.events.end(), changes))
    return refuse("the policy changed within this run; record one without --at and --switchback");
  return {};
}

bool says_place(const TraceEvent& event, uint32_t workers) {
  const bool comes =
      event.kind == TraceKind::kIn || event.kind == TraceKind::kWake || event.kind == TraceKind::kMove;
  return comes && event.worker < workers;
}

struct VmParts {
  VmNames names;
  std::vector<VcpuScript> vcpus;
  std::vector<uint32_t> places;  // by vCPU
};

// So many are there at first that nobody waits for what was there in the recorded order of puts and takes.
struct Things {
  std::vector<int64_t> balance;
  std::vector<int64_t> lowest;
  void add(uint32_t thing, int64_t by) {
    if (balance.size() <= thing) balance.resize(thing + 1);
    lowest.resize(balance.size());
    balance[thing] += by;
    lowest[thing] = std::min(lowest[thing], balance[thing]);
  }
};

void note_things(const TraceEvent& event, VmNames& names, Things& things) {
  if (event.kind != TraceKind::kMark) return;
  const auto what = static_cast<sched::TraceMark>(event.why);
  if (what == sched::TraceMark::kPuts) things.add(names.things.of(event.value), 1);
  if (what == sched::TraceMark::kTakes) things.add(names.things.of(event.value), -1);
}

// Where a round begins and ends, so that it can follow on itself: as many things are put and taken in it as
// were in the recording, and nobody waits for what comes in a round only.
struct Round {
  size_t first;  // a step of that kind, after which the round begins
  size_t last;   // another, which is the round's last step
};

std::optional<Round> round_of(const std::vector<ReplayStep>& steps, Kind kind, size_t most) {
  std::vector<size_t> places;
  for (size_t i = 0; i < steps.size() && places.size() < most; ++i) {
    if (steps[i].kind == kind) places.push_back(i);
  }
  if (places.size() < 2) return std::nullopt;
  return Round{places.front(), places.back()};
}

size_t count_of(const std::vector<ReplayStep>& steps, Kind kind) {
  return static_cast<size_t>(
      std::count_if(steps.begin(), steps.end(), [&](const ReplayStep& step) { return step.kind == kind; }));
}

// All go to the barrier as often in a round; where there is none, who sleeps wakes as often as it sleeps.
void make_rounds(ReplayScript& script) {
  size_t meetings = SIZE_MAX;
  for (const auto& vcpu : script.vcpus) meetings = std::min(meetings, count_of(vcpu.steps, Kind::kArrive));
  for (auto& vcpu : script.vcpus) {
    if (meetings < 2)
      std::erase_if(vcpu.steps, [](const ReplayStep& step) { return step.kind == Kind::kArrive; });
    const auto round = meetings >= 2 ? round_of(vcpu.steps, Kind::kArrive, meetings)
                                     : round_of(vcpu.steps, Kind::kSleep, SIZE_MAX);
    if (!round) continue;
    vcpu.steps.resize(round->last + 1);
    vcpu.loop = round->first + 1;
  }
}

// Without all of its marks nobody knows what a VM waits for.
Result<void> check_marks(const Trace& trace, size_t index, const VmParts& vm) {
  uint64_t marks = 0;
  uint64_t lost = 0;
  for (const VcpuScript& vcpu : vm.vcpus) {
    marks += vcpu.marks;
    lost += vcpu.lost_marks;
  }
  if (lost > 0)
    return refuse(
        fmt::format("{} marks of VM {} were lost: it marked faster than it left the guest", lost, index));
  if (marks > 0) return {};
  return refuse(fmt::format(
      "VM {} (guest '{}') marked nothing, so that the trace does not say what its vCPUs wait for; "
      "the built-in guests do, others by guest/abi.h (kvmux_mark())",
      index, trace.vms[index].guest));
}

sched::sim::LockKind lock_kind(const std::string& name) {
  if (name == "ticket") return sched::sim::LockKind::kTicket;
  if (name == "mcs") return sched::sim::LockKind::kMcs;
  return sched::sim::LockKind::kTtas;
}

RecordedVm finish(const Trace& trace, size_t index, VmParts& vm, const Things& things) {
  RecordedVm result;
  auto script = std::make_shared<ReplayScript>();
  script->lock = lock_kind(trace.vms[index].lock);
  for (VcpuScript& vcpu : vm.vcpus) {
    vcpu.finish();
    result.operations += vcpu.operations;
    result.in_guest += vcpu.in_guest;
    for (const ReplayStep& step : vcpu.steps) {
      if (step.kind == Kind::kBusy) result.unexplained += step.time.count();
    }
    script->vcpus.push_back({.steps = std::move(vcpu.steps), .loop = 0});
  }
  make_rounds(*script);
  script->locks = vm.names.locks.count();
  script->things.assign(vm.names.things.count(), 0);
  for (size_t i = 0; i < things.lowest.size(); ++i)
    script->things[i] = static_cast<uint64_t>(-things.lowest[i]);
  if (vm.names.handlers > 0) {
    script->handler_work = sched::Nanos{vm.names.handler_time / static_cast<int64_t>(vm.names.handlers)};
    script->vector = sched::IrqVector{0x50};
  }
  result.script = std::move(script);
  result.places = vm.places;
  return result;
}

}  // namespace

Result<Recording> recording_of(const Trace& trace, const ScriptOptions& options) {
  const Bounds bounds = bounds_of(trace);
  if (const auto usable = check_usable(trace, bounds); !usable) return Failure(usable.error());
  std::vector<VmParts> vms(trace.vms.size());
  uint32_t first = 0;
  for (size_t i = 0; i < vms.size(); ++i) {
    vms[i].names.vcpus = trace.vms[i].vcpus;
    vms[i].names.first = first;
    for (uint32_t v = 0; v < trace.vms[i].vcpus; ++v)
      vms[i].vcpus.emplace_back(vms[i].names, options.entry_cost);
    vms[i].places.resize(trace.vms[i].vcpus);
    first += trace.vms[i].vcpus;
  }
  std::vector<Things> things(vms.size());
  bool begun = false;
  for (const TraceEvent& event : trace.events) {
    if (event.at >= bounds.end) break;
    if (event.at < bounds.from || event.vcpu >= first) continue;
    if (!begun && event.at >= bounds.begin) {
      begun = true;
      for (VmParts& vm : vms) {
        vm.names.handler_time = 0;
        vm.names.handlers = 0;
        for (VcpuScript& vcpu : vm.vcpus) vcpu.begin(bounds.begin);
      }
    }
    const size_t vm = trace.vm_of(event.vcpu);
    if (event.kind == TraceKind::kIpiSend && trace.vm_of(event.other) != vm) continue;  // a damaged file
    if (!begun && says_place(event, trace.workers))
      vms[vm].places[event.vcpu - vms[vm].names.first] = event.worker;
    vms[vm].vcpus[event.vcpu - vms[vm].names.first].take(event);
    if (begun) note_things(event, vms[vm].names, things[vm]);
  }
  if (!begun) return refuse("the trace holds nothing of the measured window");
  Recording recording{.vms = {}, .begin = bounds.begin, .end = bounds.end};
  for (size_t i = 0; i < vms.size(); ++i) {
    if (const auto good = check_marks(trace, i, vms[i]); !good) return Failure(good.error());
    recording.vms.push_back(finish(trace, i, vms[i], things[i]));
  }
  return recording;
}

}  // namespace vmm
