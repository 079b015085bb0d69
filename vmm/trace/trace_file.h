// A trace as a file: magic, version, what was run as JSON, then the events as they are in memory
// (docs/trace.md).
//
// Any thread. Reading refuses what it does not know, by name; it never trusts a length.
#pragma once

#include <string>
#include <vector>

#include "sched/base/trace.h"
#include "vmm/json.h"
#include "vmm/result.h"

namespace vmm {

inline constexpr uint32_t kTraceVersion = 1;

struct TraceVm {
  std::string guest;
  std::string policy;
  uint32_t vcpus = 0;
};

struct Trace {
  std::vector<TraceVm> vms;  // vCPUs are numbered in this order
  uint32_t workers = 0;
  std::string backend;       // "kvm", "sim"
  std::string command;       // that made it
  int64_t window_begin = 0;  // of the measured window, in the events' time
  int64_t window_end = 0;
  uint64_t lost = 0;  // events before the first, which the rings could not hold
  std::vector<sched::TraceEvent> events;

  uint32_t vcpus() const {
    uint32_t sum = 0;
    for (const TraceVm& vm : vms) sum += vm.vcpus;
    return sum;
  }
  // "1.3": vCPU 3 of VM 1, both from 0.
  std::string name_of(uint32_t vcpu) const;
  // The VM of a vCPU; vms.size() if there is none.
  size_t vm_of(uint32_t vcpu) const;
};

[[nodiscard]] Result<void> write_trace(const std::string& path, const Trace& trace);
[[nodiscard]] Result<Trace> read_trace(const std::string& path);
// The same from memory; `name` for messages.
[[nodiscard]] Result<Trace> parse_trace(std::string_view bytes, const std::string& name);

}  // namespace vmm
