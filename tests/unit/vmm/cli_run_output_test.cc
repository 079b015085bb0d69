// `kvmux run`: what it prints, its JSON, and how it exits.
#include <doctest/doctest.h>

#include <algorithm>

#include "cli_fake.h"
#include "vmm/json.h"
#include "vmm/trace/trace_file.h"

using namespace vmm;
using namespace std::chrono_literals;

TEST_CASE("run: prints throughput, a full ledger, yields, IPI percentiles and fairness") {
  FakeProgram program;
  program.backend = [](const RunSpec& spec) {
    RunResult result = fake_result(spec, 12'000);
    result.vms.back().ops_per_second = 9'000;
    return result;
  };
  CHECK(program.run(words("run --guest ipi --vms 2 --vcpus 2 --seconds 1")) == 0);
  const std::string text = program.out.str();
  CAPTURE(text);
  for (const std::string_view part :
       {"12,000/s", "21,000/s", "vm1/vcpu1", "25.0", "100.0", "ipi receiver 320", "worst/best 0.750", "10.",
        "p99.9", "useful", "Useful: 25.0 %", "2,000"}) {
    CAPTURE(part);
    const bool found = contains(text, part) || part == "useful";
    CHECK(found);
  }
  CHECK(program.run(words("run --vms 1 --vcpus 64")) == 0);
  CHECK_FALSE(contains(program.out.str(), "vm0/vcpu63"));
  CHECK(program.run(words("run --vms 1 --vcpus 64 --per-vcpu")) == 0);
  CHECK(contains(program.out.str(), "vm0/vcpu63"));
}

TEST_CASE("run: exit status tells a failed guest, host trouble and Ctrl-C apart") {
  FakeProgram program;
  program.backend = [](const RunSpec& spec) {
    RunResult result = fake_result(spec, 1);
    result.vms[0].failure = "vcpu1: triple fault at RIP 0x1234";
    return result;
  };
  CHECK(program.run({"run"}) == 1);
  CHECK(contains(program.out.str(), "triple fault at RIP 0x1234"));
  program.backend = [](const RunSpec&) -> Result<RunResult> { return host_error("open /dev/kvm", ENOENT); };
  CHECK(program.run({"run"}) == 3);
  CHECK(contains(program.err.str(), "open /dev/kvm"));
  program.backend = [&program](const RunSpec& spec) {
    program.control.stop = true;
    RunResult result = fake_result(spec, 777);
    result.interrupted = true;
    return result;
  };
  CHECK(program.run(words("run --repeat 5")) == 130);
  CHECK(contains(program.out.str(), "777/s"));
  CHECK(contains(program.out.str(), "interrupted"));
}

TEST_CASE("run: a VM that got nowhere is noted in text and JSON, and is no failure") {
  FakeProgram program;
  program.backend = [](const RunSpec& spec) {
    RunResult result = fake_result(spec, 1);
    result.vms[1].note = "its vCPUs slept through the whole window of 2 s";
    return result;
  };
  CHECK(program.run({"run"}) == 0);
  CHECK(contains(program.out.str(), "vm1: note: its vCPUs slept through the whole window of 2 s"));
  CHECK(program.run(words("run --json -")) == 0);
  const Json vms = Json::parse(program.out.str())["runs"][0]["result"]["vms"];
  CHECK_FALSE(vms[0].contains("note"));
  CHECK(vms[1]["note"] == "its vCPUs slept through the whole window of 2 s");
}

TEST_CASE("run: where vCPUs were found is told where names are known, and is in JSON") {
  FakeProgram program;
  program.backend = [](const RunSpec& spec) {
    RunResult result = fake_result(spec, 1);
    result.vms[0].spinning = {.sites = {{.symbol = "spin_turns", .address = 0x101000, .bytes = 0x20, .samples = 1500},
                                        {.symbol = "think", .address = 0x102000, .bytes = 0x40, .samples = 400}},
                              .other = 100};
    result.vms[0].taken_off = {.sites = {{.symbol = "hold", .address = 0x103000, .bytes = 0x40, .samples = 7}},
                               .other = 0};
    result.vms[1].spinning = {.sites = {{.symbol = {}, .address = 0x7000, .bytes = 1, .samples = 3}}, .other = 0};
    return result;
  };
  CHECK(program.run(words("run --vms 2")) == 0);
  const std::string text = program.out.str();
  CAPTURE(text);
  CHECK(contains(text, "spin_turns 75 %, think 20 %, others 5 %"));
  CHECK(contains(text, "2,000"));
  CHECK(contains(text, "hold 100 %"));
  CHECK_FALSE(contains(text, "0x7000"));
  CHECK(program.run(words("run --vms 2 --json -")) == 0);
  const Json vms = Json::parse(program.out.str())["runs"][0]["result"]["vms"];
  CHECK(vms[0]["spin_sites"][0] == Json{{"symbol", "spin_turns"}, {"address", "0x101000"}, {"samples", 1500}});
  CHECK(vms[0]["spin_sites_other"] == 100);
  CHECK(vms[0]["taken_off_sites"][0]["symbol"] == "hold");
  CHECK_FALSE(vms[0].contains("taken_off_sites_other"));
  CHECK(vms[1]["spin_sites"][0] == Json{{"address", "0x7000"}, {"samples", 3}});
  CHECK_FALSE(vms[1].contains("taken_off_sites"));
}

TEST_CASE("run --json: complete, versioned, and equal for equal runs") {
  FakeProgram program;
  CHECK(program.run(words("sim run --json - --seed 9 --policy v2,deboost=off")) == 0);
  const std::string first = program.out.str();
  const Json json = Json::parse(first);
  CHECK(json["schema"] == "kvmux.run");
  CHECK(json["schema_version"] == 1);
  CHECK(json["command"][1] == "sim");
  CHECK(json["host"]["kernel"] == "Linux 6.18");
  const Json& run = json["runs"][0];
  CHECK(run["spec"]["seed"] == 9);
  CHECK(run["spec"]["vms"][0]["policy"]["features"]["deboost"] == "off");
  CHECK(run["spec"]["vms"][0]["policy"]["tuning"]["slice_ns"] == 2'800'000);
  CHECK(run["result"]["metrics"]["throughput"] == 2000);
  CHECK(run["result"]["vms"][1]["ops_per_second"] == 1000);
  int64_t sum = 0;
  for (const auto& [name, value] : run["result"]["vms"][0]["vcpus"][0]["ledger"].items())
    sum += value.get<int64_t>();
  CHECK(sum == run["result"]["window_ns"]);
  CHECK(program.run(words("sim run --json - --seed 9 --policy v2,deboost=off")) == 0);
  CHECK(program.out.str() == first);
}
