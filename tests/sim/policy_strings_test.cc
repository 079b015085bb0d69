// Any policy string either runs or is refused by name: presets, features and constants drawn at random, on
// small machines of every kind.
//
// KVMUX_STRINGS sets how many (a soak takes 10,000); KVMUX_SEED replays one.
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "sched/base/rng.h"
#include "sim_support.h"

using namespace sched;
using namespace sched::sim;

namespace {

std::string random_policy(Rng& rng) {
  std::string text{kOurPresets[rng.below(kOurPresets.size())]};
  const auto features = feature_fields();
  for (uint64_t n = rng.below(6); n > 0; --n) {
    const FeatureField& feature = features[rng.below(features.size())];
    text +=
        "," + std::string{feature.name} + "=" + std::string{feature.words[rng.below(feature.words.size())]};
  }
  const auto constants = tuning_fields();
  for (uint64_t n = rng.below(3); n > 0; --n) {
    const TuningField& field = constants[rng.below(constants.size())];
    // The ends of its range, and the low end's neighbours: where mistakes are.
    const int64_t values[] = {field.min, field.max, field.min + (field.max - field.min) / 1000};
    text += "," + std::string{field.name} + "=" + std::to_string(values[rng.below(std::size(values))]);
    if (field.is_time) text += "ns";
  }
  return text;
}

void run_one(uint64_t seed) {
  Rng rng(seed);
  const std::string text = random_policy(rng);
  INFO("replay with KVMUX_SEED=" << seed << ": " << text);
  const auto policy = parse_policy(text);
  if (!policy) {
    // Names the feature and the run queue that cannot carry it.
    CHECK(policy.error().find(" cannot act on run queue '") != std::string::npos);
    return;
  }
  const GuestKind guest = kAllGuests[rng.below(kAllGuests.size())];
  const Shape shape{.workers = 1 + static_cast<uint32_t>(rng.below(3)),
                    .vms = 1 + static_cast<uint32_t>(rng.below(3)),
                    .vcpus = 2 + static_cast<uint32_t>(rng.below(3))};  // who sends needs a receiver
  Simulator simulator(config_of(text, guest, workload_of(guest), shape, seed));
  simulator.run_until(8 * kMs);
  simulator.scheduler().check();
  Nanos running{};
  for (uint32_t v = 0; v < shape.vms * shape.vcpus; ++v)
    running += simulator.report(VcpuId{v}).sched.times.running;
  CHECK(running > Nanos{0});
}

}  // namespace

TEST_CASE(
    "policy strings: each combination of preset, features, constants and run queue runs or is refused") {
  if (const char* one = std::getenv("KVMUX_SEED")) return run_one(std::strtoull(one, nullptr, 10));
  const char* many = std::getenv("KVMUX_STRINGS");
  const uint64_t count = many != nullptr ? std::strtoull(many, nullptr, 10) : 1000;
  for (uint64_t seed = 1; seed <= count; ++seed) run_one(seed);
}

TEST_CASE("policy strings: a feature that the run queue cannot carry is refused, naming both") {
  for (const auto& [text, feature, queue] :
       {std::array{"rr,ipi=kvmux,yield-on-send=on", "yield-on-send=on", "'rr'"},
        std::array{"gang,ipi=kvmux,yield-on-send=on", "yield-on-send=on", "'gang'"},
        std::array{"rr,spin=on", "spin=on", "'rr'"}, std::array{"gang,pack=on", "pack=on", "'gang'"},
        std::array{"rr,pull=on", "pull=on", "'rr'"}}) {
    CAPTURE(text);
    const auto policy = parse_policy(text);
    REQUIRE_FALSE(policy);
    CHECK(policy.error().find(feature) != std::string::npos);
    CHECK(policy.error().find(queue) != std::string::npos);
  }
  CHECK(parse_policy("rr,yield-on-send=off,ipi=kvmux"));
  CHECK(parse_policy("rr,pack=on"));
}
