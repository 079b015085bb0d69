#include <doctest/doctest.h>

#include <array>
#include <set>

#include "sched/base/text.h"
#include "sched/policy/parse.h"

using namespace sched;
using namespace std::chrono_literals;

TEST_CASE("time: reads units and decimals, refuses the rest") {
  struct Case {
    std::string_view text;
    std::optional<Nanos> want;
  };
  const Case cases[] = {
      {"0", 0ns},
      {"50ns", 50ns},
      {"600us", 600us},
      {"2.8ms", 2800us},
      {"1s", 1s},
      {"0.5s", 500ms},
      {"0ms", 0ns},
      {"1.000000001s", 1'000'000'001ns},
      {"1.50us", 1500ns},
      {"1.0ns", 1ns},
      {"1.5ns", {}},
      {"0.0000000001s", {}},
      {"3", {}},
      {"ms", {}},
      {"", {}},
      {"-1ms", {}},
      {"1 ms", {}},
      {"1.ms", {}},
      {".5ms", {}},
      {"1e3us", {}},
      {"9999999999s", {}},
      {"99999999999999999999ns", {}},
      {"5min", {}},
      {"1.2.3ms", {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    CHECK(parse_time(c.text) == c.want);
  }
}

TEST_CASE("time: is written in the largest unit and reads back exactly") {
  CHECK(format_time(0ns) == "0");
  CHECK(format_time(2800us) == "2.8ms");
  CHECK(format_time(600us) == "600us");
  CHECK(format_time(999ns) == "999ns");
  CHECK(format_time(1s) == "1s");
  CHECK(format_time(1'000'000'001ns) == "1.000000001s");
  CHECK(format_time(-3ms) == "-3ms");
  for (int64_t nanos = 1; nanos < 1'000'000'000'000; nanos = nanos * 7 + 3) {
    CHECK(parse_time(format_time(Nanos{nanos})) == Nanos{nanos});
  }
}

TEST_CASE("nearest: finds slips, not other words") {
  const std::string_view words[] = {"deboost", "ipi", "kvmux", "yield"};
  CHECK(nearest("debost", words) == "deboost");
  CHECK(nearest("yeild", words) == "yield");
  CHECK(nearest("xyz", words) == "");
  CHECK(nearest("kvmx", words) == "kvmux");
  CHECK(nearest("banana", words) == "");
  CHECK(did_you_mean("debost", words) == " (did you mean deboost?)");
}

TEST_CASE("presets: features as specified") {
  struct Case {
    std::string_view name;
    Features want;
  };
  using enum CandidateRule;
  const auto queue = [](QueueKind kind) { return Features{.queue = kind}; };
  const Features yield{.spin = true, .buddy = true, .forfeit = true};
  const auto with = [](Features features, auto change) {
    change(features);
    return features;
  };
  const Features ipi = with(yield, [](Features& f) {
    f.candidates = kPriorities;
    f.ipi = IpiModelKind::kV2;
    f.relaxed = true;
  });
  const Case cases[] = {
      {"rr", queue(QueueKind::kRoundRobin)},
      {"fair", Features{}},
      {"yield", yield},
      {"linux-7.3",
       with(yield, [](Features& f) { f.levels = QueueLevels::kFlat, f.vm_share = VmShare::kConcur; })},
      {"hier", with(yield, [](Features& f) { f.hier = true; })},
      {"deboost", with(yield, [](Features& f) { f.deboost = Deboost::kOn; })},
      {"ipi", ipi},
      {"v2",
       with(ipi, [](Features& f) { f.deboost = Deboost::kOn, f.reset_tries = false, f.rate_limit_first = true; })},
      {"v3", with(ipi, [](Features& f) { f.ipi = IpiModelKind::kV3, f.credit = true; })},
      {"vee21", with(yield,
                     [](Features& f) {
                       f.forfeit = false, f.candidates = CandidateRule::kVee21, f.ipi = IpiModelKind::kV2,
                       f.deboost = Deboost::kPast;
                     })},
      {"critical", with(yield,
                        [](Features& f) {
                          f.candidates = CandidateRule::kCritical, f.extend = Extend::kCritical;
                        })},
      {"cosched-ipi", with(yield, [](Features& f) { f.ipi = IpiModelKind::kKvmux, f.urgent = true; })},
      {"gang", queue(QueueKind::kGang)},
      {"host", queue(QueueKind::kHost)},
      {"host-yield", queue(QueueKind::kHostYield)},
      {"host-kvm", queue(QueueKind::kHostKvm)},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Preset* preset = find_preset(c.name);
    REQUIRE(preset != nullptr);
    CHECK(preset->features.queue == c.want.queue);
    for (const FeatureField& field : feature_fields()) {
      CAPTURE(field.name);
      CHECK(feature_word(field, preset->features) == feature_word(field, c.want));
    }
  }
  REQUIRE(find_preset("kvmux") != nullptr);
  CHECK(find_preset("kvmux")->features.ipi == IpiModelKind::kKvmux);
  CHECK(find_preset("nosuch") == nullptr);
}

TEST_CASE("tuning: names are unique and defaults lie in range") {
  std::set<std::string_view> names;
  for (const FeatureField& field : feature_fields()) CHECK(names.insert(field.name).second);
  for (const TuningField& field : tuning_fields()) {
    CAPTURE(field.name);
    CHECK(names.insert(field.name).second);
    CHECK_FALSE(field.source.empty());
    CHECK(field.is_time == field.unit.empty());
    Tuning tuning;
    CHECK(field.get(tuning) >= field.min);
    CHECK(field.get(tuning) <= field.max);
    field.set(tuning, field.max);
    CHECK(field.get(tuning) == field.max);
  }
}

TEST_CASE("policy: latency sets the round's length, and lets turns become short for it") {
  const auto policy = parse_policy("kvmux,latency=12ms");
  REQUIRE(policy.has_value());
  CHECK(policy->tuning.latency_target == Nanos{12'000'000});
  CHECK(policy->tuning.min_slice == Nanos{1'000'000});
  CHECK(policy->tuning.slice == find_preset("kvmux")->tuning.slice);
  CHECK(parse_policy("kvmux,latency=12ms,min-slice=2ms")->tuning.min_slice == Nanos{2'000'000});
  const auto bad = parse_policy("kvmux,latency=soon");
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error().find("latency=soon: accepted is") != std::string::npos);
}

TEST_CASE("policy: an ablation changes its keys and nothing else") {
  const auto policy = parse_policy("v2,deboost=off,ipi-window=10ms,yield-tries=5,slice=3ms");
  REQUIRE(policy.has_value());
  CHECK(policy->name == "v2,deboost=off,ipi-window=10ms,yield-tries=5,slice=3ms");
  CHECK(policy->features.deboost == sched::Deboost::kOff);
  CHECK(policy->features.relaxed);
  CHECK(policy->features.ipi == IpiModelKind::kV2);
  CHECK(policy->tuning.ipi_window == 10ms);
  CHECK(policy->tuning.yield_tries == 5);
  CHECK(policy->tuning.slice == 3ms);
  CHECK(policy->tuning.debounce_window == Tuning{}.debounce_window);
}

TEST_CASE("policy: the canonical form parses back to the same policy") {
  for (const Preset& preset : presets()) {
    CAPTURE(preset.name);
    const Policy policy{std::string{preset.name}, preset.features, preset.tuning};
    const std::string text = canonical_policy(policy);
    const auto again = parse_policy(text);
    REQUIRE(again.has_value());
    CHECK(canonical_policy(*again) == text);
  }
  CHECK(canonical_policy(*parse_policy("v2,deboost=off")) != canonical_policy(*parse_policy("v2")));
  CHECK(canonical_policy(*parse_policy("v2,deboost=on")) == canonical_policy(*parse_policy("v2")));
}

TEST_CASE("policy list: keys bind to the policy before them") {
  struct Case {
    std::string_view text;
    std::vector<std::string> names;
  };
  const Case cases[] = {
      {"yield", {"yield"}},
      {"yield,fair", {"yield", "fair"}},
      {"yield,v2,deboost=off,fair", {"yield", "v2,deboost=off", "fair"}},
      {"yield;v2,deboost=off,slice=3ms;fair", {"yield", "v2,deboost=off,slice=3ms", "fair"}},
      {"yield,yield", {"yield", "yield"}},
      {"v2:deboost=off:slice=3ms,fair", {"v2,deboost=off,slice=3ms", "fair"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    const auto list = parse_policy_list(c.text);
    REQUIRE(list.has_value());
    REQUIRE(list->size() == c.names.size());
    for (size_t i = 0; i < c.names.size(); ++i) CHECK((*list)[i].name == c.names[i]);
  }
}

TEST_CASE("policy errors name the bad part and what is accepted") {
  struct Case {
    std::string_view text;
    std::vector<std::string_view> mentions;
  };
  const Case cases[] = {
      {"", {"unknown policy ''", "yield", "kvmux"}},
      {"kvmx", {"unknown policy 'kvmx'", "did you mean kvmux?", "host-kvm"}},
      {"v2,,fair", {"unknown policy ''"}},
      {"slice=3ms", {"slice=3ms", "no policy before it"}},
      {"yield;slice=3ms", {"slice=3ms", "no policy before it"}},
      {"v2,debost=off", {"policy 'v2'", "unknown key 'debost'", "did you mean deboost?", "ipi-window"}},
      {"v2,deboost=maybe", {"deboost=maybe", "off, on"}},
      {"v2,ipi=v4", {"ipi=v4", "none, v2, v3, kvmux"}},
      {"v2,candidates=", {"candidates=", "mainline, priorities, kvmux"}},
      {"v2,slice=3", {"slice=3", "50ns", "from 100us to 1s"}},
      {"v2,slice=0", {"slice=0", "from 100us to 1s"}},
      {"v2,yield-tries=0", {"yield-tries=0", "a whole number from 1 to 1024"}},
      {"v2,yield-tries=1.5", {"yield-tries=1.5", "a whole number"}},
      {"v2,slice=1ms=2", {"slice=1ms=2"}},
      {"host,deboost=on", {"policy 'host' takes no keys", "deboost=on"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    const auto list = parse_policy_list(c.text);
    REQUIRE_FALSE(list.has_value());
    for (const std::string_view mention : c.mentions) {
      CAPTURE(mention);
      CAPTURE(list.error());
      CHECK(list.error().find(mention) != std::string::npos);
    }
  }
  CHECK_FALSE(parse_policy("yield,fair").has_value());
}

TEST_CASE("policy keys of the past go on working, and are known by their new names") {
  const std::pair<std::string_view, std::string_view> renamed[] = {
      {"loan", "donate"},         {"loan-windows", "donate-windows"},
      {"whole", "affinity"},      {"patience", "quantum-multiplier"},
      {"eager", "yield-on-send"}, {"resume", "switch-back"},
      {"hint", "running-hint"}};
  for (const auto& [was, is] : renamed) {
    CAPTURE(was);
    CHECK(new_name_of(was) == is);
    CHECK(new_name_of(is).empty());
    const std::string value = is.ends_with("windows") || is.ends_with("multiplier") ? "3" : "off";
    const auto by_old = parse_policy("kvmux," + std::string{was} + "=" + value);
    const auto by_new = parse_policy("kvmux," + std::string{is} + "=" + value);
    REQUIRE(by_old);
    REQUIRE(by_new);
    CHECK(canonical_policy(*by_old) == canonical_policy(*by_new));
    CHECK(canonical_policy(*by_old) != canonical_policy(*parse_policy("kvmux")));
    CHECK(canonical_policy(*by_old).find(std::string{is} + "=" + value) != std::string::npos);
  }
}

TEST_CASE("a policy's text by the present names of its keys") {
  CHECK(with_new_names("kvmux,loan=off,slice=3ms,hint=on") == "kvmux,donate=off,slice=3ms,running-hint=on");
  CHECK(with_new_names("v2#2") == "v2#2");
  CHECK(with_new_names("loan") == "loan");  // a name, no key
  CHECK(with_new_names("kvmux,,loan=") == "kvmux,,donate=");
  CHECK(with_new_names("").empty());
}

TEST_CASE("features that hold for a run are refused where two VMs differ in them, whatever their order") {
  const Policy plain = *parse_policy("kvmux");
  bool any = false;
  for (const FeatureField& field : feature_fields()) {
    CAPTURE(field.name);
    Policy other = plain;
    other.name = "other";
    field.set(other.features, field.get(other.features) + 1);
    const Policy& second = other;
    const auto forth = tuning_of_run(std::array{&plain, &second});
    const auto back = tuning_of_run(std::array{&second, &plain});
    REQUIRE(forth.has_value() == !field.whole_run);
    REQUIRE(back.has_value() == !field.whole_run);
    if (!field.whole_run) continue;
    any = true;
    CHECK(forth.error() ==
          "'kvmux' and 'other' differ in " + std::string{field.name} + ", which holds for all VMs");
    CHECK(back.error() ==
          "'other' and 'kvmux' differ in " + std::string{field.name} + ", which holds for all VMs");
  }
  CHECK(any);  // steal
}

TEST_CASE("constants that hold for a run are refused where two VMs differ in them, whatever their order") {
  const Policy plain = *parse_policy("kvmux");
  for (const TuningField& field : tuning_fields()) {
    CAPTURE(field.name);
    Policy other = *parse_policy("fair");
    field.set(other.tuning, field.get(other.tuning) == field.max ? field.min : field.max);
    const auto forth = tuning_of_run(std::array{&plain, static_cast<const Policy*>(&other)});
    const auto back = tuning_of_run(std::array{static_cast<const Policy*>(&other), &plain});
    REQUIRE(forth.has_value() == !field.whole_run);
    REQUIRE(back.has_value() == !field.whole_run);
    if (!field.whole_run) {
      CHECK(forth->slice == back->slice);
      continue;
    }
    for (const std::string& error : {forth.error(), back.error()}) {
      CHECK(error.find("'kvmux'") != std::string::npos);
      CHECK(error.find("'fair'") != std::string::npos);
      CHECK(error.find(field.name) != std::string::npos);
    }
  }
}
