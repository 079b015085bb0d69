#include "vmm/cli/changes.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "sched/base/text.h"
#include "sched/policy/parse.h"
#include "vmm/cli/spec.h"
#include "vmm/cli/values.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kAccepted =
    "TIME:KEY=VALUE,… with keys of a policy, or TIME:policy=NAME, as in 2s:deboost=off,ipi-window=10ms";

struct Change {
  Nanos at{};
  std::string policy;  // empty: keys alone
  KeyValues keys;
};

Result<Change> parse_change(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return bad_value("--at", text, kAccepted);
  Change change;
  const auto at = parse_seconds("--at", text.substr(0, colon), 1ms, 24h);
  if (!at) return Failure(at.error());
  change.at = *at;
  for (const std::string_view part : sched::split(std::string_view{text}.substr(colon + 1), ",")) {
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0) return bad_value("--at", text, kAccepted);
    const std::string_view key = part.substr(0, equals);
    const std::string_view value = part.substr(equals + 1);
    if (key != "policy") {
      change.keys.emplace_back(key, value);
    } else if (!change.policy.empty() || !change.keys.empty()) {
      return bad_value("--at", text, "policy=NAME first, and once");
    } else {
      change.policy = value;
    }
  }
  return change;
}

Result<sched::Policy> changed(const sched::Policy& from, const Change& change, const KeyValues& flags) {
  sched::Policy policy = from;
  if (!change.policy.empty()) {
    auto whole = sched::parse_policy(change.policy);
    if (!whole) return usage_error("--at", whole.error());
    policy = std::move(*whole);
    if (!sched::is_host_queue(policy.features.queue)) {
      if (auto ok = apply_policy_flags(policy, flags); !ok) return Failure(ok.error());
    }
  }
  for (const auto& [key, value] : change.keys) {
    if (auto set = sched::set_policy_key(policy, key, value); !set) return usage_error("--at", set.error());
    policy.name = name_with(std::move(policy.name), key, value);
  }
  return policy;
}

}  // namespace

std::string name_with(std::string name, std::string_view key, std::string_view value) {
  const std::string start = fmt::format(",{}=", key);
  if (const size_t found = name.find(start); found != std::string::npos) {
    name.erase(found, name.find(',', found + 1) - found);
  }
  return name + start + std::string(value);
}

void add_at_flag(CLI::App& app, std::vector<std::string>& texts) {
  app.add_option(
         "--at", texts,
         "while guests run, change these keys of all VMs' policies, or the whole policy (policy=NAME); "
         "repeatable, times count from the end of the warm-up (boot: the start)")
      ->type_name("TIME:KEY=VALUE,…")
      ->allow_extra_args(false);
}

Result<std::vector<PolicyChange>> parse_changes(const std::vector<std::string>& texts,
                                                const std::vector<VmSpec>& vms,
                                                const KeyValues& policy_flags) {
  std::vector<Change> changes;
  for (const std::string& text : texts) {
    auto change = parse_change(text);
    if (!change) return Failure(change.error());
    changes.push_back(std::move(*change));
  }
  std::stable_sort(changes.begin(), changes.end(),
                   [](const Change& a, const Change& b) { return a.at < b.at; });
  std::vector<PolicyChange> result;
  for (const Change& change : changes) {
    PolicyChange next{.at = change.at, .vms = {}};
    for (size_t i = 0; i < vms.size(); ++i) {
      const sched::Policy& from = result.empty() ? vms[i].policy : result.back().vms[i].policy;
      auto policy = changed(from, change, policy_flags);
      if (!policy) return Failure(policy.error());
      next.vms.push_back({std::move(*policy), vms[i].handicap_percent});
    }
    result.push_back(std::move(next));
  }
  return result;
}

}  // namespace vmm
