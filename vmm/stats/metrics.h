// What is compared: figures of merit computed from one run. Pure, any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/run_types.h"

namespace vmm {

enum class Better : uint8_t { kHigher, kLower, kNeither };
enum class Unit : uint8_t { kRate, kNanos, kShare };

struct MetricInfo {
  std::string_view name;  // as in --metric and JSON
  std::string_view title;
  Unit unit;
  Better better;
  std::string_view meaning;
  // Nothing where the run has no such figure (e.g. no IPIs). Empty for figures that need a second run.
  std::optional<double> (*of)(const RunSpec&, const RunResult&);
};

std::span<const MetricInfo> metrics();
const MetricInfo* find_metric(std::string_view name);

using MetricValues = std::vector<std::pair<std::string, double>>;

// All that this run has, in the order of metrics().
MetricValues measure(const RunSpec& spec, const RunResult& result);

inline constexpr std::string_view kThroughput = "throughput";
inline constexpr std::string_view kStolen = "stolen";
// Throughput of all VMs together against one VM with a vCPU a worker, alone on the workers.
inline constexpr std::string_view kEfficiency = "efficiency";
// What is lost against the best of all policies of the block.
inline constexpr std::string_view kRegret = "regret";

// Columns of the time ledger, in the order in which they are printed.
struct LedgerColumn {
  std::string_view name;
  Nanos Ledger::*field;
};
std::span<const LedgerColumn> ledger_columns();

// What each VM got, comparable between the VMs of this run: throughput per weight where all run the same
// guest with the same parameters, else time on workers per weight. Failed VMs are left out.
std::vector<double> vm_shares(const RunSpec& spec, const RunResult& result);

// Sums over the vCPUs of a VM or of a run.
struct Totals {
  Ledger ledger;
  sched::VcpuStats sched;  // times and worst_wait as well: the sum, and the worst
  uint64_t operations = 0;
  Nanos work_time{};
  uint64_t exits = 0;
  uint64_t kicks = 0;
  uint64_t ipis_sent = 0;
  uint64_t ipis_acked = 0;
  uint64_t wakeups = 0;
  uint64_t guest_errors = 0;
  [[nodiscard]] uint64_t yields_done() const;
  [[nodiscard]] Nanos on_worker() const;  // time with a worker, VMM work included
};
Totals totals(const VmResult& vm);

// What the guest should have counted as steal time, by the ledger: runnable without a worker, or on one that the host
// had taken from its CPU; summed over the vCPUs.
Nanos ledger_steal(const VmResult& vm);
Totals totals(const RunResult& result);

}  // namespace vmm
