#include "vmm/run/sim_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string_view>
#include <vector>

#include "vmm/json.h"

namespace vmm {
namespace {

using sched::sim::CostField;
using sched::sim::CostProfile;

constexpr std::string_view kFlag = "--cost-profile";
constexpr double kLargest = 1e15;

std::string accepted_names() {
  std::string names;
  for (const auto& profile : sched::sim::built_in_profiles()) names += std::string{profile.name} + ", ";
  return names + "or a file from `kvmux doctor --json`";
}

std::string accepted_keys() {
  std::vector<std::string_view> keys;
  for (const CostField& field : sched::sim::cost_fields()) keys.push_back(field.name);
  return fmt::format("{}", fmt::join(keys, ", "));
}

const CostField* find_field(std::string_view name) {
  const auto fields = sched::sim::cost_fields();
  const auto found =
      std::find_if(fields.begin(), fields.end(), [name](const CostField& f) { return f.name == name; });
  return found == fields.end() ? nullptr : &*found;
}

// The built-in profile whose exits are closest, as a factor.
CostProfile base_for(const Json& costs) {
  const auto given = costs.find("exit_user_ns");
  CostProfile best;
  if (given == costs.end() || !given->is_number() || given->get<double>() <= 0) return best;
  double least = INFINITY;
  for (const auto& profile : sched::sim::built_in_profiles()) {
    const double factor = static_cast<double>(profile.costs.exit_user.count()) / given->get<double>();
    if (std::abs(std::log(factor)) >= least) continue;
    least = std::abs(std::log(factor));
    best = profile.costs;
  }
  return best;
}

// A doctor's report may measure more than the simulator knows; a profile written by hand may not.
Result<CostProfile> read_costs(const std::string& path, const Json& costs, bool may_hold_more) {
  CostProfile profile = base_for(costs);
  for (const auto& [key, value] : costs.items()) {
    const CostField* field = find_field(key);
    if (field == nullptr) {
      if (may_hold_more) continue;
      return usage_error(fmt::format("{} {}", kFlag, path),
                         fmt::format("unknown key '{}'; accepted are {}", key, accepted_keys()));
    }
    const bool fits = value.is_number() && value.get<double>() >= static_cast<double>(field->min) &&
                      value.get<double>() <= kLargest;
    if (!fits) {
      return usage_error(
          fmt::format("{} {}", kFlag, path),
          fmt::format("{} = {}: accepted is a number of at least {}", key, dump(value), field->min));
    }
    field->set(profile, std::llround(value.get<double>()));
  }
  return profile;
}

}  // namespace

Result<CostProfile> load_cost_profile(const std::string& name_or_path) {
  if (const auto built_in = sched::sim::find_profile(name_or_path)) return *built_in;
  std::ifstream file(name_or_path);
  if (!file) {
    return usage_error(fmt::format("{} {}", kFlag, name_or_path),
                       fmt::format("no such profile or file; accepted are {}", accepted_names()));
  }
  const Json json = Json::parse(file, nullptr, false);
  if (!json.is_object()) {
    return usage_error(fmt::format("{} {}", kFlag, name_or_path), "not a JSON object");
  }
  const auto costs = json.find("costs");
  if (costs == json.end()) return read_costs(name_or_path, json, false);
  if (!costs->is_object() || costs->empty()) {
    return usage_error(fmt::format("{} {}", kFlag, name_or_path),
                       "its \"costs\" are empty: the doctor had no usable /dev/kvm to measure");
  }
  return read_costs(name_or_path, *costs, true);
}

}  // namespace vmm
