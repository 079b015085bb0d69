#include <doctest/doctest.h>

#include <map>

#include "cli_fake.h"
#include "sched/base/rng.h"
#include "vmm/stats/journal.h"

using namespace vmm;

namespace {

// Fair is half as fast; every run has some noise of its own, the same for the same run.
Result<RunResult> noisy_backend(const RunSpec& spec) {
  const std::string& policy = spec.vms.front().policy.name;
  double ops = policy == "fair" ? 500 : 1000;
  if (spec.vms.front().handicap_percent) ops *= 1 - *spec.vms.front().handicap_percent / 100.0;
  sched::Rng rng(spec.seed ^ (policy.size() * 977 + spec.vms.size()));
  return fake_result(spec, ops * (1 + static_cast<double>(rng.below(1000)) / 50'000));
}

// The runs of a file by identity, with their number: each must be there once.
std::map<std::string, int> runs_in(const std::string& text) {
  std::map<std::string, int> counts;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line);
    if (json["kind"] != "run") continue;
    ++counts[dump(json["cell"]) + dump(json["block"]) + dump(json["attempt"]) + dump(json["slot"])];
  }
  return counts;
}

const std::vector<std::string> kGrid = {"compare",    "--guest",       "lock,compute", "--vms", "1,2",
                                        "--policies", "yield,fair,v2", "--repeat",     "4",     "--seed",
                                        "11"};

std::vector<std::string> with(std::vector<std::string> arguments, std::initializer_list<std::string> more) {
  arguments.insert(arguments.end(), more);
  return arguments;
}

}  // namespace

TEST_CASE("compare: ratio, interval and verdict of each cell") {
  FakeProgram program;
  program.backend = noisy_backend;
  CHECK(program.run(kGrid) == 0);
  CHECK(program.asked.size() == 2 * 2 * 3 * 4);
  const std::string text = program.out.str();
  CAPTURE(text);
  CHECK(contains(text, "baseline"));
  CHECK(contains(text, "worse"));
  CHECK(contains(text, "equivalent"));
  CHECK(contains(text, "0 better, 2 worse, 2 equivalent, 0 inconclusive, 0 too few."));
  CHECK(contains(text, "0.50"));
  CHECK(contains(text, "1 × 4"));
  CHECK(contains(text, "compute"));
}

TEST_CASE("compare: the same policy twice, and a planted handicap is found") {
  FakeProgram program;
  program.backend = noisy_backend;
  CHECK(program.run({"compare", "--policies", "yield,yield", "--repeat", "6"}) == 0);
  CHECK(contains(program.out.str(), "yield#1"));
  CHECK(contains(program.out.str(), "yield#2"));
  CHECK(contains(program.out.str(), "equivalent "));
  CHECK(program.run({"compare", "--policies", "yield,yield", "--repeat", "6", "--handicap", "2=10%"}) == 0);
  CHECK(contains(program.out.str(), "worse"));
}

TEST_CASE("compare --efficiency: throughput against one VM alone") {
  FakeProgram program;
  program.backend = [](const RunSpec& spec) { return fake_result(spec, spec.vms.size() == 1 ? 4000 : 1500); };
  CHECK(program.run({"compare", "--guest", "ipi,fanout=3", "--vms", "2", "--policies", "yield,v2", "--repeat",
                     "2", "--efficiency", "--json", "-"}) == 0);
  const Json json = Json::parse(program.out.str());
  const Json& policies = json["cells"][0]["policies"];
  REQUIRE(policies.size() == 2);
  CHECK(policies[1]["metrics"]["efficiency"]["median"] == doctest::Approx(0.75));
  const auto alone = std::find_if(program.asked.begin(), program.asked.end(),
                                  [](const RunSpec& spec) { return spec.vms.size() == 1; });
  REQUIRE(alone != program.asked.end());
  CHECK(alone->vms[0].vcpus == 2);
  CHECK(alone->vms[0].workload.fanout == 1);
}

TEST_CASE("compare --out: an interrupted grid goes on with no lost and no doubled run") {
  const TemporaryFile whole("whole.jsonl");
  const TemporaryFile broken("broken.jsonl");
  FakeProgram program;
  program.backend = noisy_backend;
  CHECK(program.run(with(kGrid, {"--out", whole.path()})) == 0);
  const std::string complete = program.out.str();
  const auto wanted = runs_in(whole.read());
  CHECK(wanted.size() == 48);

  // Ctrl-C in the 20th run; what it measured does not count.
  size_t runs = 0;
  program.backend = [&](const RunSpec& spec) -> Result<RunResult> {
    auto result = noisy_backend(spec);
    if (++runs == 20) {
      program.control.stop = true;
      result->interrupted = true;
    }
    return result;
  };
  CHECK(program.run(with(kGrid, {"--out", broken.path()})) == 130);
  program.control.stop = false;
  CHECK(runs_in(broken.read()).size() == 19);

  // Killed in the middle of a write: the last line is half there.
  const std::string text = broken.read();
  broken.write(text.substr(0, text.size() - 40));
  program.asked.clear();
  program.backend = noisy_backend;
  CHECK(program.run(with(kGrid, {"--out", broken.path()})) == 0);
  CHECK(program.asked.size() == 48 - 18);
  const auto resumed = runs_in(broken.read());
  CHECK(resumed == wanted);
  for (const auto& [id, count] : resumed) CHECK(count == 1);
  CHECK(program.out.str() == complete);

  // Once more: nothing is left to do.
  program.asked.clear();
  CHECK(program.run(with(kGrid, {"--out", broken.path()})) == 0);
  CHECK(program.asked.empty());
  CHECK(program.out.str() == complete);

  // A larger grid takes over what is there.
  auto larger = kGrid;
  larger[4] = "1,2,3";
  CHECK(program.run(with(larger, {"--out", broken.path()})) == 0);
  CHECK(program.asked.size() == 2 * 3 * 4);
}

TEST_CASE("compare --from: prints a file again without running") {
  const TemporaryFile file("from.jsonl");
  FakeProgram program;
  program.backend = noisy_backend;
  CHECK(program.run(with(kGrid, {"--out", file.path()})) == 0);
  const std::string first = program.out.str();
  program.asked.clear();
  CHECK(program.run({"compare", "--from", file.path(), "--seed", "11"}) == 0);
  CHECK(program.asked.empty());
  CHECK(program.out.str() == first);
  CHECK(program.run({"compare", "--from", file.path(), "--csv", "-"}) == 0);
  CHECK(program.out.str().starts_with("backend,guest,vms"));
  CHECK(contains(program.out.str(), "\"lock (ttas, think 50us, hold 20us)\",1,4,2,1,fair,throughput,4,"));
  CHECK(program.run({"compare", "--from", file.path(), "--markdown", "-"}) == 0);
  CHECK(contains(program.out.str(), "| --- |"));
  CHECK(program.run(
            {"compare", "--from", file.path(), "--baseline", "v2", "--metrics", "throughput,ipi_p99"}) == 0);
  CHECK(contains(program.out.str(), "ratio to v2"));
  CHECK(contains(program.out.str(), "IPI p99, ratio"));
}

TEST_CASE("compare --cpus: in the message, the JSON and the result file; other CPUs are other cells") {
  FakeProgram program;
  const TemporaryFile file("cpus.jsonl");
  const auto compare = [&](const std::string& cpus) {
    return program.run({"compare", "--policies", "yield,v2", "--repeat", "2", "--workers", "1", "--cpus",
                        cpus, "--out", file.path(), "--json", "-"});
  };
  CHECK(compare("1") == 0);
  CHECK(program.err.str().find("every policy runs on CPUs 1\n") != std::string::npos);
  CHECK(Json::parse(program.out.str())["cpus"]["cpus"] == Json{1});
  CHECK(Json::parse(file.read().substr(0, file.read().find('\n')))["cpus"]["cpus"] == Json{1});
  const size_t runs = program.asked.size();
  CHECK(compare("1") == 0);
  CHECK(program.asked.size() == runs);
  CHECK(compare("0") == 0);
  CHECK(program.asked.size() == 2 * runs);
  CHECK(program.run({"compare", "--from", file.path(), "--json", "-"}) == 0);
  CHECK(Json::parse(program.out.str())["cpus"]["cpus"] == Json{0});
  CHECK(program.run({"sim", "compare", "--repeat", "1", "--json", "-"}) == 0);
  CHECK(!Json::parse(program.out.str()).contains("cpus"));
}

TEST_CASE("compare: a failing guest ends its cell only") {
  FakeProgram program;
  program.backend = [](const RunSpec& spec) {
    RunResult result = fake_result(spec, 100);
    if (spec.vms.front().guest == "compute") result.vms[0].failure = "vcpu0: wrote to unclaimed 0xdead";
    return result;
  };
  CHECK(program.run(kGrid) == 1);
  CHECK(contains(program.err.str(), "wrote to unclaimed 0xdead"));
  CHECK(contains(program.out.str(), "lock"));
  CHECK(program.asked.size() == 2 * 3 * 4 + 2);
}

TEST_CASE("compare: VMs that got nowhere are noted once a policy, count all the same, and stay in the file") {
  FakeProgram program;
  program.backend = [](const RunSpec& spec) {
    RunResult result = fake_result(spec, 100);
    if (spec.vms.front().policy.name != "v2") return result;
    for (VmResult& vm : result.vms) vm.note = "its vCPUs slept through the whole window of 2 s";
    return result;
  };
  const TemporaryFile file("notes.jsonl");
  CHECK(program.run({"compare", "--policies", "yield,v2", "--repeat", "3", "--out", file.path()}) == 0);
  const std::string said = program.err.str();
  const std::string what =
      "v2: vm0: its vCPUs slept through the whole window of 2 s; and 1 other VMs got nowhere";
  CHECK(contains(said, "kvmux: note: "));
  CHECK(contains(said, what));
  CHECK(said.find(what) == said.rfind(what));
  size_t notes = 0;
  std::istringstream lines(file.read());
  for (std::string line; std::getline(lines, line);) notes += Json::parse(line)["kind"] == "note" ? 1 : 0;
  CHECK(notes == 3);
  CHECK(program.run({"compare", "--from", file.path()}) == 0);
}

TEST_CASE("compare: host trouble in the middle still prints what was measured") {
  FakeProgram program;
  size_t runs = 0;
  program.backend = [&runs](const RunSpec& spec) -> Result<RunResult> {
    if (++runs > 30) return host_error("KVM_CREATE_VM", EMFILE);
    return noisy_backend(spec);
  };
  CHECK(program.run(kGrid) == 3);
  CHECK(contains(program.out.str(), "ratio to yield"));
  CHECK(contains(program.err.str(), "KVM_CREATE_VM"));
}

TEST_CASE("compare: published figures stand beside the set-up they hold for") {
  FakeProgram program;
  program.backend = noisy_backend;
  CHECK(program.run({"sim", "compare", "--workers", "16", "--vcpus", "16", "--vms", "2,3", "--repeat", "2",
                     "--policies", "yield,deboost"}) == 0);
  CHECK(contains(program.out.str(), "+14.4 % (dbench, series v2)"));
  CHECK(contains(program.out.str(), "+9.8 %"));
  CHECK(program.run({"sim", "compare", "--workers", "2", "--vms", "2", "--repeat", "2", "--policies",
                     "yield,deboost"}) == 0);
  CHECK_FALSE(contains(program.out.str(), "dbench"));
}

TEST_CASE("sweep: rows by overcommit ratio with the s390 figures") {
  FakeProgram program;
  program.backend = noisy_backend;
  CHECK(program.run({"sweep", "--ratio", "1,2,4", "--repeat", "2"}) == 0);
  const std::string text = program.out.str();
  CAPTURE(text);
  CHECK(contains(text, "2:1"));
  CHECK(contains(text, "4:1"));
  CHECK(contains(text, "+7.2 % / -33.2 %"));
  CHECK(program.asked.front().vms.front().vcpus == 2);
}

TEST_CASE("gate: exits with 1 on a significant loss beyond the limit, else with 0") {
  const TemporaryFile before("before.jsonl");
  const TemporaryFile after("after.jsonl");
  FakeProgram program;
  program.backend = noisy_backend;
  const std::vector<std::string> grid = {"compare", "--policies", "yield,v2", "--repeat", "6"};
  CHECK(program.run(with(grid, {"--out", before.path()})) == 0);
  program.backend = [](const RunSpec& spec) {
    auto result = noisy_backend(spec);
    for (VmResult& vm : result->vms) vm.ops_per_second *= spec.vms.front().policy.name == "v2" ? 0.9 : 1.0;
    return result;
  };
  CHECK(program.run(with(grid, {"--out", after.path(), "--seed", "2"})) == 0);
  const std::vector<std::string> files = {"gate", "--from", after.path(), "--against", before.path()};
  CHECK(program.run(files) == 1);
  CHECK(contains(program.out.str(), "does not hold"));
  CHECK(program.run(with(files, {"--worse-than", "20%"})) == 0);
  CHECK(contains(program.out.str(), "The gate holds"));
  CHECK(program.run({"gate", "--from", before.path(), "--against", after.path()}) == 0);
  CHECK(program.run(with(files, {"--metric", "efficiency"})) == 1);  // nothing to judge is no pass
}

TEST_CASE("compare: VMs that are listed, or weigh unequally, are told apart in a table") {
  FakeProgram program;
  const auto size_of = [&program](std::vector<std::string> words) {
    words.insert(words.begin(),
                 {"sim", "compare", "--policies", "yield,kvmux", "--repeat", "2", "--json", "-"});
    REQUIRE(program.run(words) == 0);
    const Json cell = Json::parse(program.out.str())["cells"][0];
    return cell["guest"].get<std::string>() + ": " + cell["size"].get<std::string>();
  };
  CHECK(size_of({"--guest", "compute", "--vms", "3", "--vcpus", "2", "--weight", "1024,4096"}) ==
        "compute (think 50us): 3 × 2, weights 1:4");
  CHECK(size_of({"--guest", "compute", "--vms", "3", "--vcpus", "2", "--weight", "2048"}) ==
        "compute (think 50us): 3 × 2");
  CHECK(size_of({"--guest", "compute", "--vm", "vcpus=8,weight=4096", "--vm", "vcpus=2", "--vm",
                 "vcpus=2"}) == "compute (think 50us): 1 × 8 + 2 × 2, weights 4:1");
  CHECK(size_of({"--vm", "guest=compute,vcpus=2", "--vm", "guest=ipi,vcpus=4"}) ==
        "compute×2 + ipi×4: 2 VMs");
}
