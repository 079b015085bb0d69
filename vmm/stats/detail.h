// What a run says beyond its metrics, for the report: where the vCPUs' time went, the distribution of IPI
// latencies, directed yields by reason and outcome, what each VM got. Optional in result files: those written
// before it exist without. Pure, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/json.h"
#include "vmm/run_types.h"

namespace vmm {

struct YieldCounts {
  std::array<uint64_t, sched::kYieldReasons> done{};  // by reason
  uint64_t tried = 0;
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t harmful = 0;  // the outcomes of the rest were not known when the window ended
};

struct RunDetail {
  Ledger ledger;                                   // all vCPUs together
  std::vector<std::pair<uint32_t, uint64_t>> ack;  // IPI send → acknowledgement: bucket of histogram.h, count
  double tsc_khz = 0;                              // to read `ack`
  YieldCounts yields;
  std::vector<double> shares;  // by VM: what it got against what its weight entitles it to; 1 is exactly that
};

RunDetail detail_of(const RunSpec& spec, const RunResult& result);

// As a field of a run's line. `detail_from` throws nlohmann's exceptions if it is not one of ours.
Json detail_json(const RunDetail& detail);
RunDetail detail_from(const Json& json);

// "ipi_receiver", … as in JSON.
std::string_view yield_reason_name(sched::YieldReason reason);

}  // namespace vmm
