#include "sched/policy/parse.h"

#include <algorithm>
#include <array>

#include "sched/base/text.h"
#include "sched/policy/latency_key.h"

namespace sched {
namespace {

constexpr std::array<std::string_view, 6> kQueueWords{"eevdf", "rr",         "gang",
                                                      "host",  "host-yield", "host-kvm"};

bool is_old(std::string_view old_name, std::string_view key) { return !old_name.empty() && old_name == key; }

Parsed<void> fail(std::string message) { return tl::unexpected(std::move(message)); }

Parsed<void> set_feature(Policy& policy, const FeatureField& feature, std::string_view value) {
  const auto word = std::find(feature.words.begin(), feature.words.end(), value);
  if (word == feature.words.end()) {
    return fail(std::string{feature.name} + "=" + std::string{value} + ": accepted are " +
                join(feature.words, ", ") + did_you_mean(value, feature.words));
  }
  feature.set(policy.features, static_cast<size_t>(word - feature.words.begin()));
  return {};
}

Parsed<void> set_tuning(Policy& policy, const TuningField& tuning, std::string_view text) {
  std::optional<int64_t> value;
  if (tuning.is_time) {
    if (const auto time = parse_time(text)) value = time->count();
  } else {
    value = parse_integer(text);
  }
  if (!value || *value < tuning.min || *value > tuning.max) {
    const std::string_view what = tuning.is_time ? kTimeSyntax : "a whole number";
    return fail(std::string{tuning.name} + "=" + std::string{text} + ": accepted is " + std::string{what} +
                " from " + tuning_text(tuning, tuning.min) + " to " + tuning_text(tuning, tuning.max));
  }
  tuning.set(policy.tuning, *value);
  policy.constants_given.push_back(tuning.name);
  return {};
}

Parsed<void> set_latency(Policy& policy, std::string_view text) {
  const auto fields = tuning_fields();
  const auto target = std::find_if(fields.begin(), fields.end(),
                                   [](const TuningField& field) { return field.name == "latency-target"; });
  TuningField field = *target;
  field.name = kLatencyKey;
  if (const auto set = set_tuning(policy, field, text); !set) return set;
  policy.tuning.min_slice = kLatencyMinSlice;
  return {};
}

std::vector<std::string_view> key_names() {
  std::vector<std::string_view> names{kLatencyKey};
  for (const FeatureField& feature : feature_fields()) names.push_back(feature.name);
  for (const TuningField& tuning : tuning_fields()) names.push_back(tuning.name);
  return names;
}

std::vector<std::string_view> preset_words() {
  std::vector<std::string_view> names;
  for (const Preset& preset : presets()) names.push_back(preset.name);
  return names;
}

Parsed<Policy> from_preset(std::string_view name) {
  if (name.find('=') != std::string_view::npos) {
    return tl::unexpected("'" + std::string{name} + "' has no policy before it; write PRESET,KEY=VALUE");
  }
  const Preset* preset = find_preset(name);
  if (preset == nullptr) {
    return tl::unexpected("unknown policy '" + std::string{name} + "'" + did_you_mean(name, preset_words()) +
                          "; accepted are " + preset_names());
  }
  return Policy{std::string{name}, preset->features, preset->tuning};
}

Parsed<void> apply_item(Policy& policy, std::string_view item) {
  if (is_host_queue(policy.features.queue)) {
    return fail("policy '" + policy.name + "' takes no keys, but got '" + std::string{item} +
                "': the host's scheduler decides");
  }
  const size_t equals = item.find('=');
  const auto set = set_policy_key(policy, item.substr(0, equals), item.substr(equals + 1));
  if (!set) return fail("policy '" + policy.name + "': " + set.error());
  policy.name += "," + std::string{item};
  return {};
}

}  // namespace

std::string_view queue_name(QueueKind queue) { return kQueueWords[static_cast<size_t>(queue)]; }

bool is_host_queue(QueueKind queue) { return queue >= QueueKind::kHost; }

Parsed<void> check_carried(const Policy& policy) {
  const QueueKind queue = policy.features.queue;
  if (queue == QueueKind::kEevdf || is_host_queue(queue)) return {};
  for (const FeatureField& feature : feature_fields()) {
    if (feature.get(policy.features) == 0) continue;
    if (!feature.needs_virtual_time && !(feature.needs_moves && queue == QueueKind::kGang)) continue;
    return fail("policy '" + policy.name + "': " + std::string{feature.name} + "=" +
                std::string{feature_word(feature, policy.features)} + " cannot act on run queue '" +
                std::string{queue_name(queue)} + "', " +
                (feature.needs_moves ? "where every vCPU has its place" : "which has no virtual time") +
                "; accepted is " + std::string{feature.words[0]} + ", or a policy on run queue 'eevdf'");
  }
  return {};
}

const Preset* find_preset(std::string_view name) {
  const auto all = presets();
  const auto found = std::find_if(all.begin(), all.end(), [name](const Preset& p) { return p.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::string preset_names(std::string_view separator) { return join(preset_words(), separator); }

Parsed<void> set_policy_key(Policy& policy, std::string_view key, std::string_view value) {
  for (const FeatureField& feature : feature_fields()) {
    if (feature.name == key || is_old(feature.old_name, key)) return set_feature(policy, feature, value);
  }
  for (const TuningField& tuning : tuning_fields()) {
    if (tuning.name == key || is_old(tuning.old_name, key)) return set_tuning(policy, tuning, value);
  }
  if (key == kLatencyKey) return set_latency(policy, value);
  const auto names = key_names();
  return fail("unknown key '" + std::string{key} + "'" + did_you_mean(key, names) + "; accepted are " +
              join(names, ", "));
}

std::string_view new_name_of(std::string_view key) {
  for (const FeatureField& feature : feature_fields()) {
    if (is_old(feature.old_name, key)) return feature.name;
  }
  for (const TuningField& tuning : tuning_fields()) {
    if (is_old(tuning.old_name, key)) return tuning.name;
  }
  return {};
}

std::string with_new_names(std::string_view policy) {
  std::string text;
  for (const std::string_view item : split(policy, ",")) {
    const size_t equals = item.find('=');
    const std::string_view now = equals == std::string_view::npos ? "" : new_name_of(item.substr(0, equals));
    if (!text.empty()) text += ',';
    text += now.empty() ? std::string{item} : std::string{now} + std::string{item.substr(equals)};
  }
  return text;
}

Parsed<Tuning> tuning_of_run(std::span<const Policy* const> policies) {
  const Policy& first = *policies.front();
  Tuning tuning = first.tuning;
  for (const Policy* policy : policies) {
    const auto differ = [&](std::string_view name) {
      return tl::unexpected("'" + first.name + "' and '" + policy->name + "' differ in " + std::string{name} +
                            ", which holds for all VMs");
    };
    tuning.slice = std::min(tuning.slice, policy->tuning.slice);
    for (const FeatureField& field : feature_fields()) {
      if (field.whole_run && field.get(policy->features) != field.get(first.features)) {
        return differ(field.name);
      }
    }
    for (const TuningField& field : tuning_fields()) {
      if (field.whole_run && field.get(policy->tuning) != field.get(tuning)) return differ(field.name);
    }
  }
  return tuning;
}

Parsed<std::vector<Policy>> parse_policy_list(std::string_view text) {
  std::vector<Policy> policies;
  for (const std::string_view part : split(text, ";")) {
    const size_t first = policies.size();
    for (const std::string_view item : split(part, ",:")) {
      const bool is_key = item.find('=') != std::string_view::npos;
      if (is_key && policies.size() > first) {
        if (const auto applied = apply_item(policies.back(), item); !applied) {
          return tl::unexpected(applied.error());
        }
        continue;
      }
      auto policy = from_preset(item);
      if (!policy) return tl::unexpected(policy.error());
      policies.push_back(std::move(*policy));
    }
  }
  for (const Policy& policy : policies) {
    if (const auto carried = check_carried(policy); !carried) return tl::unexpected(carried.error());
  }
  return policies;
}

Parsed<Policy> parse_policy(std::string_view text) {
  auto policies = parse_policy_list(text);
  if (!policies) return tl::unexpected(policies.error());
  if (policies->size() != 1) {
    return tl::unexpected("'" + std::string{text} + "' is " + std::to_string(policies->size()) +
                          " policies where one is expected");
  }
  return std::move(policies->front());
}

bool is_same_policy(const Policy& a, const Policy& b) {
  const auto same = [&](const auto& field, const auto& x, const auto& y) {
    return field.get(x) == field.get(y);
  };
  return a.features.queue == b.features.queue &&
         std::all_of(feature_fields().begin(), feature_fields().end(),
                     [&](const FeatureField& f) { return same(f, a.features, b.features); }) &&
         std::all_of(tuning_fields().begin(), tuning_fields().end(),
                     [&](const TuningField& f) { return same(f, a.tuning, b.tuning); });
}

std::string canonical_policy(const Policy& policy) {
  const std::string_view name{policy.name};
  std::string text{name.substr(0, name.find(','))};
  if (is_host_queue(policy.features.queue)) return text;
  for (const FeatureField& feature : feature_fields()) {
    text.append(",").append(feature.name).append("=").append(feature_word(feature, policy.features));
  }
  for (const TuningField& tuning : tuning_fields()) {
    text.append(",").append(tuning.name).append("=").append(tuning_text(tuning, tuning.get(policy.tuning)));
  }
  return text;
}

}  // namespace sched
