// What the host lets a run have of its CPUs, on files that only look like the kernel's.
#include "vmm/run/cpu_supply.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "fake_tree.h"

using namespace vmm;

namespace {

class FakeHost : public FakeTree {
 public:
  FakeHost() {
    put("online", "0-3");
    put("status", "Name:\tkvmux\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3");
    put("membership", "1:cpu:/old\n0::/box/runs");
    put("cgroups/cpu.stat", "usage_usec 5");
    quota("box", "max 100000", 0);
    quota("box/runs", "max 100000", 0);
  }
  void quota(const std::string& group, const std::string& limit, int held_back) {
    put("cgroups/" + group + "/cpu.max", limit);
    put("cgroups/" + group + "/cpu.stat", "nr_throttled 3\nthrottled_usec " + std::to_string(held_back));
  }
  CpuSupply look() const {
    return read_cpu_supply({.online = root() + "/online",
                            .status = root() + "/status",
                            .membership = root() + "/membership",
                            .cgroups = root() + "/cgroups"});
  }
};

using Sentences = std::vector<std::string>;
constexpr std::array kUsed{0, 2};

}  // namespace

TEST_CASE("CPU supply: where nothing changes there is nothing to say") {
  const FakeHost host;
  const CpuSupply supply = host.look();
  CHECK(supply.online == std::vector{0, 1, 2, 3});
  CHECK(supply.allowed == std::vector{0, 1, 2, 3});
  CHECK_FALSE(supply.quota);
  CHECK(supply_changes(supply, host.look(), kUsed).empty());
}

TEST_CASE("CPU supply: a CPU that goes is named if the run uses it") {
  FakeHost host;
  const CpuSupply before = host.look();
  host.put("online", "0-1,3");
  CHECK(supply_changes(before, host.look(), kUsed) == Sentences{"CPU 2 went offline"});
  CHECK(supply_changes(host.look(), before, kUsed).empty());  // one that comes is not used
  constexpr std::array kOthers{0, 1};
  CHECK(supply_changes(before, host.look(), kOthers).empty());
}

TEST_CASE("CPU supply: another affinity mask") {
  FakeHost host;
  const CpuSupply before = host.look();
  host.put("status", "Cpus_allowed_list:\t1");
  CHECK(supply_changes(before, host.look(), kUsed) == Sentences{"this process may use CPUs 1, before 0-3"});
}

TEST_CASE("CPU supply: the tightest quota counts, and all that held back") {
  FakeHost host;
  const CpuSupply before = host.look();
  host.quota("box", "150000 100000", 2000);
  host.quota("box/runs", "300000 100000", 500);
  const CpuSupply after = host.look();
  REQUIRE(after.quota);
  CHECK(*after.quota == doctest::Approx(1.5));
  CHECK(supply_changes(before, after, kUsed) ==
        Sentences{"the CPU quota of its cgroup is 1.50 CPUs, before no limit",
                  "the CPU quota of its cgroup (1.50 CPUs) held threads back for 2.5 ms"});
}

TEST_CASE("CPU supply: files that are not there change nothing") {
  const CpuSupply nothing = read_cpu_supply({.online = "/nowhere", .status = "/nowhere", .membership = "/nowhere", .cgroups = "/nowhere"});
  CHECK(nothing.online.empty());
  CHECK_FALSE(nothing.quota);
  const FakeHost host;
  CHECK(supply_changes(nothing, host.look(), kUsed).empty());
}
