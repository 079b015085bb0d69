#include "vmm/stats/detail.h"

#include <numeric>
#include <string>

#include "vmm/stats/metrics.h"

namespace vmm {
namespace {

std::vector<double> entitled_shares(const RunSpec& spec, const RunResult& result) {
  std::vector<double> shares = vm_shares(spec, result);
  if (shares.size() != spec.vms.size()) return {};  // a VM failed
  double got = 0;
  double weights = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    const auto weight = static_cast<double>(spec.vms[i].weight.value);
    got += shares[i] * weight;
    weights += weight;
  }
  if (got <= 0) return {};
  for (double& share : shares) share *= weights / got;
  return shares;
}

}  // namespace

RunDetail detail_of(const RunSpec& spec, const RunResult& result) {
  RunDetail detail;
  const Totals sum = totals(result);
  detail.ledger = sum.ledger;
  detail.tsc_khz = result.tsc_khz;
  for (uint32_t bucket = 0; bucket < KVMUX_HIST_BUCKETS; ++bucket) {
    uint64_t count = 0;
    for (const VmResult& vm : result.vms) count += vm.ack_hist[bucket];
    if (count != 0) detail.ack.emplace_back(bucket, count);
  }
  detail.yields = {sum.sched.yields_done, sum.sched.yields_tried, sum.sched.yield_hits,
                   sum.sched.yield_misses, sum.sched.yield_harmful};
  detail.shares = entitled_shares(spec, result);
  return detail;
}

Json detail_json(const RunDetail& detail) {
  Json json;
  Json& ledger = json["ledger_ns"];
  for (const LedgerColumn& column : ledger_columns()) {
    ledger[std::string{column.name}] = (detail.ledger.*column.field).count();
  }
  if (!detail.ack.empty()) {
    json["tsc_khz"] = detail.tsc_khz;
    json["ack"] = detail.ack;
  }
  if (detail.yields.tried != 0) {
    Json& yields = json["yields"] = {{"tried", detail.yields.tried},
                                     {"hits", detail.yields.hits},
                                     {"misses", detail.yields.misses},
                                     {"harmful", detail.yields.harmful}};
    for (size_t i = 0; i < sched::kYieldReasons; ++i) {
      if (detail.yields.done[i] == 0) continue;
      yields["done"][std::string{yield_reason_name(static_cast<sched::YieldReason>(i))}] =
          detail.yields.done[i];
    }
  }
  if (!detail.shares.empty()) json["shares"] = detail.shares;
  return json;
}

RunDetail detail_from(const Json& json) {
  RunDetail detail;
  const Json& ledger = json.at("ledger_ns");
  for (const LedgerColumn& column : ledger_columns()) {
    detail.ledger.*column.field = Nanos{ledger.value(std::string{column.name}, int64_t{0})};
  }
  detail.tsc_khz = json.value("tsc_khz", 0.0);
  if (json.contains("ack")) {
    for (const Json& entry : json.at("ack")) {
      const auto bucket = entry.at(0).get<uint32_t>();
      if (bucket < KVMUX_HIST_BUCKETS) detail.ack.emplace_back(bucket, entry.at(1).get<uint64_t>());
    }
  }
  if (json.contains("yields")) {
    const Json& yields = json.at("yields");
    detail.yields.tried = yields.value("tried", uint64_t{0});
    detail.yields.hits = yields.value("hits", uint64_t{0});
    detail.yields.misses = yields.value("misses", uint64_t{0});
    detail.yields.harmful = yields.value("harmful", uint64_t{0});
    for (size_t i = 0; yields.contains("done") && i < sched::kYieldReasons; ++i) {
      const std::string name{yield_reason_name(static_cast<sched::YieldReason>(i))};
      detail.yields.done[i] = yields.at("done").value(name, uint64_t{0});
    }
  }
  if (json.contains("shares")) json.at("shares").get_to(detail.shares);
  return detail;
}

std::string_view yield_reason_name(sched::YieldReason reason) {
  constexpr std::array<std::string_view, sched::kYieldReasons> kNames{
      "ipi_receiver", "pending_interrupt", "preempted", "relaxed", "chain",
      "holder",       "waiter",            "owner",     "needed"};
  return kNames[static_cast<size_t>(reason)];
}

}  // namespace vmm
