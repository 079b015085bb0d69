// `kvmux doctor`: is this host fit, what do the basic steps cost here, and what follows from it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>

#include "vmm/cli/command.h"
#include "vmm/cli/run_json.h"
#include "vmm/cli/table.h"

namespace vmm {
namespace {

constexpr int kDoctorSchemaVersion = 1;

std::string_view state_name(CheckState state) {
  switch (state) {
    case CheckState::kOk:
      return "ok";
    case CheckState::kWarn:
      return "warn";
    case CheckState::kFail:
      return "fail";
  }
  return "";
}

std::string figure(const MeasuredCost& cost) {
  if (cost.key.ends_with("_ns")) return human_time(Nanos{cost.value});
  return grouped(static_cast<uint64_t>(std::max<int64_t>(0, cost.value)));
}

std::string doctor_text(const DoctorReport& report, const HostDescription& host) {
  std::string text = fmt::format("{}, {}, {} CPUs ({} allowed)\n\n", host.kernel, host.cpu_model, host.cpus,
                                 host.cpus_allowed);
  for (const DoctorCheck& check : report.checks) {
    text += fmt::format("{:5} {}: {}\n", state_name(check.state), check.name, check.detail);
    if (!check.consequence.empty()) text += fmt::format("      → {}\n", check.consequence);
    for (const std::string& command : check.commands) {
      text += fmt::format("      {}{}\n", command.starts_with('#') ? "" : "$ ", command);
    }
  }
  if (!report.costs.empty()) {
    Table table({"<cost", "measured", "<what"});
    for (const MeasuredCost& cost : report.costs) table.add({cost.key, figure(cost), cost.what});
    text += "\n" + table.text();
  }
  if (!report.implications.empty()) text += "\n";
  for (const std::string& implication : report.implications) text += implication + "\n";
  return text;
}

// `costs` is what `--cost-profile` reads.
Json doctor_json(const DoctorReport& report, const Services& services) {
  Json json{{"schema", "kvmux.doctor"},
            {"schema_version", kDoctorSchemaVersion},
            {"kvmux_version", kVersion},
            {"host", host_json(services.host)}};
  Json& checks = json["checks"] = Json::array();
  for (const DoctorCheck& check : report.checks) {
    checks.push_back({{"name", check.name},
                      {"state", state_name(check.state)},
                      {"detail", check.detail},
                      {"consequence", check.consequence},
                      {"commands", check.commands}});
  }
  Json& costs = json["costs"] = Json::object();
  for (const MeasuredCost& cost : report.costs) costs[cost.key] = cost.value;
  json["implications"] = report.implications;
  return json;
}

Result<int> execute(const std::string& json, Services& services) {
  const HostFacts facts = services.host_facts();
  if (auto confined = confine(services, {}, {json}); !confined) return tl::unexpected(confined.error());
  auto report = services.doctor();
  if (!report) return tl::unexpected(report.error());
  for (DoctorCheck& check : report->checks) {
    if (check.state != CheckState::kOk) check.commands = mends_for(check.name, facts);
  }
  if (json != "-") services.out << doctor_text(*report, services.host);
  if (!json.empty()) {
    const std::string text = dump(doctor_json(*report, services), 2) + "\n";
    if (const auto written = write_output("--json", json, text, services.out); !written) {
      return tl::unexpected(written.error());
    }
  }
  const bool unfit = std::any_of(report->checks.begin(), report->checks.end(),
                                 [](const DoctorCheck& check) { return check.state == CheckState::kFail; });
  return unfit ? exit_status(ErrorKind::kHost) : kExitOk;
}

}  // namespace

Command add_doctor(CLI::App& parent) {
  const auto json = std::make_shared<std::string>();
  CLI::App* app =
      parent.add_subcommand("doctor", "is this host fit, and what do exits, kicks and moves cost here");
  app->add_option("--json", *json,
                  "write the report as JSON, a cost profile for the simulator; - instead of the text")
      ->type_name("FILE|-");
  return {app, [json](Services& services) { return execute(*json, services); }};
}

}  // namespace vmm
