// A trace as text, an event a line. Pure.
#pragma once

#include <iosfwd>
#include <optional>
#include <vector>

#include "vmm/trace/trace_file.h"

namespace vmm {

struct TraceFilter {
  int64_t from = INT64_MIN;  // of the trace's clock
  int64_t to = INT64_MAX;
  std::vector<sched::TraceKind> kinds{};  // empty: all
  std::optional<uint32_t> vcpu{};
  std::optional<uint32_t> worker{};
};

bool passes(const TraceFilter& filter, const sched::TraceEvent& event);

// "in", "out", …; and back.
std::string_view name_of(sched::TraceKind kind);
std::optional<sched::TraceKind> trace_kind(std::string_view name);
std::vector<std::string_view> trace_kind_names();
// The word for `why`, or its number.
std::string why_of(const sched::TraceEvent& event);
// `value` with its unit; empty where it says nothing.
std::string value_of(const Trace& trace, const sched::TraceEvent& event);
// "spin_turns+0x8", or the address alone where the trace does not name it.
std::string code_name(const Trace& trace, uint32_t vcpu, uint64_t rip);

void dump_trace(const Trace& trace, const TraceFilter& filter, std::ostream& out);

}  // namespace vmm
