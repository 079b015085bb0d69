// `kvmux yields`, and what a policy loses against the best.
#include <doctest/doctest.h>

#include "cli_fake.h"
#include "vmm/json.h"

using namespace vmm;

namespace {

// Of 80 yields to awaited receivers in each vCPU, 60 are right; 100 could have been.
RunResult judged(const RunSpec& spec) {
  RunResult result = fake_result(spec, 1000);
  for (VmResult& vm : result.vms) {
    for (VcpuResult& vcpu : vm.vcpus) {
      vcpu.sched.yields_right[0] = 60;
      vcpu.sched.right_possible = 100;
    }
  }
  return result;
}

}  // namespace

TEST_CASE("yields: precision and recall by reason, of runs that are judged") {
  FakeProgram program;
  program.backend = judged;
  REQUIRE(program.run({"yields", "--policies", "yield,v2", "--vms", "1", "--vcpus", "2", "--json", "-"}) == 0);
  REQUIRE(program.asked.size() == 2);
  CHECK(program.asked[0].judges_yields);
  CHECK(program.asked[1].vms[0].policy.name == "v2");
  const Json json = Json::parse(program.out.str());
  REQUIRE(json.size() == 2);
  CHECK(json[1]["policy"] == "v2");
  CHECK(json[0]["possible"] == 200);
  CHECK(json[0]["reasons"]["ipi_receiver"]["done"] == 160);
  CHECK(json[0]["reasons"]["ipi_receiver"]["right"] == 120);
  CHECK(json[0]["reasons"]["all"]["right"] == 120);

  REQUIRE(program.run({"yields", "--policies", "yield", "--vms", "1", "--vcpus", "2"}) == 0);
  CHECK(program.out.str().find("0.750        0.600") != std::string::npos);
}

TEST_CASE("yields: what was measured is printed when a later run fails; host policies are refused") {
  FakeProgram program;
  program.backend = [](const RunSpec& spec) -> Result<RunResult> {
    if (spec.vms[0].policy.name == "v2") return host_error("KVM_RUN", EIO);
    return judged(spec);
  };
  CHECK(program.run({"yields", "--policies", "yield,v2"}) == 3);
  CHECK(program.out.str().find("ipi_receiver") != std::string::npos);
  CHECK(program.err.str().find("KVM_RUN") != std::string::npos);

  CHECK(program.run({"yields", "--policies", "yield,host"}) == 2);
  CHECK(program.err.str().find("--policies") != std::string::npos);
  CHECK(program.err.str().find("host") != std::string::npos);
}

TEST_CASE("regret: what is lost against the best policy of the block, the reference run left out") {
  FakeProgram program;
  program.backend = [](const RunSpec& spec) {
    const std::string& policy = spec.vms[0].policy.name;
    return fake_result(spec, policy == "yield" ? 600 : policy == "kvmux" ? 900 : 1000);
  };
  REQUIRE(program.run({"compare", "--policies", "yield,kvmux,oracle", "--vms", "2", "--vcpus", "2", "--repeat", "2",
                       "--efficiency", "--metrics", "regret", "--report", "off", "--json", "-"}) == 0);
  const Json json = Json::parse(program.out.str());
  const Json& policies = json["cells"][0]["policies"];
  CHECK(policies[0]["metrics"]["regret"]["median"] == doctest::Approx(0.4));
  CHECK(policies[1]["metrics"]["regret"]["median"] == doctest::Approx(0.1));
  CHECK(policies[2]["metrics"]["regret"]["median"] == doctest::Approx(0));
}
