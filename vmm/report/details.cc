// A cell beyond its findings: paired ratios in time order, the ceiling, latency distributions, fairness, the
// time ledger, yields.
#include <algorithm>
#include <cmath>
#include <map>

#include "vmm/cli/report.h"
#include "vmm/report/report.h"
#include "vmm/stats/histogram.h"
#include "vmm/stats/published.h"
#include "vmm/stats/sample.h"

namespace vmm {
namespace {

// Six digits are enough to draw, and a third of the bytes.
Json short_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (value == 0) return 0;
  const double scale = std::pow(10.0, 5 - std::floor(std::log10(std::abs(value))));
  return std::round(value * scale) / scale;
}

struct Attempt {
  uint32_t block = 0;
  uint32_t number = 0;
  bool counts = false;
  bool disturbed = false;
  BlockRuns runs;
};

// In time order.
std::vector<Attempt> attempts_of(const CellInfo& cell, const ReportInput& input) {
  std::vector<Attempt> list;
  for (uint32_t block = 0; block < input.runs->block_count(cell); ++block) {
    const auto counting = input.runs->counting_attempt(cell, block);
    for (uint32_t number = 0; counting && number <= *counting; ++number) {
      list.push_back({block, number, number == *counting,
                      is_disturbed(input.design, cell, *input.runs, block, number),
                      input.runs->attempt(cell, block, number)});
    }
  }
  return list;
}

Json attempts_json(const CellInfo& cell, const std::vector<Attempt>& attempts) {
  Json list = Json::array();
  for (const Attempt& attempt : attempts) {
    double steal = 0;
    for (const RunRecord* run : attempt.runs) {
      if (run != nullptr) steal = std::max(steal, stolen_share(cell, *run));
    }
    list.push_back({{"block", attempt.block},
                    {"attempt", attempt.number},
                    {"counts", attempt.counts},
                    {"disturbed", attempt.disturbed},
                    {"steal", short_number(steal)}});
  }
  return list;
}

// By metric: the ratio to the baseline in each attempt, null where there is none.
Json pairs_json(const CellInfo& cell, size_t slot, size_t baseline, const PolicyFindings& policy,
                const std::vector<Attempt>& attempts) {
  Json pairs = Json::object();
  for (const Finding& finding : policy.findings) {
    if (!finding.ratio) continue;
    Json& list = pairs[std::string{finding.metric->name}] = Json::array();
    for (const Attempt& attempt : attempts) {
      const double value = metric_value(attempt.runs, slot, cell, *finding.metric) /
                           metric_value(attempt.runs, baseline, cell, *finding.metric);
      list.push_back(value > 0 ? short_number(value) : Json(nullptr));
    }
  }
  return pairs;
}

using Runs = std::vector<const RunRecord*>;

Runs counting(const std::vector<Attempt>& attempts, size_t slot) {
  Runs runs;
  for (const Attempt& attempt : attempts) {
    if (attempt.counts && attempt.runs[slot] != nullptr) runs.push_back(attempt.runs[slot]);
  }
  return runs;
}

// The distribution over all runs together: percentiles, and the share of samples below each bucket's end.
Json ack_json(const Runs& runs) {
  std::vector<uint64_t> buckets(KVMUX_HIST_BUCKETS);
  std::vector<double> clocks;
  for (const RunRecord* run : runs) {
    if (!run->detail || run->detail->ack.empty()) continue;
    clocks.push_back(run->detail->tsc_khz);
    for (const auto& [bucket, count] : run->detail->ack) buckets[bucket] += count;
  }
  const uint64_t all = histogram_count(buckets);
  if (all == 0 || median(clocks) <= 0) return nullptr;
  const double khz = median(clocks);
  Json json{{"count", all}};
  for (const auto& [name, q] :
       {std::pair{"p50_ns", 0.5}, {"p90_ns", 0.9}, {"p99_ns", 0.99}, {"p999_ns", 0.999}}) {
    json[name] = histogram_quantile_time(buckets, q, khz).value_or(Nanos{}).count();
  }
  const auto time_at = [khz](uint32_t bucket) {
    return std::round(static_cast<double>(histogram_bucket_start(bucket)) / khz * 1e6);
  };
  Json& points = json["cdf"] = Json::array();
  uint64_t below = 0;
  for (uint32_t bucket = 0; bucket < buckets.size(); ++bucket) {
    if (buckets[bucket] == 0) continue;
    points.push_back({time_at(bucket), short_number(static_cast<double>(below) / static_cast<double>(all))});
    below += buckets[bucket];
    points.push_back(
        {time_at(bucket + 1), short_number(static_cast<double>(below) / static_cast<double>(all))});
  }
  return json;
}

// By VM: what it got against its entitlement, over the runs. Old files do not know weights: equal ones then.
Json fairness_json(const Runs& runs) {
  std::vector<std::vector<double>> by_vm;
  bool guessed = false;
  for (const RunRecord* run : runs) {
    std::vector<double> shares = run->detail ? run->detail->shares : run->vm_ops_per_second;
    if (!run->detail) {
      guessed = true;
      double sum = 0;
      for (const double ops : shares) sum += ops;
      if (sum <= 0) continue;
      for (double& share : shares) share *= static_cast<double>(shares.size()) / sum;
    }
    by_vm.resize(std::max(by_vm.size(), shares.size()));
    for (size_t vm = 0; vm < shares.size(); ++vm) by_vm[vm].push_back(shares[vm]);
  }
  if (by_vm.size() < 2) return nullptr;
  Json json{{"equal_weights_assumed", guessed}};
  Json& list = json["vms"] = Json::array();
  for (const std::vector<double>& shares : by_vm) {
    list.push_back({{"median", short_number(median(shares))},
                    {"p10", short_number(quantile(shares, 0.1))},
                    {"p90", short_number(quantile(shares, 0.9))}});
  }
  return json;
}

// Shares of all vCPUs' time, over all runs together.
Json ledger_json(const Runs& runs) {
  Ledger sum;
  for (const RunRecord* run : runs) {
    if (!run->detail) continue;
    for (const LedgerColumn& column : ledger_columns()) {
      sum.*column.field += run->detail->ledger.*column.field;
    }
  }
  const auto all = static_cast<double>(sum.sum().count());
  if (all <= 0) return nullptr;
  const auto share = [all](Nanos time) { return short_number(static_cast<double>(time.count()) / all); };
  Json json = Json::object();
  for (const LedgerColumn& column : ledger_columns())
    json[std::string{column.name}] = share(sum.*column.field);
  // As a guest's `top` and as a hypervisor's %RDY would show them.
  json["steal"] = share(sum.waiting + sum.stolen);
  json["ready"] = share(sum.waiting);
  return json;
}

Json yields_json(const Runs& runs) {
  YieldCounts sum;
  double seconds = 0;
  for (const RunRecord* run : runs) {
    if (!run->detail) continue;
    const YieldCounts& one = run->detail->yields;
    seconds += run->seconds;
    for (size_t i = 0; i < sum.done.size(); ++i) sum.done[i] += one.done[i];
    sum.tried += one.tried;
    sum.hits += one.hits;
    sum.misses += one.misses;
    sum.harmful += one.harmful;
  }
  if (seconds <= 0) return nullptr;
  uint64_t done = 0;
  Json reasons = Json::object();
  for (size_t i = 0; i < sum.done.size(); ++i) {
    done += sum.done[i];
    const std::string name{yield_reason_name(static_cast<sched::YieldReason>(i))};
    if (sum.done[i] != 0) reasons[name] = short_number(static_cast<double>(sum.done[i]) / seconds);
  }
  const auto rate = [seconds](uint64_t count) { return short_number(static_cast<double>(count) / seconds); };
  const uint64_t known = sum.hits + sum.misses + sum.harmful;
  return {{"tried", rate(sum.tried)},     {"done", rate(done)},
          {"hits", rate(sum.hits)},       {"misses", rate(sum.misses)},
          {"harmful", rate(sum.harmful)}, {"open", rate(done > known ? done - known : 0)},
          {"reasons", std::move(reasons)}};
}

// Operations a second if all of the workers' time went into counted work: median over the runs.
Json ceiling_json(const std::vector<Attempt>& attempts) {
  std::vector<double> ceilings;
  for (const Attempt& attempt : attempts) {
    for (const RunRecord* run : attempt.runs) {
      if (!attempt.counts || run == nullptr) continue;
      const double* throughput = run->metric(kThroughput);
      const double* useful = run->metric("useful");
      if (throughput != nullptr && useful != nullptr && *useful > 0)
        ceilings.push_back(*throughput / *useful);
    }
  }
  return ceilings.empty() ? Json(nullptr) : short_number(median(ceilings));
}

Json published_json(const CellInfo& cell, const std::string& label) {
  const auto gain =
      published_gain(std::string_view{cell.guest}.substr(0, cell.guest.find(' ')), label, cell.vms);
  if (!gain) return nullptr;
  return {{"ratio", 1 + gain->gain_percent / 100},
          {"workload", gain->workload},
          {"source", gain->source},
          {"same_setup", is_published_setup(cell)}};
}

void put(Json& json, const char* name, Json value) {
  if (!value.is_null()) json[name] = std::move(value);
}

Json settle_json(const CellFindings& cell, const PolicyFindings& policy) {
  Json json = Json::object();
  for (const Finding& finding : policy.findings) {
    const std::string text = to_settle(cell, finding);
    if (!text.empty()) json[std::string{finding.metric->name}] = text;
  }
  return json;
}

}  // namespace

Json cell_details(const CellFindings& cell, const ReportInput& input) {
  const std::vector<Attempt> attempts = attempts_of(cell.cell, input);
  const size_t baseline = baseline_slot(cell.cell, input.baseline);
  Json json{{"overcommit", static_cast<double>(cell.cell.vcpus_in_all) / std::max(1U, cell.cell.workers)},
            {"attempts", attempts_json(cell.cell, attempts)}};
  put(json, "ceiling", ceiling_json(attempts));
  Json& policies = json["policies"] = Json::array();
  size_t at = 0;
  for (size_t slot = 0; slot < cell.cell.labels.size(); ++slot) {
    if (static_cast<int>(slot) == cell.cell.reference) continue;
    const PolicyFindings& policy = cell.policies[at++];
    const Runs runs = counting(attempts, slot);
    Json entry{{"policy", policy.label}};
    put(entry, "pairs", pairs_json(cell.cell, slot, baseline, policy, attempts));
    put(entry, "settle", settle_json(cell, policy));
    put(entry, "published", published_json(cell.cell, policy.label));
    put(entry, "ack", ack_json(runs));
    put(entry, "fairness", fairness_json(runs));
    put(entry, "ledger", ledger_json(runs));
    put(entry, "yields", yields_json(runs));
    policies.push_back(std::move(entry));
  }
  return json;
}

}  // namespace vmm
