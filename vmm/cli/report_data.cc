// Findings for other programs: CSV and JSON.
#include <fmt/format.h>

#include "vmm/cli/report.h"
#include "vmm/cli/run_json.h"
#include "vmm/cli/table.h"

namespace vmm {
namespace {

constexpr int kReportSchemaVersion = 1;

std::string number(double value) { return fmt::format("{}", value); }

std::vector<std::string> csv_row(const CellFindings& cell, const PolicyFindings& policy,
                                 const Finding& finding) {
  const CellInfo& info = cell.cell;
  std::vector<std::string> row{info.backend,
                               info.guest,
                               std::to_string(info.vms),
                               std::to_string(info.vcpus_in_all),
                               std::to_string(info.workers),
                               number(info.seconds),
                               policy.label,
                               std::string{finding.metric->name},
                               std::to_string(finding.runs),
                               number(finding.median),
                               number(finding.p10),
                               number(finding.p90)};
  if (finding.ratio) {
    row.insert(row.end(),
               {number(finding.ratio->ratio), number(finding.ratio->median), number(finding.ratio->low),
                number(finding.ratio->high), number(finding.ratio->p), number(finding.p_adjusted)});
  } else {
    row.insert(row.end(), 6, "");
  }
  row.emplace_back(verdict_name(finding.verdict));
  row.push_back(finding.more_blocks ? std::to_string(*finding.more_blocks) : "");
  return row;
}

Json finding_json(const Finding& finding) {
  Json json{{"runs", finding.runs}, {"median", finding.median}, {"p10", finding.p10}, {"p90", finding.p90}};
  if (finding.ratio) {
    json["ratio"] = finding.ratio->ratio;
    json["ratio_median"] = finding.ratio->median;
    json["low"] = finding.ratio->low;
    json["high"] = finding.ratio->high;
    json["equal_low"] = finding.ratio->equal_low;
    json["equal_high"] = finding.ratio->equal_high;
    json["p"] = finding.ratio->p;
    json["p_adjusted"] = finding.p_adjusted;
  }
  json["verdict"] = verdict_name(finding.verdict);
  if (finding.more_blocks) json["more_blocks"] = *finding.more_blocks;
  return json;
}

// What else its throughputs say.
void add_notes(Json& entry, const PolicyFindings& policy) {
  if (const auto& carried = policy.carry_over) {
    entry["carry_over"] = {
        {"ratio", carried->ratio}, {"low", carried->low}, {"high", carried->high}, {"p", carried->p}};
  }
  if (const auto& between = policy.between) {
    entry["between_processes"] = {
        {"processes", between->processes}, {"share", between->share}, {"p", between->p}};
  }
  if (const auto& humps = policy.humps) {
    entry["humps"] = {
        {"low", humps->low}, {"high", humps->high}, {"at_low", humps->at_low}, {"at_high", humps->at_high}};
  }
}

}  // namespace

std::string report_csv(std::span<const CellFindings> findings) {
  std::string text =
      csv_line({"backend", "guest", "vms",    "vcpus",      "workers", "seconds",    "policy",
                "metric",  "runs",  "median", "p10",        "p90",     "ratio",      "ratio_median",
                "low",     "high",  "p",      "p_adjusted", "verdict", "more_blocks"});
  for (const CellFindings& cell : findings) {
    for (const PolicyFindings& policy : cell.policies) {
      for (const Finding& finding : policy.findings) text += csv_line(csv_row(cell, policy, finding));
    }
  }
  return text;
}

Json report_json(std::span<const CellFindings> findings, const std::vector<std::string>& command,
                 const HostDescription& host, const Json& cpus) {
  Json json{{"schema", "kvmux.compare"},
            {"schema_version", kReportSchemaVersion},
            {"kvmux_version", kVersion},
            {"command", command},
            {"host", host_json(host)}};
  if (!cpus.is_null()) json["cpus"] = cpus;
  Json& cells = json["cells"] = Json::array();
  for (const CellFindings& cell : findings) {
    Json entry{{"key", cell.cell.key},
               {"backend", cell.cell.backend},
               {"guest", cell.cell.guest},
               {"size", cell.cell.size},
               {"vms", cell.cell.vms},
               {"vcpus_in_all", cell.cell.vcpus_in_all},
               {"workers", cell.cell.workers},
               {"seconds", cell.cell.seconds},
               {"blocks", cell.blocks},
               {"repeated_blocks", cell.repeated_blocks},
               {"disturbed_blocks", cell.disturbed_blocks},
               {"worst_steal", cell.worst_steal}};
    if (cell.cell.switchback) {
      entry["switchback"] = {{"period", cell.cell.period}, {"washout", cell.cell.washout}};
    }
    if (cell.place) {
      entry["place"] = {{"first_to_last", cell.place->first_to_last}, {"p", cell.place->p}};
    }
    Json& policies = entry["policies"] = Json::array();
    for (const PolicyFindings& policy : cell.policies) {
      Json values = Json::object();
      for (const Finding& finding : policy.findings) {
        values[std::string{finding.metric->name}] = finding_json(finding);
      }
      policies.push_back({{"policy", policy.label}, {"metrics", std::move(values)}});
      add_notes(policies.back(), policy);
    }
    cells.push_back(std::move(entry));
  }
  return json;
}

}  // namespace vmm
