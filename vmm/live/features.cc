#include "vmm/live/features.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sched/policy/parse.h"
#include "vmm/cli/changes.h"
#include "vmm/run/setup.h"

namespace vmm {
namespace {

struct Key {
  std::string_view feature;
  char key;
  bool rare = false;  // takes a line only where it is on
};

// q leaves.
constexpr std::array kKeys{
    Key{"spin", 's'},
    Key{"candidates", 'c'},
    Key{"ipi", 'i'},
    Key{"relaxed", 'r'},
    Key{"reset-tries", 't'},
    Key{"buddy", 'b'},
    Key{"forfeit", 'f'},
    Key{"hier", 'h'},
    Key{"deboost", 'd'},
    Key{"credit", 'e'},
    Key{"rate-limit-first", 'l'},
    Key{"pull", 'p'},
    Key{"switch-back", 'w'},
    Key{"pack", 'k'},
    Key{"yield-on-send", 'y'},
    Key{"affinity", 'a'},
    Key{"donate", 'o'},
    Key{"running-hint", 'n'},
    Key{"extend", 'x', true},
    Key{"urgent", 'u', true},
    Key{"tell-preempted", 'm', true},
    Key{"tell-turn-end", 'v', true},
};

const sched::FeatureField* feature_of(char key) {
  for (const sched::FeatureField& field : sched::feature_fields()) {
    if (key != 0 && key_of_feature(field.name) == key) return &field;
  }
  return nullptr;
}

bool is_rare(char key) {
  return std::any_of(kKeys.begin(), kKeys.end(), [key](const Key& k) { return k.key == key && k.rare; });
}

bool is_switchable(const std::vector<VmChange>& vms) {
  return !vms.empty() && std::none_of(vms.begin(), vms.end(), [](const VmChange& vm) {
    return sched::is_host_queue(vm.policy.features.queue);
  });
}

}  // namespace

char key_of_feature(std::string_view name) {
  for (const Key& key : kKeys) {
    if (key.feature == name) return key.key;
  }
  return 0;
}

LiveFeatures::LiveFeatures(std::vector<VmChange> begun_with)
    : begun_with_(std::move(begun_with)), now_(begun_with_) {}

std::vector<LiveFeature> LiveFeatures::shown() const {
  std::vector<LiveFeature> shown;
  if (!is_switchable(now_)) return shown;
  for (const sched::FeatureField& field : sched::feature_fields()) {
    const char key = key_of_feature(field.name);
    if (key == 0) continue;
    const auto word = [&field](const VmChange& vm) { return sched::feature_word(field, vm.policy.features); };
    const bool alike = std::all_of(now_.begin(), now_.end(),
                                   [&](const VmChange& vm) { return word(vm) == word(now_.front()); });
    const bool is_on = std::any_of(now_.begin(), now_.end(),
                                   [&](const VmChange& vm) { return field.get(vm.policy.features) != 0; });
    if (!is_on && is_rare(key)) continue;
    shown.push_back({.key = key,
                     .name = std::string(field.name),
                     .word = alike ? std::string(word(now_.front())) : "mixed",
                     .is_on = is_on});
  }
  return shown;
}

bool LiveFeatures::has(char key) const { return is_switchable(now_) && feature_of(key) != nullptr; }

Result<std::vector<VmChange>> LiveFeatures::switch_feature(char key) {
  const sched::FeatureField& field = *feature_of(key);
  const size_t next = (field.get(now_.front().policy.features) + 1) % field.words.size();
  std::vector<VmChange> vms = now_;
  for (VmChange& vm : vms) {
    field.set(vm.policy.features, next);
    vm.policy.name = name_with(std::move(vm.policy.name), field.name, field.words[next]);
  }
  if (auto ok = check_change(begun_with_, vms); !ok) return Failure(ok.error());
  last_ = std::string(field.name) + "=" + std::string(field.words[next]);
  now_ = vms;
  return vms;
}

}  // namespace vmm
