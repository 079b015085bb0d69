#include "vmm/cli/catalog.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>

#include "sched/base/text.h"
#include "sched/policy/parse.h"
#include "sched/sim/cost_profile.h"
#include "vmm/cli/guests.h"
#include "vmm/stats/metrics.h"
#include "vmm/trace/dump.h"

namespace vmm {
namespace {

template <class Range>
std::vector<std::string> names_of(const Range& items) {
  std::vector<std::string> names;
  for (const auto& item : items) names.emplace_back(item.name);
  return names;
}

// Values that a flag's syntax stands for by a single word: NAME, P, M, LIST.
std::vector<std::string> named_values(std::string_view flag) {
  if (flag == "guest") return names_of(guests());
  if (flag == "policies" || flag == "policy" || flag == "baseline") return names_of(sched::presets());
  if (flag == "metrics" || flag == "metric") return names_of(metrics());
  if (flag == "cost-profile") return names_of(sched::sim::built_in_profiles());
  if (flag == "kind") {
    std::vector<std::string> names;
    for (const std::string_view name : trace_kind_names()) names.emplace_back(name);
    return names;
  }
  return {};
}

// "doorbell", "0", "-": stands for itself. "TIME", "key=value" do not.
bool is_literal(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

void read_syntax(FlagInfo& flag, std::string_view name) {
  constexpr std::string_view kMore = ",…]";
  const std::string_view syntax = flag.syntax;
  flag.is_list = syntax.find(kMore) != std::string_view::npos || syntax.ends_with(",…") || syntax == "LIST";
  flag.words = named_values(name);
  for (const std::string_view word : sched::split(syntax.substr(0, syntax.find('[')), "|")) {
    if (is_literal(word)) flag.words.emplace_back(word);
    flag.is_file = flag.is_file || word == "FILE" || word == "IMAGE";
    flag.is_folder = flag.is_folder || word == "FOLDER";
  }
}

FlagInfo flag_info(const CLI::Option& option) {
  FlagInfo flag;
  for (const std::string& name : option.get_snames()) flag.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) flag.names.push_back("--" + name);
  if (flag.names.empty()) flag.positional = option.get_name(true);
  flag.help = option.get_description();
  flag.standard = option.get_default_str();
  flag.group = option.get_group();
  flag.repeats = option.get_expected_max() > 1;
  if (option.get_items_expected_max() == 0) return flag;
  flag.syntax = option.get_type_name();
  if (flag.syntax.empty()) flag.syntax = flag.positional;
  read_syntax(flag, option.get_lnames().empty() ? std::string_view{} : option.get_lnames().front());
  return flag;
}

void add(const CLI::App& app, std::vector<std::string> path, std::vector<CommandInfo>& into) {
  CommandInfo info{path, app.get_description(), {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_group().empty()) info.flags.push_back(flag_info(*option));
  }
  const auto commands =
      app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
  for (const CLI::App* command : commands) info.subcommands.push_back(command->get_name());
  into.push_back(std::move(info));
  for (const CLI::App* command : commands) {
    path.push_back(command->get_name());
    add(*command, path, into);
    path.pop_back();
  }
}

}  // namespace

std::vector<CommandInfo> catalog(const CLI::App& root) {
  std::vector<CommandInfo> commands;
  add(root, {}, commands);
  return commands;
}

}  // namespace vmm
