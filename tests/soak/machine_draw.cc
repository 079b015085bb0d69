#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "sched/policy/parse.h"
#include "tests/kvm/guest_image.h"
#include "tests/kvm/hostile_guests.h"
#include "tests/soak/dice.h"
#include "tests/soak/machine.h"
#include "vmm/check.h"
#include "vmm/cli/guests.h"
#include "vmm/cli/spec.h"

namespace soak {
namespace {

using sched::QueueKind;

std::string image_path(const std::string& folder, const char* set, size_t index) {
  return fmt::format("{}/{}{}.elf", folder, set, index);
}

bool write_set(const std::string& folder, const char* set, std::span<const kvm_test::HostileGuest> guests) {
  for (size_t i = 0; i < guests.size(); ++i) {
    const auto bytes = kvm_test::guest_image(guests[i].code);
    std::ofstream file(image_path(folder, set, i), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) {
      std::fprintf(stderr, "kvmux_soak: cannot write guests to %s\n", folder.c_str());
      return false;
    }
  }
  return true;
}

// A machine under way: what its parts have in common.
struct Draft {
  Dice dice;
  const Surroundings& around;
  Machine machine;
  QueueKind queue = QueueKind::kEevdf;
  bool host = false;
  bool wild = false;
  std::string queue_keys;  // constants of the run queue, the same for every VM
  Nanos longest_turn{};
  uint32_t least_weight = 1024;
  uint32_t most_weight = 1024;
};

void add(Draft& draft, std::initializer_list<std::string> words) {
  draft.machine.words.insert(draft.machine.words.end(), words);
}

QueueKind draw_queue(Dice& dice) {
  const uint64_t at = dice.below(100);
  if (at < 70) return QueueKind::kEevdf;
  if (at < 78) return QueueKind::kRoundRobin;
  if (at < 85) return QueueKind::kGang;
  return dice.pick({QueueKind::kHost, QueueKind::kHostYield, QueueKind::kHostKvm});
}

std::string draw_constant(Dice& dice, const sched::TuningField& field) {
  // Long turns make everything slow, and their lengths make no new kinds of machines.
  const int64_t max = field.name == "slice"                ? ms(8).count()
                      : field.name == "quantum-multiplier" ? 4
                                                           : field.max;
  const int64_t middle = field.get(sched::Tuning{});
  const int64_t value =
      dice.pick({field.min, max, middle, std::min(max, 2 * middle), (field.min + middle) / 2});
  return fmt::format("{}={}{}", field.name, std::clamp(value, field.min, max), field.is_time ? "ns" : "");
}

std::string draw_keys(Dice& dice) {
  std::string keys;
  const auto features = sched::feature_fields();
  for (uint64_t n = dice.chance(50) ? 0 : dice.below(6); n > 0; --n) {
    const sched::FeatureField& feature = dice.pick(features);
    if (feature.whole_run) continue;  // draw_queue_keys()
    keys += fmt::format(",{}={}", feature.name, dice.pick(feature.words));
  }
  const auto constants = sched::tuning_fields();
  for (uint64_t n = dice.chance(50) ? 0 : dice.below(4); n > 0; --n) {
    const sched::TuningField& field = dice.pick(constants);
    if (!field.whole_run) keys += "," + draw_constant(dice, field);
  }
  return keys;
}

std::string draw_policy(Draft& draft) {
  std::vector<std::string_view> fitting;
  for (const sched::Preset& preset : sched::presets()) {
    if (preset.features.queue == draft.queue || draft.wild) fitting.push_back(preset.name);
  }
  const std::string preset{draft.dice.pick(std::span<const std::string_view>(fitting))};
  if (draft.host) return preset;
  for (int tries = 0; tries < 20; ++tries) {
    const std::string text = preset + draft.queue_keys + draw_keys(draft.dice);
    if (sched::parse_policy(text)) return text;  // else a feature that this run queue cannot carry
  }
  return draft.wild ? preset : preset + draft.queue_keys;
}

// Alike for all VMs, presets that have their own included. Without groups there are no weights: never drawn.
std::string draw_levels(Dice& dice) {
  std::string keys;
  for (const sched::FeatureField& feature : sched::feature_fields()) {
    if (!feature.whole_run || feature.words.size() < 2) continue;
    const std::string_view word = dice.chance(60) ? feature.words[0] : dice.pick(feature.words);
    keys += fmt::format(",{}={}", feature.name, word == "none" ? "vm" : word);
  }
  return keys;
}

std::string draw_queue_keys(Dice& dice, QueueKind queue) {
  std::string keys = queue == QueueKind::kEevdf ? draw_levels(dice) : "";
  for (const sched::TuningField& field : sched::tuning_fields()) {
    const bool of_the_queue = field.name == "slice-jitter" || field.name == "lag-limit" ||
                              field.name == "migration-cost" || field.name == "balance-interval";
    if (of_the_queue && dice.chance(15)) keys += "," + draw_constant(dice, field);
  }
  return keys;
}

std::string draw_workload(Dice& dice, std::string_view guest, uint32_t vcpus) {
  std::string keys;
  const auto key = [&](std::string_view name, const std::string& value) {
    const std::string_view reads = vmm::find_guest(guest)->keys;
    if (("," + std::string{reads} + ",").find("," + std::string{name} + ",") != std::string::npos &&
        dice.chance(50)) {
      keys += fmt::format(",{}={}", name, value);
    }
  };
  key("think", fmt::format("{}us", dice.pick({0, 1, 10, 50, 200, 1000})));
  key("hold", fmt::format("{}us", dice.pick({0, 1, 5, 20, 100})));
  key("lock", dice.pick({std::string{"ttas"}, std::string{"ticket"}, std::string{"mcs"}}));
  key("locks", std::to_string(dice.pick({1, 2, 7})));
  if (vcpus > 1) key("fanout", dice.chance(50) ? "all" : std::to_string(dice.between(1, vcpus - 1)));
  key("senders", std::to_string(dice.between(0, vcpus)));
  key("stages", std::to_string(dice.pick({1, 2, 4, 16})));
  key("batch", std::to_string(dice.pick({1, 4, 16, 64})));
  return keys;
}

// The VM's guest with what belongs to it, as keys of --vm.
std::string draw_guest(Draft& draft, uint32_t vcpus, Member& member) {
  Dice& dice = draft.dice;
  if (dice.chance(12)) {
    const bool storm = dice.chance(30);
    const auto guests = storm ? kvm_test::stormy_guests() : kvm_test::hostile_guests();
    const size_t at = dice.below(guests.size());
    member = {storm ? Role::kStorms : Role::kMustFail, guests[at].says};
    draft.machine.vcpus += 2;
    return fmt::format("guest={},vcpus=2", image_path(draft.around.folder, storm ? "storm" : "hostile", at));
  }
  const vmm::GuestInfo* guest = &dice.pick(vmm::guests());
  if (guest->min_vcpus > vcpus) guest = vmm::find_guest("lock");
  draft.machine.vcpus += vcpus;
  // Where CPL 0 is interpreted, a convoy of more takes minutes.
  const std::string ring = vcpus <= 2 && dice.chance(12) ? ",ring=0" : "";
  return fmt::format("guest={},vcpus={}{}{}", guest->name, vcpus, ring,
                     draw_workload(dice, guest->name, vcpus));
}

void draw_vm(Draft& draft, uint32_t vcpus) {
  Dice& dice = draft.dice;
  Member& member = draft.machine.members.emplace_back();
  std::string text = draw_guest(draft, vcpus, member);
  std::string policy = draw_policy(draft);
  std::replace(policy.begin(), policy.end(), ',', ':');
  text += ",policy=" + policy;
  if (!draft.host || draft.wild) {
    const uint32_t weight = dice.chance(70) ? 1024 : dice.pick({256u, 512u, 2048u, 3000u});
    draft.least_weight = std::min(draft.least_weight, weight);
    draft.most_weight = std::max(draft.most_weight, weight);
    if (weight != 1024) text += fmt::format(",weight={}", weight);
    if (dice.chance(25)) text += fmt::format(",group={}", dice.pick({"prod", "prod/web", "test"}));
    if (dice.chance(8)) text += fmt::format(",handicap={}", dice.pick({1, 10, 50}));
  }
  bool takes_policy = false;
  auto vm = vmm::parse_vm(text, {}, &takes_policy);
  if (!vm) std::fprintf(stderr, "kvmux_soak: --vm %s: %s\n", text.c_str(), vm.error().text().c_str());
  KVMUX_CHECK(vm.has_value(), "the soak draws what the command line accepts");
  draft.longest_turn =
      std::max(draft.longest_turn, 2 * vm->policy.tuning.slice * vm->policy.tuning.quantum_multiplier);
  draft.machine.spec.vms.push_back(std::move(*vm));
  add(draft, {"--vm", text});
}

void draw_vms(Draft& draft) {
  Dice& dice = draft.dice;
  if (dice.chance(3)) {  // many small ones
    for (int64_t n = dice.between(10, 40); n > 0; --n) draw_vm(draft, 1);
    return;
  }
  if (dice.chance(3)) return draw_vm(draft, dice.pick({16u, 24u, 32u}));
  for (int64_t n = dice.between(1, 5); n > 0 && draft.machine.vcpus < 20; --n) {
    draw_vm(draft, dice.pick({1u, 2u, 2u, 3u, 4u, 4u, 5u, 8u}));
  }
}

void draw_groups(Draft& draft) {
  for (const char* path : {"prod", "test"}) {
    if (!draft.dice.chance(15)) continue;
    const std::string text = fmt::format("{}:weight={}", path, draft.dice.pick({512, 1024, 3072}));
    draft.machine.spec.groups.push_back(*vmm::parse_group(text));
    add(draft, {"--group", text});
  }
}

void draw_how(Draft& draft) {
  Dice& dice = draft.dice;
  vmm::RunSpec& spec = draft.machine.spec;
  const auto time = [](Nanos t) { return fmt::format("{}us", t.count() / 1000); };
  spec.workers = dice.pick({1u, 2u, 2u, 2u, 3u, 4u});
  spec.warmup = ms(dice.between(0, 30));
  spec.duration = ms(dice.between(50, 300));
  spec.seed = dice.below(1'000'000);
  spec.quiet_console = true;
  constexpr const char* kDetect[] = {"doorbell", "sample", "both", "off"};
  spec.spin_detect = dice.pick({vmm::SpinDetect::kDoorbell, vmm::SpinDetect::kDoorbell,
                                vmm::SpinDetect::kSample, vmm::SpinDetect::kBoth, vmm::SpinDetect::kOff});
  spec.rotate = dice.pick({ms(100), ms(100), ms(0), ms(1), ms(20)});
  add(draft, {"--workers", std::to_string(spec.workers), "--warmup", time(spec.warmup), "--seconds",
              time(spec.duration), "--seed", std::to_string(spec.seed), "--spin-detect",
              kDetect[static_cast<size_t>(spec.spin_detect)], "--rotate",
              spec.rotate == Nanos{} ? "off" : time(spec.rotate)});
  if (dice.chance(30)) {
    spec.spin_window = Nanos{1000 * dice.pick({1, 10, 50, 200, 2000})};
    add(draft, {"--spin-window", time(spec.spin_window)});
  }
  const bool split =
      draft.wild ? dice.chance(30) : draft.host && draft.around.split_irqchip && dice.chance(40);
  if (split) {
    spec.irqchip = vmm::Irqchip::kSplit;
    add(draft, {"--irqchip", "split"});
  }
}

// How long it may take until everybody has worked: a fair lock's convoy gives each of its waiters a turn only
// when all others have had theirs, and turns are as rare as weights are low.
Nanos patience_of(const Draft& draft) {
  const int64_t all = draft.machine.vcpus;
  int64_t convoy = 1;
  for (const vmm::VmSpec& vm : draft.machine.spec.vms) convoy = std::max<int64_t>(convoy, vm.vcpus);
  const int64_t unequal = 3 * draft.most_weight / draft.least_weight;  // groups count once more
  return ms(10'000) + draft.longest_turn * all * convoy * unequal / draft.machine.spec.workers / 4;
}

}  // namespace

bool write_images(const std::string& folder) {
  return write_set(folder, "hostile", kvm_test::hostile_guests()) &&
         write_set(folder, "storm", kvm_test::stormy_guests());
}

Machine draw_machine(uint64_t seed, uint64_t number, const Surroundings& surroundings) {
  Draft draft{
      .dice = Dice(seed * 1'000'003 + number), .around = surroundings, .machine = {}, .queue_keys = {}};
  Machine& machine = draft.machine;
  Dice& dice = draft.dice;
  machine.seed = seed;
  machine.number = number;
  if (dice.chance(surroundings.program_share)) {
    machine.kind = dice.pick({Kind::kProgram, Kind::kProgram, Kind::kProgram, Kind::kCompare, Kind::kBoot});
  }
  draft.wild = machine.kind == Kind::kRun && dice.chance(5);
  machine.may_be_refused = draft.wild;
  do draft.queue = draw_queue(dice);
  while (draft.queue == QueueKind::kHostKvm && !surroundings.split_irqchip);
  draft.host = sched::is_host_queue(draft.queue);
  if (!draft.host) draft.queue_keys = draw_queue_keys(dice, draft.queue);
  draw_how(draft);
  draw_vms(draft);
  if (!draft.host || draft.wild) draw_groups(draft);
  if (machine.kind == Kind::kRun && dice.chance(10)) machine.stop_after = ms(dice.between(0, 250));
  machine.patience = patience_of(draft);
  return std::move(machine);
}

std::string Machine::text() const {
  std::string line = "kvmux run";
  for (const std::string& word : words) line += " " + word;
  return line;
}

}  // namespace soak
