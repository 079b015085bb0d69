// --at: policies that change while guests run, from the flag to the sections of the output.
#include "vmm/cli/changes.h"

#include <doctest/doctest.h>

#include "cli_sim.h"
#include "vmm/json.h"
#include "vmm/run/sections.h"

using namespace vmm;
using namespace std::chrono_literals;

namespace {

const std::vector<std::string> kRun = {"sim", "run", "--policy", "v2", "--seconds", "0.2", "--workers", "2"};

std::vector<std::string> with(std::initializer_list<std::string> more) {
  std::vector<std::string> words = kRun;
  words.insert(words.end(), more);
  return words;
}

std::string refusal(std::initializer_list<std::string> more) {
  SimProgram program;
  CHECK(program.run(with(more)) == 2);
  CHECK(program.asked.empty());
  return program.err.str();
}

}  // namespace

TEST_CASE("--at: keys add up, a policy takes the place of the one before, in the order of their times") {
  SimProgram program;
  REQUIRE(program.run(with({"--at", "150ms:deboost=on", "--at", "50ms:deboost=off,ipi-window=10ms", "--at",
                            "0.1:policy=yield"})) == 0);
  const RunSpec& spec = program.asked.front();
  REQUIRE(spec.changes.size() == 3);
  CHECK(spec.changes[0].at == 50ms);
  CHECK(spec.changes[0].vms[1].policy.name == "v2,deboost=off,ipi-window=10ms");
  CHECK(spec.changes[0].vms[0].policy.features.deboost == sched::Deboost::kOff);
  CHECK(spec.changes[0].vms[0].policy.tuning.ipi_window == 10ms);
  CHECK(spec.changes[1].at == 100ms);
  CHECK(spec.changes[1].vms[0].policy.name == "yield");
  CHECK(spec.changes[2].vms[0].policy.name == "yield,deboost=on");
}

TEST_CASE("--at: a key that is changed twice is named once, with its last value") {
  SimProgram program;
  REQUIRE(program.run(with(
              {"--at", "50ms:deboost=off", "--at", "100ms:deboost=on", "--at", "150ms:deboost=off"})) == 0);
  CHECK(program.asked.front().changes[2].vms[0].policy.name == "v2,deboost=off");
}

TEST_CASE("--at: throughput and ledger of each section, as text and JSON; sections add up to the run") {
  SimProgram program;
  REQUIRE(program.run(with({"--at", "50ms:policy=kvmux", "--json", "-"})) == 0);
  const Json json = Json::parse(program.out.str());
  const Json& run = json["runs"][0];
  CHECK(run["spec"]["changes"][0]["at_ns"] == 50'000'000);
  const Json& sections = run["result"]["sections"];
  REQUIRE(sections.size() == 2);
  CHECK(sections[0]["window_ns"] == 50'000'000);
  CHECK(sections[1]["begin_ns"] == 50'000'000);
  CHECK(sections[1]["window_ns"] == 150'000'000);
  CHECK(sections[0]["vms"][0]["policy"] == "v2");
  CHECK(sections[1]["vms"][0]["policy"] == "kvmux");
  for (size_t vm = 0; vm < 2; ++vm) {
    for (size_t i = 0; i < 4; ++i) {
      const auto of = [&](const Json& result, const char* key) {
        return result["vms"][vm]["vcpus"][i][key].get<int64_t>();
      };
      CHECK(of(sections[0], "operations") + of(sections[1], "operations") == of(run["result"], "operations"));
      int64_t ledger = 0;
      for (const auto& [name, part] : sections[1]["vms"][vm]["vcpus"][i]["ledger"].items()) {
        ledger += part.get<int64_t>();
      }
      CHECK(ledger == 150'000'000);
    }
  }
  REQUIRE(program.run(with({"--at", "50ms:policy=kvmux"})) == 0);
  CHECK(contains(program.out.str(), "From 0.000 s to 0.050 s:"));
  CHECK(contains(program.out.str(), "From 0.050 s to 0.200 s:"));
}

TEST_CASE("--at: what cannot be is refused by name") {
  CHECK(contains(refusal({"--at", "50ms"}), "--at: '50ms'"));
  CHECK(contains(refusal({"--at", "50ms:deboost"}), "TIME:KEY=VALUE"));
  CHECK(contains(refusal({"--at", "50ms:debost=off"}), "did you mean"));
  CHECK(contains(refusal({"--at", "50ms:deboost=off,policy=v3"}), "policy=NAME first"));
  CHECK(contains(refusal({"--at", "50ms:policy=nope"}), "unknown policy 'nope'"));
  CHECK(contains(refusal({"--at", "1s:deboost=off"}), "--at"));
  CHECK(contains(refusal({"--at", "50ms:deboost=off", "--at", "50ms:deboost=on"}), "each once"));
  const std::string queue = refusal({"--at", "50ms:policy=rr"});
  CHECK(contains(queue, "'v2' cannot become 'rr' while guests run"));
  CHECK(contains(queue, "eevdf and rr"));
  CHECK(contains(refusal({"--at", "50ms:policy=host"}), "the host's scheduler"));
  CHECK(contains(refusal({"--at", "50ms:slice-jitter=0"}), "slice-jitter, which holds for all VMs"));
  CHECK(contains(refusal({"--migration-cost", "2ms", "--at", "50ms:policy=kvmux"}), "pack, affinity"));
}

TEST_CASE("marks: changes, and what lies within turns") {
  RunSpec spec;
  spec.duration = 300ms;
  CHECK(marks_of(spec).empty());
  spec.changes = {{100ms, {}}, {200ms, {}}};
  CHECK(marks_of(spec).size() == 2);
  spec.washout = 20ms;
  const auto marks = marks_of(spec);
  REQUIRE(marks.size() == 8);
  CHECK(marks[0].at == 20ms);
  CHECK(marks[0].kind == Mark::Kind::kCount);
  CHECK(marks[1].at == 60ms);
  CHECK(marks[1].kind == Mark::Kind::kMiddle);
  CHECK(marks[2].at == 100ms);
  CHECK(marks[2].kind == Mark::Kind::kChange);
  CHECK(marks[7].at == 260ms);
}
