// Which CPUs a run uses, on machines that are only files.
#include "vmm/run/cpu_choice.h"

#include <doctest/doctest.h>

#include <array>
#include <numeric>

#include "fake_tree.h"

using namespace vmm;

namespace {

class FakeSysfs : public FakeTree {
 public:
  void cpu(int cpu, int package, int core) {
    const std::string topology = "system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    put(topology + "physical_package_id", std::to_string(package));
    put(topology + "core_id", std::to_string(core));
  }
  CpuChoice choose(int cpus, size_t workers) {
    std::vector<int> all(static_cast<size_t>(cpus));
    std::iota(all.begin(), all.end(), 0);
    return choose_cpus(read_cpu_places(root(), all), workers);
  }
};

using Cpus = std::vector<int>;

}  // namespace

TEST_CASE("CPUs of a run: cores before SMT siblings, however the host numbers them") {
  FakeSysfs host;
  SUBCASE("siblings next to each other") {
    for (int i = 0; i < 8; ++i) host.cpu(i, 0, i / 2);
    CHECK(host.choose(8, 2).cpus == Cpus{0, 2});
    CHECK(host.choose(8, 2).notes.empty());
    CHECK(host.choose(8, 4).cpus == Cpus{0, 2, 4, 6});
    const CpuChoice six = host.choose(8, 6);
    CHECK(six.cpus == Cpus{0, 2, 4, 6, 1, 3});
    REQUIRE(six.notes.size() == 1);
    CHECK(six.notes[0] == "SMT siblings share a core: 0,1; 2,3");
  }
  SUBCASE("siblings in the upper half") {
    for (int i = 0; i < 8; ++i) host.cpu(i, 0, i % 4);
    CHECK(host.choose(8, 4).cpus == Cpus{0, 1, 2, 3});
  }
}

TEST_CASE("CPUs of a run: one memory node while its cores last, the larger one") {
  FakeSysfs host;
  for (int i = 0; i < 6; ++i) host.cpu(i, i < 2 ? 0 : 1, i);
  host.put("system/node/node0/cpulist", "0-1");
  host.put("system/node/node1/cpulist", "2-5");
  CHECK(host.choose(6, 2).cpus == Cpus{2, 3});
  CHECK(host.choose(6, 4).cpus == Cpus{2, 3, 4, 5});
  const CpuChoice five = host.choose(6, 5);
  CHECK(five.cpus == Cpus{2, 3, 4, 5, 0});
  REQUIRE(five.notes.size() == 1);
  CHECK(five.notes[0] == "on 2 memory nodes");
}

TEST_CASE("CPUs of a run: performance cores before efficiency cores, those before siblings") {
  FakeSysfs host;
  host.put("cpu_atom/cpus", "0-1");
  for (int i = 0; i < 2; ++i) host.cpu(i, 0, i);
  for (int i = 2; i < 6; ++i) host.cpu(i, 0, 8 + i / 2);
  CHECK(host.choose(6, 2).cpus == Cpus{2, 4});
  const CpuChoice four = host.choose(6, 4);
  CHECK(four.cpus == Cpus{2, 4, 0, 1});
  REQUIRE(four.notes.size() == 1);
  CHECK(four.notes[0] == "efficiency cores among them: 0,1");
}

TEST_CASE("CPUs of a run: unequal capacity, where no list names the efficiency cores") {
  FakeSysfs host;
  for (int i = 0; i < 4; ++i) {
    host.cpu(i, 0, i);
    host.put("system/cpu/cpu" + std::to_string(i) + "/cpu_capacity", i < 2 ? "446" : "1024");
  }
  CHECK(host.choose(4, 2).cpus == Cpus{2, 3});
}

TEST_CASE("CPUs of a run: without sysfs all count as alike; fewer CPUs than workers are shared") {
  FakeSysfs nothing;
  CHECK(nothing.choose(4, 2).cpus == Cpus{0, 1});
  CHECK(nothing.choose(4, 2).notes.empty());
  CHECK(nothing.choose(2, 5).cpus == Cpus{0, 1});
}

TEST_CASE("CPUs of a run: a quota below them is said") {
  const std::array<CpuPlace, 2> places{{{.cpu = 0}, {.cpu = 1, .core = 1}}};
  CHECK(choose_cpus(places, 2, 1.5).notes ==
        std::vector<std::string>{"a cgroup's quota (cpu.max) gives 1.50 CPUs of these"});
  CHECK(choose_cpus(places, 2, 2.0).notes.empty());
  CHECK(choose_cpus(places, 1, 1.5).notes.empty());
}

TEST_CASE("CPUs of a run: among those that were named") {
  // Two packages of four cores with two threads each; the second thread of a core in the upper half.
  FakeSysfs host;
  for (int i = 0; i < 16; ++i) host.cpu(i, i % 8 / 4, i % 4);
  host.put("system/node/node0/cpulist", "0-3,8-11");
  host.put("system/node/node1/cpulist", "4-7,12-15");
  const auto among = [&host](const Cpus& named, size_t workers) {
    return choose_cpus(read_cpu_places(host.root(), named), workers);
  };
  CHECK(among({6, 7, 9, 14}, 2).cpus == Cpus{6, 7});
  CHECK(among({6, 7, 9, 14}, 2).notes.empty());
  // A sibling comes after the other node's core.
  const CpuChoice four = among({6, 7, 9, 14}, 4);
  CHECK(four.cpus == Cpus{6, 7, 9, 14});
  CHECK(four.notes == std::vector<std::string>{"SMT siblings share a core: 6,14", "on 2 memory nodes"});
  CHECK(four.words() == "6,7,9,14: SMT siblings share a core: 6,14; on 2 memory nodes");
}

TEST_CASE("CPU lists: as sysfs writes them") {
  CHECK(parse_cpu_list("0-2,5,7-8") == Cpus{0, 1, 2, 5, 7, 8});
  CHECK(parse_cpu_list("").empty());
  CHECK(parse_cpu_list("3") == Cpus{3});
  CHECK(cpu_list_text({8, 7, 0, 1, 2, 5}) == "0-2,5,7,8");
  CHECK(cpu_list_text({4}) == "4");
}
