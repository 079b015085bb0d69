// The lines of a result file, to and from JSON.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "vmm/stats/journal.h"

namespace vmm {
namespace {

CellInfo cell_from(const Json& line) {
  CellInfo cell;
  line.at("key").get_to(cell.key);
  line.at("guest").get_to(cell.guest);
  line.at("size").get_to(cell.size);
  line.at("backend").get_to(cell.backend);
  line.at("workers").get_to(cell.workers);
  line.at("vms").get_to(cell.vms);
  line.at("vcpus_in_all").get_to(cell.vcpus_in_all);
  line.at("seconds").get_to(cell.seconds);
  line.at("labels").get_to(cell.labels);
  line.at("reference").get_to(cell.reference);
  if (line.contains("place")) cell.place = line.at("place").get<uint32_t>();
  cell.first_look = line.value("first_look", 0U);
  if (line.contains("switchback")) {
    cell.switchback = true;
    line.at("switchback").at("period").get_to(cell.period);
    line.at("switchback").at("washout").get_to(cell.washout);
  }
  return cell;
}

RunRecord run_from(const Json& line) {
  RunRecord run;
  line.at("cell").get_to(run.id.cell);
  line.at("block").get_to(run.id.block);
  line.at("attempt").get_to(run.id.attempt);
  line.at("slot").get_to(run.id.slot);
  line.at("seed").get_to(run.seed);
  line.at("seconds").get_to(run.seconds);
  run.took = line.value("took", 0.0);
  if (line.contains("place")) run.place = line.at("place").get<uint32_t>();
  if (line.contains("process")) run.process = line.at("process").get<uint32_t>();
  for (const auto& [name, value] : line.at("metrics").items())
    run.metrics.emplace_back(name, value.get<double>());
  line.at("vm_ops_per_second").get_to(run.vm_ops_per_second);
  const Json& noise = line.at("noise");
  noise.at("steal_ms").get_to(run.noise.steal_ms);
  noise.at("involuntary_switches").get_to(run.noise.involuntary_switches);
  if (noise.contains("mhz")) run.noise.mhz = noise.at("mhz").get<double>();
  if (noise.contains("cpu_changes")) noise.at("cpu_changes").get_to(run.noise.cpu_changes);
  if (line.contains("detail")) run.detail = detail_from(line.at("detail"));
  return run;
}

// Takes in one whole line; throws nlohmann's exceptions if it is not one of ours.
void take(JournalContents& contents, std::set<RunId>& seen, std::string_view text) {
  const Json line = Json::parse(text);
  const auto kind = line.at("kind").get<std::string>();
  if (kind == "session") {
    contents.sessions.push_back(line);
  } else if (kind == "cell") {
    CellInfo cell = cell_from(line);
    const auto same = [&cell](const CellInfo& other) { return other.key == cell.key; };
    const auto known = std::find_if(contents.cells.begin(), contents.cells.end(), same);
    if (known == contents.cells.end()) {
      contents.cells.push_back(std::move(cell));
    } else if (cell.first_look != 0) {  // once looked at, always looked at; most often counts
      known->first_look =
          known->first_look == 0 ? cell.first_look : std::min(known->first_look, cell.first_look);
    }
  } else if (kind == "run") {
    RunRecord run = run_from(line);
    if (seen.insert(run.id).second) contents.runs.push_back(std::move(run));
  }
  // Other kinds (`failure`, and what later versions add) need no reading.
}

}  // namespace

Json cell_line(const CellInfo& cell) {
  Json line{{"kind", "cell"},
            {"key", cell.key},
            {"guest", cell.guest},
            {"size", cell.size},
            {"backend", cell.backend},
            {"workers", cell.workers},
            {"vms", cell.vms},
            {"vcpus_in_all", cell.vcpus_in_all},
            {"seconds", cell.seconds},
            {"labels", cell.labels},
            {"reference", cell.reference}};
  if (cell.place) line["place"] = *cell.place;
  if (cell.first_look != 0) line["first_look"] = cell.first_look;
  if (cell.switchback) line["switchback"] = {{"period", cell.period}, {"washout", cell.washout}};
  return line;
}

Json run_line(const RunRecord& run) {
  Json line{
      {"kind", "run"},       {"cell", run.id.cell}, {"block", run.id.block}, {"attempt", run.id.attempt},
      {"slot", run.id.slot}, {"seed", run.seed},    {"seconds", run.seconds}};
  if (run.took > 0) line["took"] = run.took;
  if (run.place) line["place"] = *run.place;
  if (run.process) line["process"] = *run.process;
  Json& values = line["metrics"] = Json::object();
  for (const auto& [name, value] : run.metrics) values[name] = value;
  line["vm_ops_per_second"] = run.vm_ops_per_second;
  line["noise"] = {{"steal_ms", run.noise.steal_ms},
                   {"involuntary_switches", run.noise.involuntary_switches}};
  if (run.noise.mhz) line["noise"]["mhz"] = *run.noise.mhz;
  if (!run.noise.cpu_changes.empty()) line["noise"]["cpu_changes"] = run.noise.cpu_changes;
  if (run.detail) line["detail"] = detail_json(*run.detail);
  return line;
}

Result<JournalContents> parse_journal(std::string_view name, std::string_view text) {
  JournalContents contents;
  std::set<RunId> seen;
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    ++number;
    const size_t end = text.find('\n', at);
    if (end == std::string_view::npos) {
      contents.dropped_tail = true;
      break;
    }
    try {
      if (end > at) take(contents, seen, text.substr(at, end - at));
    } catch (const nlohmann::json::exception& error) {
      return usage_error(fmt::format("{}:{}", name, number),
                         fmt::format("not a kvmux result line: {}", error.what()));
    }
    at = end + 1;
    contents.whole_bytes = at;
  }
  return contents;
}

}  // namespace vmm
