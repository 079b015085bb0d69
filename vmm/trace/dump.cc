#include "vmm/trace/dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ostream>

namespace vmm {
namespace {

using sched::TraceEvent;
using sched::TraceKind;

constexpr std::array<std::string_view, static_cast<size_t>(TraceKind::kCount)> kNames{
    "lost", "in",     "out", "enter", "exit", "spin", "yield", "outcome", "penalty", "credit", "donate",
    "ipi",  "inject", "eoi", "kick",  "wake", "move", "mark",  "stolen",  "policy",  "queue",  "lag"};

constexpr std::array<std::string_view, 4> kOut{"preempted", "yielded", "halted", "stopped"};
constexpr std::array<std::string_view, 11> kExit{"other", "spin",  "ipi", "eoi", "halt", "window",
                                                 "kick",  "timer", "io",  "msr", "lapic"};
constexpr std::array<std::string_view, 2> kKick{"schedule", "interrupt"};
constexpr std::array<std::string_view, 3> kWait{"unknown", "begins", "goes-on"};
constexpr std::array<std::string_view, 7> kReason{
    "ipi-receiver", "pending-interrupt", "preempted", "relaxed", "chain", "holder", "waiter"};
constexpr std::array<std::string_view, 3> kOutcome{"hit", "miss", "harmful"};
constexpr std::array<std::string_view, 4> kMove{"steal", "balance", "pull", "home"};
constexpr std::array<std::string_view, 12> kMark{
    "waits", "wait-over", "takes-lock", "releases-lock", "operation",      "puts",
    "takes", "sleeps",    "arrives",    "awaits-acks",   "handler-begins", "handler-ends"};
static_assert(kMark.size() == static_cast<size_t>(sched::TraceMark::kCount));
constexpr std::array<std::string_view, 4> kYieldHow{"failed", "here", "there", "pulled"};

std::span<const std::string_view> words_of(TraceKind kind) {
  switch (kind) {
    case TraceKind::kOut:
      return kOut;
    case TraceKind::kExit:
      return kExit;
    case TraceKind::kSpin:
      return kWait;
    case TraceKind::kYield:
      return kReason;
    case TraceKind::kOutcome:
      return kOutcome;
    case TraceKind::kMove:
      return kMove;
    case TraceKind::kKick:
      return kKick;
    case TraceKind::kMark:
      return kMark;
    default:
      return {};
  }
}

}  // namespace

std::string_view name_of(TraceKind kind) {
  return kind < TraceKind::kCount ? kNames[static_cast<size_t>(kind)] : "?";
}

std::optional<TraceKind> trace_kind(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<TraceKind>(found - kNames.begin());
}

std::vector<std::string_view> trace_kind_names() { return {kNames.begin(), kNames.end()}; }

std::string why_of(const TraceEvent& event) {
  const auto words = words_of(event.kind);
  if (words.empty()) return {};
  return event.why < words.size() ? std::string{words[event.why]} : std::to_string(event.why);
}

std::string code_name(const Trace& trace, uint32_t vcpu, uint64_t rip) {
  const size_t vm = trace.vm_of(vcpu);
  const TraceFunction* const function = vm < trace.vms.size() ? trace.vms[vm].function_at(rip) : nullptr;
  if (function == nullptr) return fmt::format("{:#x}", rip);
  const uint64_t past = rip - function->address;
  return past == 0 ? function->name : fmt::format("{}+{:#x}", function->name, past);
}

std::string value_of(const Trace& trace, const TraceEvent& event) {
  switch (event.kind) {
    case TraceKind::kSpin:
      return event.value == 0 ? std::string{} : "at " + code_name(trace, event.vcpu, event.value);
    case TraceKind::kYield:
      return std::string{event.value < kYieldHow.size() ? kYieldHow[event.value] : "?"};
    case TraceKind::kIpiSend:
    case TraceKind::kInject:
    case TraceKind::kEoi:
      return fmt::format("vector {:#x}", event.value);
    case TraceKind::kPenalty:
    case TraceKind::kCredit:
    case TraceKind::kDonate:
    case TraceKind::kStolen:
      return fmt::format("{} ns", event.value);
    case TraceKind::kMove:
      return fmt::format("from worker {}", event.value);
    case TraceKind::kQueue:
      return fmt::format("{} runnable", event.value);
    case TraceKind::kLag:
      return fmt::format("{} ns", static_cast<int64_t>(event.value));
    case TraceKind::kLost:
    case TraceKind::kPolicy:
      return std::to_string(event.value);
    default:
      return {};
  }
}

bool passes(const TraceFilter& filter, const TraceEvent& event) {
  const auto& kinds = filter.kinds;
  return event.at >= filter.from && event.at < filter.to &&
         (kinds.empty() || std::find(kinds.begin(), kinds.end(), event.kind) != kinds.end()) &&
         (!filter.vcpu || event.vcpu == *filter.vcpu || event.other == *filter.vcpu) &&
         (!filter.worker || event.worker == *filter.worker);
}

void dump_trace(const Trace& trace, const TraceFilter& filter, std::ostream& out) {
  for (const TraceEvent& event : trace.events) {
    if (!passes(filter, event)) continue;
    const bool has_worker = event.worker != sched::kNoTraceWorker;
    std::string line = fmt::format(
        "{:14.6f} ms  {:>4} {:>6}  {:8}", static_cast<double>(event.at - trace.window_begin) / 1e6,
        has_worker ? fmt::format("w{}", event.worker) : "-", trace.name_of(event.vcpu), name_of(event.kind));
    if (const std::string why = why_of(event); !why.empty()) line += " " + why;
    if (event.other != sched::kNoOne) line += " → " + trace.name_of(event.other);
    if (const std::string value = value_of(trace, event); !value.empty()) line += "  " + value;
    out << line << '\n';
  }
}

}  // namespace vmm
