#include "vmm/stats/metrics.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "vmm/stats/histogram.h"
#include "vmm/stats/sample.h"

namespace vmm {
namespace {

using Value = std::optional<double>;

double seconds(Nanos time) { return static_cast<double>(time.count()) / 1e9; }

Value share(double part, double whole) { return whole > 0 ? Value{part / whole} : std::nullopt; }

Value throughput(const RunSpec&, const RunResult& result) {
  double sum = 0;
  for (const VmResult& vm : result.vms) sum += vm.ops_per_second;
  return sum;
}

// What its vCPUs counted is known of tiny guests alone.
bool tells_all(const RunResult& result) {
  return std::none_of(result.vms.begin(), result.vms.end(),
                      [](const VmResult& vm) { return vm.linux_guest.has_value(); });
}

Value useful(const RunSpec& spec, const RunResult& result) {
  if (!tells_all(result)) return std::nullopt;
  return share(seconds(totals(result).work_time), seconds(result.window) * spec.workers);
}

Value stolen(const RunSpec& spec, const RunResult& result) {
  return share(seconds(totals(result).ledger.stolen), seconds(result.window) * spec.workers);
}

Value spin_waste(const RunSpec&, const RunResult& result) {
  if (!tells_all(result)) return std::nullopt;
  const Totals sum = totals(result);
  return share(seconds(sum.ledger.spinning), seconds(sum.on_worker()));
}

Value fairness(const RunSpec& spec, const RunResult& result) { return min_over_max(vm_shares(spec, result)); }

Value jain(const RunSpec& spec, const RunResult& result) { return jain_index(vm_shares(spec, result)); }

// The least even VM decides.
Value vcpu_fairness(const RunSpec&, const RunResult& result) {
  Value worst;
  for (const VmResult& vm : result.vms) {
    if (vm.linux_guest) continue;
    std::vector<double> operations;
    for (const VcpuResult& vcpu : vm.vcpus) operations.push_back(static_cast<double>(vcpu.operations));
    const Value even = min_over_max(operations);
    if (even && (!worst || *even < *worst)) worst = even;
  }
  return worst;
}

template <int kPermille>
Value ack_time(const RunSpec&, const RunResult& result) {
  std::array<uint64_t, KVMUX_HIST_BUCKETS> sum{};
  for (const VmResult& vm : result.vms) {
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += vm.ack_hist[i];
  }
  const auto time = histogram_quantile_time(sum, kPermille / 1000.0, result.tsc_khz);
  return time ? Value{static_cast<double>(time->count())} : std::nullopt;
}

Value worst_wait(const RunSpec&, const RunResult& result) {
  return static_cast<double>(totals(result).sched.worst_wait.count());
}

template <uint64_t sched::VcpuStats::*kField>
Value sched_rate(const RunSpec&, const RunResult& result) {
  return share(static_cast<double>(totals(result).sched.*kField), seconds(result.window));
}

Value yields(const RunSpec&, const RunResult& result) {
  return share(static_cast<double>(totals(result).yields_done()), seconds(result.window));
}

Value exit_rate(const RunSpec&, const RunResult& result) {
  return share(static_cast<double>(totals(result).exits), seconds(result.window));
}

template <uint64_t sched::VcpuStats::*kField>
Value of_yields(const RunSpec&, const RunResult& result) {
  const Totals sum = totals(result);
  return share(static_cast<double>(sum.sched.*kField), static_cast<double>(sum.yields_done()));
}

using S = sched::VcpuStats;
constexpr std::array kMetrics{
    MetricInfo{kThroughput, "throughput", Unit::kRate, Better::kHigher,
               "finished operations a second, all VMs together", throughput},
    MetricInfo{kEfficiency, "efficiency", Unit::kShare, Better::kHigher,
               "throughput against one VM with a vCPU a worker, alone on the workers", nullptr},
    MetricInfo{kRegret, "regret", Unit::kShare, Better::kLower,
               "1 - throughput / that of the best of all policies in the block", nullptr},
    MetricInfo{"useful", "useful", Unit::kShare, Better::kHigher,
               "share of the workers' time that went into counted work", useful},
    MetricInfo{"ipi_p50", "IPI p50", Unit::kNanos, Better::kLower,
               "from an IPI's send until its sender sees it acknowledged, median", ack_time<500>},
    MetricInfo{"ipi_p99", "IPI p99", Unit::kNanos, Better::kLower, "the same, 99th percentile",
               ack_time<990>},
    MetricInfo{"ipi_p999", "IPI p99.9", Unit::kNanos, Better::kLower, "the same, 99.9th percentile",
               ack_time<999>},
    MetricInfo{"worst_wait", "worst wait", Unit::kNanos, Better::kLower,
               "longest time that a runnable vCPU waited for a worker", worst_wait},
    MetricInfo{"spin_waste", "spin waste", Unit::kShare, Better::kLower,
               "share of the vCPUs' time on workers spent busy-waiting", spin_waste},
    MetricInfo{"fairness", "fairness", Unit::kShare, Better::kHigher, "between VMs: worst over best",
               fairness},
    MetricInfo{"jain", "Jain", Unit::kShare, Better::kHigher, "between VMs: Jain's index", jain},
    MetricInfo{"vcpu_fairness", "vCPU fairness", Unit::kShare, Better::kHigher,
               "between the vCPUs of the least even VM: worst over best", vcpu_fairness},
    MetricInfo{"spin_exits", "spin exits", Unit::kRate, Better::kNeither, "a second",
               sched_rate<&S::spin_exits>},
    MetricInfo{"yields", "yields", Unit::kRate, Better::kNeither, "directed yields done a second", yields},
    MetricInfo{"yield_hits", "hits", Unit::kShare, Better::kHigher,
               "share of yields whose target ran and helped before the yielder came back",
               of_yields<&S::yield_hits>},
    MetricInfo{"yield_misses", "misses", Unit::kShare, Better::kLower,
               "share of yields whose target did not run before the yielder came back",
               of_yields<&S::yield_misses>},
    MetricInfo{"yield_harmful", "harmful", Unit::kShare, Better::kLower,
               "share of yields whose target ran only to spin itself", of_yields<&S::yield_harmful>},
    MetricInfo{"exits", "exits", Unit::kRate, Better::kNeither, "returns from the guest a second", exit_rate},
    MetricInfo{kStolen, "stolen", Unit::kShare, Better::kNeither,
               "share of the workers' time in which the host ran something else", stolen},
    MetricInfo{"migrations", "migrations", Unit::kRate, Better::kNeither,
               "moves of vCPUs between workers a second", sched_rate<&S::migrations>},
};

bool same_kind(const VmSpec& a, const VmSpec& b) {
  return a.guest == b.guest && a.linux_guest == b.linux_guest && a.vcpus == b.vcpus && a.ring == b.ring &&
         a.args == b.args &&
         std::memcmp(&a.workload, &b.workload, sizeof a.workload) == 0;
}

}  // namespace

std::span<const MetricInfo> metrics() { return kMetrics; }

const MetricInfo* find_metric(std::string_view name) {
  const auto found =
      std::find_if(kMetrics.begin(), kMetrics.end(), [name](const MetricInfo& m) { return m.name == name; });
  return found == kMetrics.end() ? nullptr : &*found;
}

MetricValues measure(const RunSpec& spec, const RunResult& result) {
  MetricValues values;
  for (const MetricInfo& metric : kMetrics) {
    if (metric.of == nullptr) continue;
    if (const Value value = metric.of(spec, result)) values.emplace_back(metric.name, *value);
  }
  return values;
}

std::vector<double> vm_shares(const RunSpec& spec, const RunResult& result) {
  const size_t count = std::min(spec.vms.size(), result.vms.size());
  bool alike = true;
  for (size_t i = 1; i < count; ++i) alike = alike && same_kind(spec.vms[0], spec.vms[i]);
  std::vector<double> shares;
  for (size_t i = 0; i < count; ++i) {
    const VmResult& vm = result.vms[i];
    if (!vm.failure.empty()) continue;
    const VmSpec& its = spec.vms[i];
    const double got = alike ? vm.ops_per_second : seconds(totals(vm).on_worker());
    const int64_t factor =
        sched::entitlement_factor(its.policy.features, its.vcpus, spec.workers);
    shares.push_back(got / static_cast<double>(its.weight.value * factor));
  }
  return shares;
}

}  // namespace vmm
