// `kvmux guests` and `kvmux policies`: what there is to choose from.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "sched/base/text.h"
#include "sched/policy/latency_key.h"
#include "sched/policy/parse.h"
#include "vmm/cli/command.h"
#include "vmm/cli/guests.h"
#include "vmm/cli/run_json.h"
#include "vmm/cli/table.h"

namespace vmm {
namespace {

Result<int> list_guests(Services& services) {
  Table table({"<guest", "<what every vCPU does", "<stands for", "<defaults"});
  for (const GuestInfo& guest : guests()) {
    table.add({std::string{guest.name}, std::string{guest.summary}, std::string{guest.stands_for},
               describe_workload(guest.name, guest.defaults)});
  }
  services.out << table.text()
               << "\nLinux, with a load of its own: --guest linux,load=NAME[:N] (docs/linux-guests.md)."
                  "\nYour own: --guest path/to/guest.elf (docs/write-a-guest.md). Workload keys:\n";
  for (const WorkloadKey& key : workload_keys()) {
    services.out << fmt::format("  --{:8} {:16} {}\n", key.name, key.syntax, key.help);
  }
  return kExitOk;
}

// Features that are on, and the words of the others where they are not the first. Nothing else acts where
// spin exits are ignored.
std::string feature_list(const sched::Features& features) {
  std::string text;
  if (!features.spin) return text;
  for (const sched::FeatureField& field : sched::feature_fields()) {
    const bool is_switch = field.words[1] == "on";
    if (field.get(features) == 0 || field.name == "spin") continue;
    text += " ";
    text += is_switch ? std::string{field.name}
                      : fmt::format("{}={}", field.name, sched::feature_word(field, features));
  }
  return text;
}

// The constants in which a preset differs from the defaults.
std::string constant_list(const sched::Tuning& tuning) {
  std::string text;
  for (const sched::TuningField& field : sched::tuning_fields()) {
    const int64_t value = field.get(tuning);
    if (value == field.get(sched::Tuning{})) continue;
    text += fmt::format(" {}={}", field.name, sched::tuning_text(field, value));
  }
  return text.empty() ? text : "; constants:" + text;
}

std::string range_of(const sched::TuningField& field) {
  return sched::tuning_text(field, field.min) + " … " + sched::tuning_text(field, field.max);
}

std::string policies_text() {
  std::string text;
  for (const sched::Preset& preset : sched::presets()) {
    text +=
        fmt::format("{:11} {}\n{:11} run queue {}{}{}{}\n", preset.name, preset.summary, "",
                    sched::queue_name(preset.features.queue), preset.features.spin ? "; on a spin exit:" : "",
                    feature_list(preset.features), constant_list(preset.tuning));
  }
  text += "\nFeatures, each a flag and a key (--deboost off, v2,deboost=off):\n";
  Table features({"<feature", "<values", "<meaning"});
  for (const sched::FeatureField& field : sched::feature_fields()) {
    features.add({std::string{field.name}, sched::join(field.words, ", "), std::string{field.help}});
  }
  text += features.text() + "\nConstants of every policy, likewise (--slice 3ms, v2,slice=3ms):\n";
  Table constants({"<constant", "default", "<range", "<meaning"});
  for (const sched::TuningField& field : sched::tuning_fields()) {
    constants.add({std::string{field.name}, sched::tuning_text(field, field.get(sched::Tuning{})),
                   range_of(field), std::string{field.help}});
  }
  constants.add({std::string{sched::kLatencyKey}, "", "as latency-target", std::string{sched::kLatencyHelp}});
  return text + constants.text() + "\nWith their units and sources: kvmux policies --constants\n";
}

// All constants as a table in Markdown.
std::string constants_markdown() {
  std::string text = "| constant | unit | default | range | source | meaning |\n|---|---|---|---|---|---|\n";
  for (const sched::TuningField& field : sched::tuning_fields()) {
    text +=
        fmt::format("| `{}` | {} | {} | {} | {} | {}{} |\n", field.name, field.is_time ? "time" : field.unit,
                    sched::tuning_text(field, field.get(sched::Tuning{})), range_of(field), field.source,
                    field.help, field.whole_run ? " (alike for all VMs of a run)" : "");
  }
  return text;
}

Json policies_json() {
  Json json{{"schema", "kvmux.policies"}, {"schema_version", 1}};
  Json& list = json["policies"] = Json::array();
  for (const sched::Preset& preset : sched::presets()) {
    Json entry = policy_json({std::string{preset.name}, preset.features, preset.tuning});
    entry["summary"] = preset.summary;
    list.push_back(std::move(entry));
  }
  return json;
}

Result<int> list_policies(const std::string& json, bool constants, Services& services) {
  if (constants) {
    services.out << constants_markdown();
    return kExitOk;
  }
  if (json != "-") services.out << policies_text();
  if (json.empty()) return kExitOk;
  const auto written = write_output("--json", json, dump(policies_json(), 2) + "\n", services.out);
  if (!written) return tl::unexpected(written.error());
  return kExitOk;
}

}  // namespace

Command add_guests(CLI::App& parent) {
  return {parent.add_subcommand("guests", "list the built-in guests"), list_guests};
}

Command add_policies(CLI::App& parent) {
  const auto json = std::make_shared<std::string>();
  CLI::App* app = parent.add_subcommand("policies", "list the policies with their features and constants");
  app->add_option("--json", *json, "write them as JSON; - writes it instead of the text")
      ->type_name("FILE|-");
  const auto constants = std::make_shared<bool>(false);
  app->add_flag("--constants", *constants,
                "all constants alone, as a Markdown table: unit, default, range, source, meaning");
  return {app, [json, constants](Services& services) { return list_policies(*json, *constants, services); }};
}

}  // namespace vmm
