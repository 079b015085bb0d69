// Traces as a file: one section a run, each with magic, version, what was run as JSON, then the events as
// they are in memory (docs/trace.md).
//
// Any thread. Reading refuses what it does not know, by name; it never trusts a length.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sched/base/trace.h"
#include "vmm/json.h"
#include "vmm/kvm/fd.h"
#include "vmm/result.h"

namespace vmm {

inline constexpr uint32_t kTraceVersion = 2;     // of a section that is written at once
inline constexpr uint32_t kStreamedVersion = 3;  // piece by piece; the newest that is read

// Code of a guest's in which its vCPUs were found (run_types.h, CodeSite), so that a trace can name it without the
// guest's files.
struct TraceFunction {
  std::string name;
  uint64_t address = 0;
  uint64_t bytes = 0;
};

struct TraceVm {
  std::string guest;
  std::string policy;
  uint32_t vcpus = 0;
  // The run's ledger, for readers to check themselves against: time on a worker within the measured window,
  // of each vCPU; ns. Empty: not known.
  std::vector<int64_t> running = {};
  std::string lock = {};  // kind of the guest's locks; empty: not known
  std::vector<TraceFunction> functions = {};

  // The one that this instruction belongs to; null: not known.
  const TraceFunction* function_at(uint64_t rip) const;
};

struct Trace {
  std::vector<TraceVm> vms;  // vCPUs are numbered in this order
  uint32_t workers = 0;
  std::string backend;  // "kvm", "sim"
  std::string command;  // that made it
  std::string run;      // which of the command's runs; empty: it made one
  uint64_t seed = 0;
  std::string costs = {};   // simulated: the cost profile
  int64_t exit_cost = 0;    // KVM: ns of a doorbell store through the run loop; 0: not known
  int64_t spin_window = 0;  // ns; 0: there was no bell, or it is not known
  int64_t window_begin = 0;  // of the measured window, in the events' time
  int64_t window_end = 0;
  uint64_t lost = 0;                  // older events that the rings could not hold
  int64_t complete_from = INT64_MIN;  // no event is missing from here on
  std::vector<sched::TraceEvent> events;
  bool unfinished =
      false;  // read from a section whose writer was stopped: a part of the run, whole as far as it goes

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

// A file that sections are added to. It is opened when the run is set up, because a process that runs guests
// opens nothing any more (vmm/sandbox/); add() then only writes.
class TraceFile {
 public:
  // Empties the file if it is there. `path` also for messages.
  [[nodiscard]] static Result<TraceFile> create(const std::string& path);
  [[nodiscard]] Result<void> add(const Trace& trace);
  // A section whose events come while the run goes on (stream.h): begin(), add_piece() …, end(). Of the
  // descriptions the last counts.
  [[nodiscard]] Result<void> begin(const Trace& description);
  [[nodiscard]] Result<void> add_piece(uint32_t ring, uint64_t lost,
                                       std::span<const sched::TraceEvent> events);
  [[nodiscard]] Result<void> end(const Trace& description);

 private:
  TraceFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  [[nodiscard]] Result<void> write(const void* bytes, size_t size);

  std::string path_;
  UniqueFd fd_;
};

// The first section of these bytes, which it is taken off; `name` for messages.
[[nodiscard]] Result<Trace> take_trace(std::string_view& bytes, const std::string& name);
// All sections. At least one, or an error.
[[nodiscard]] Result<std::vector<Trace>> parse_traces(std::string_view bytes, const std::string& name);

// What a file holds, without its events: they are read one section at a time.
class TraceReader {
 public:
  [[nodiscard]] static Result<TraceReader> open(const std::string& path);
  // Descriptions, without events.
  const std::vector<Trace>& runs() const { return runs_; }
  [[nodiscard]] Result<Trace> read(size_t run) const;
  // The file ends within a section, which is left out, or of which a part is there (Trace::unfinished):
  // whoever wrote it was stopped.
  bool cut_off() const { return cut_off_; }

 private:
  std::string path_;
  std::vector<Trace> runs_;
  std::vector<uint64_t> offsets_;
  bool cut_off_ = false;
};

}  // namespace vmm
