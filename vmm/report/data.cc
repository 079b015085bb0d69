// The report's data: findings as `compare --json` gives them, and what the page draws beside.
#include <fmt/format.h>

#include "vmm/cli/report.h"
#include "vmm/report/report.h"

namespace vmm {
namespace {

constexpr std::string_view kUnits[] = {"rate", "ns", "share"};
constexpr std::string_view kBetter[] = {"higher", "lower", "neither"};

Json metrics_json() {
  Json list = Json::array();
  for (const MetricInfo& metric : metrics()) {
    list.push_back({{"name", metric.name},
                    {"title", metric.title},
                    {"unit", kUnits[static_cast<size_t>(metric.unit)]},
                    {"better", kBetter[static_cast<size_t>(metric.better)]},
                    {"meaning", metric.meaning}});
  }
  return list;
}

Json counts_json(std::span<const CellFindings> cells, std::string_view metric) {
  VerdictCounts counts;
  for (const CellFindings& cell : cells) count_verdicts(counts, cell, metric);
  return {{"better", counts.better},         {"worse", counts.worse},
          {"equivalent", counts.equivalent}, {"inconclusive", counts.inconclusive},
          {"too_few", counts.too_few},       {"text", counts.text()}};
}

Json sentences_json(const ReportInput& input, const std::vector<std::string>& names,
                    std::string_view metric) {
  Json list = Json::array();
  for (size_t i = 0; i < input.cells.size(); ++i) {
    const CellFindings& cell = input.cells[i];
    for (size_t j = 0; j < cell.policies.size(); ++j) {
      const Finding* finding = cell.policies[j].find(metric);
      if (finding == nullptr || finding->verdict == Verdict::kBaseline) continue;
      list.push_back({{"cell", i},
                      {"policy", j},
                      {"verdict", verdict_text(*finding)},
                      {"text", finding_sentence(cell, cell.policies[j], *finding, names[i], input.margin)}});
    }
  }
  return list;
}

// What the file was measured on: of the last session that says.
HostDescription host_of(const std::vector<Json>& sessions) {
  HostDescription host;
  for (const Json& session : sessions) {
    if (!session.contains("host") || !session.at("host").is_object()) continue;
    const Json& told = session.at("host");
    host = {told.value("kernel", ""), told.value("cpu_model", ""), told.value("cpus", 0U),
            told.value("cpus_allowed", 0U)};
  }
  return host;
}

std::vector<std::string> command_of(const std::vector<Json>& sessions) {
  for (auto session = sessions.rbegin(); session != sessions.rend(); ++session) {
    if (session->contains("command")) return session->at("command").get<std::vector<std::string>>();
  }
  return {};
}

// Which of the page's sections have nothing to show, and how to get it.
Json missing_json(const ReportInput& input, const Json& details) {
  Json missing = Json::object();
  bool detail = false;
  bool ack = false;
  for (const Json& cell : details) {
    for (const Json& policy : cell.at("policies")) {
      detail = detail || policy.contains("ledger");
      ack = ack || policy.contains("ack");
    }
  }
  if (!detail) {
    missing["detail"] =
        "The result file was written by a version of kvmux that kept metrics only: no time ledger, no "
        "latency "
        "distribution, no yields by outcome. Measure again with this version (kvmux compare --out FILE).";
  }
  if (!ack)
    missing["ack"] = "No guest of this comparison sends IPIs that it measures; guests ipi and mixed do.";
  if (input.traces.empty()) {
    missing["trace"] =
        "No trace was given. Write one (kvmux run … --policy P --trace p.trace, one for each policy with the "
        "same seed; or kvmux compare … --trace c.trace) and name them: kvmux report results.jsonl a.trace "
        "b.trace -o report.html";
  }
  return missing;
}

}  // namespace

Json report_data(const ReportInput& input) {
  const std::vector<std::string> names = cell_names(input.cells);
  Json json{{"schema", "kvmux.report"},   {"schema_version", kReportPageSchemaVersion},
            {"kvmux_version", kVersion},  {"made_by", input.made_by},
            {"margin", input.margin},     {"seed", input.design.seed},
            {"sessions", input.sessions}, {"metrics", metrics_json()}};
  for (const MetricInfo& metric : metrics()) {
    const std::string name{metric.name};
    json["counts"][name] = counts_json(input.cells, metric.name);
    json["sentences"][name] = sentences_json(input, names, metric.name);
  }
  json["names"] = names;
  json["compare"] = report_json(input.cells, command_of(input.sessions), host_of(input.sessions), input.cpus);
  Json& details = json["details"] = Json::array();
  for (const CellFindings& cell : input.cells) details.push_back(cell_details(cell, input));
  Json& traces = json["traces"] = Json::array();
  for (const NamedTrace& trace : input.traces) traces.push_back(trace_json(trace, input.stretch));
  json["missing"] = missing_json(input, details);
  json["csv"] = {{"findings", report_csv(input.cells)}, {"runs", runs_csv(input)}};
  return json;
}

}  // namespace vmm
