// A trace in figures: how long vCPUs wait and run, how long IPIs and wake-ups take, who preempts whom, which
// yields help, who waits for whom. Pure, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sched/base/stats.h"
#include "vmm/json.h"
#include "vmm/run_types.h"
#include "vmm/trace/trace_file.h"

namespace vmm {

// Exact quantiles (the smallest value that this share does not exceed) and a histogram by powers of two.
class Latencies {
 public:
  static constexpr size_t kBuckets = 40;  // bucket b: below 2^b ns; the last: all others

  void add(int64_t ns) { values_.push_back(ns); }
  // After the last add().
  void finish();
  size_t count() const { return values_.size(); }
  int64_t quantile(double share) const;  // 0 if there is none
  int64_t largest() const { return values_.empty() ? 0 : values_.back(); }
  int64_t sum() const { return sum_; }
  const std::array<uint64_t, kBuckets>& histogram() const { return histogram_; }

 private:
  std::vector<int64_t> values_;
  std::array<uint64_t, kBuckets> histogram_{};
  int64_t sum_ = 0;
};

struct TraceLatencies {
  Latencies wait;       // runnable, until it is on a worker
  Latencies run;        // on a worker at a time
  Latencies wakeup;     // from the wake-up until it is on a worker
  Latencies ipi;        // sent until acknowledged
  Latencies injection;  // sent until injected
  Latencies handling;   // injected until acknowledged
  // As the guest says by marks:
  Latencies holds;       // owns a lock, on a worker or not
  Latencies busy_waits;  // from its first turn of a loop until the wait is over
};

struct YieldCount {
  std::array<uint64_t, 4> how{};      // by sched::TraceYield
  std::array<uint64_t, 3> outcome{};  // by sched::TraceOutcome, of those that were done
};

struct IpiPair {
  Latencies injection;
  Latencies handling;
  uint64_t unfinished = 0;  // not acknowledged within the trace
};

struct TraceStats {
  int64_t from = 0;
  int64_t to = 0;
  uint64_t events = 0;
  TraceLatencies all;
  std::vector<TraceLatencies> vms;                            // by the VM of the vCPU (IPIs: of the sender)
  std::vector<CodeSites> spin_sites;                          // by VM: of spin exits that say where they were
  std::vector<int64_t> running;                               // by vCPU: time on a worker
  std::map<std::pair<size_t, size_t>, uint64_t> preempted;    // (who came, whose turn was cut short), by VM
  std::map<uint8_t, YieldCount> yields;                       // by sched::YieldReason
  std::map<std::pair<uint32_t, uint32_t>, Latencies> wakers;  // (who sent the IPI, who woke): until it runs
  uint64_t other_wakeups = 0;                                 // by a timer or a device
  std::map<uint32_t, uint64_t> wake_chains;               // wake-ups by depth: 1: by one who was not woken so
  std::map<std::pair<uint32_t, uint32_t>, IpiPair> ipis;  // (sender, receiver)
  std::map<uint32_t, Latencies> fanouts;                  // by receivers: until the last has acknowledged
  std::map<uint32_t, uint64_t> ipi_chains;                // IPIs by IpiWay::depth
  std::map<sched::TraceKind, uint64_t> kinds;
};

// Between two instants of the trace's clock.
TraceStats stats_of(const Trace& trace, int64_t from, int64_t to);

Json stats_json(const Trace& trace, const TraceStats& stats);

}  // namespace vmm
