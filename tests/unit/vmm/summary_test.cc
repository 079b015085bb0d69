// The plain sentences under a comparison.
#include "vmm/cli/summary.h"

#include <doctest/doctest.h>

#include <cmath>

#include "cli_fake.h"
#include "sched/base/rng.h"

using namespace vmm;

namespace {

const std::vector<std::string> kCompare = {
    "compare",    "--guest", "lock,lock=ticket,ipi", "--policies", "host-yield,v2,kvmux", "--plain",
    "--max-time", "60s"};

}  // namespace

TEST_CASE("plain: a sentence for each guest about the last policy") {
  FakeProgram program;
  sched::Rng rng(1);
  program.backend = [&rng](const RunSpec& spec) {
    const VmSpec& vm = spec.vms.front();
    const double noise = 1 + static_cast<double>(rng.below(100)) / 20'000;
    const double ratio = vm.policy.name != "kvmux" ? 1 : vm.guest == "lock" ? 2.4 : 1;
    return fake_result(spec, 1000 * ratio * noise);
  };
  CHECK(program.run(kCompare) == 0);
  const std::string text = program.out.str();
  CAPTURE(text);
  CHECK(contains(text, "\nkvmux does 2.4 times the work of host-yield on lock, between 2.4 and 2.4.\n"));
  CHECK(contains(text, "\nkvmux does as much work as host-yield on ipi, within 3 %.\n"));
  CHECK_FALSE(contains(text, "still open"));
}

TEST_CASE("plain: what is open is said, with the command that gives it time") {
  FakeProgram program;
  sched::Rng rng(1);
  program.backend = [&rng](const RunSpec& spec) {
    return fake_result(spec, 1000 + static_cast<double>(rng.below(1000)));
  };
  CHECK(program.run(kCompare) == 0);
  const std::string text = program.out.str();
  CAPTURE(text);
  CHECK(contains(text, "Whether kvmux does more or less work than host-yield on ipi is open: between "));
  CHECK(contains(
      text,
      "verdicts are still open. More time settles more:\n  kvmux compare --guest lock,lock=ticket,ipi "
      "--policies host-yield,v2,kvmux --plain --until-settled --max-time "));
  CHECK_FALSE(contains(text, "60s"));
}

TEST_CASE("plain: words that a shell would take apart are quoted") {
  FakeProgram program;
  sched::Rng rng(1);
  program.backend = [&rng](const RunSpec& spec) {
    return fake_result(spec, 1000 + static_cast<double>(rng.below(1000)));
  };
  CHECK(program.run({"compare", "--policies", "v2;v2,deboost=off", "--plain"}) == 0);
  CHECK(contains(program.out.str(), "--policies 'v2;v2,deboost=off'"));
}

TEST_CASE("progress: names what is still open") {
  FakeProgram program;
  sched::Rng rng(1);
  program.backend = [&rng](const RunSpec& spec) {
    return fake_result(spec, 1000 + static_cast<double>(rng.below(300)));
  };
  CHECK(program.run({"compare", "--policies", "yield,v2", "--until-settled", "--max-time", "40s"}) == 0);
  CHECK(contains(program.err.str(), "open: lock v2\n"));
}
