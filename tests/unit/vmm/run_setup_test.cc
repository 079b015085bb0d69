#include <doctest/doctest.h>

#include "sched/policy/parse.h"
#include "vmm/run/setup.h"

using namespace vmm;

namespace {

RunSpec spec_of(std::initializer_list<const char*> policies) {
  RunSpec spec;
  for (const char* policy : policies) {
    VmSpec vm;
    vm.policy = *sched::parse_policy(policy);
    spec.vms.push_back(vm);
  }
  return spec;
}

constexpr Nanos kWindow{50'000};

}  // namespace

TEST_CASE("groups are made once, parents first, with the weights that were asked for") {
  RunSpec spec = spec_of({"yield", "v2", "fair"});
  spec.groups = {{.path = "prod/web", .weight = {2048}}, {.path = "prod", .weight = {512}}};
  spec.vms[0].group = "prod/web";
  spec.vms[1].group = "test/a/b";
  spec.vms[2].weight = {4096};
  const auto setup = make_setup(spec, kWindow);
  REQUIRE(setup);
  REQUIRE(setup->groups.size() == 5);
  CHECK(setup->groups[0].path == "prod");
  CHECK(setup->groups[0].parent == sched::kRootGroup);
  CHECK(setup->groups[0].weight == sched::Weight{512});
  CHECK(setup->groups[1].path == "prod/web");
  CHECK(setup->groups[1].parent == sched::GroupId{0});
  CHECK(setup->groups[1].weight == sched::Weight{2048});
  CHECK(setup->groups[4].path == "test/a/b");
  CHECK(setup->groups[4].parent == sched::GroupId{3});
  CHECK(setup->vms[0].parent == sched::GroupId{1});
  CHECK(setup->vms[1].parent == sched::GroupId{4});
  CHECK(setup->vms[2].parent == sched::kRootGroup);
  CHECK(setup->vms[2].weight == sched::Weight{4096});
  CHECK(setup->vms[1].policy.features.deboost == sched::Deboost::kOn);
}

TEST_CASE("group paths that cannot be are usage errors") {
  for (const char* path : {"/prod", "prod/", "prod//web"}) {
    RunSpec spec = spec_of({"fair"});
    spec.vms[0].group = path;
    const auto setup = make_setup(spec, kWindow);
    REQUIRE_FALSE(setup);
    CHECK(setup.error().kind == ErrorKind::kUsage);
    CHECK(setup.error().text().find(path) != std::string::npos);
  }
  RunSpec twice = spec_of({"fair"});
  twice.groups = {{.path = "a"}, {.path = "a"}};
  CHECK_FALSE(make_setup(twice, kWindow));
  twice.groups = {{.path = ""}};
  CHECK_FALSE(make_setup(twice, kWindow));
}

TEST_CASE("VMs must agree on the run queue and on its constants, and on nothing else") {
  CHECK(make_setup(spec_of({"rr", "rr"}), kWindow)->queue == sched::QueueKind::kRoundRobin);
  CHECK_FALSE(make_setup(spec_of({"rr", "fair"}), kWindow));
  CHECK_FALSE(make_setup(spec_of({"fair", "fair,lag-limit=3"}), kWindow));
  CHECK(make_setup(spec_of({"fair", "fair,slice=1ms"}), kWindow));
  CHECK_FALSE(make_setup(spec_of({"host-yield"}), kWindow));
  CHECK_FALSE(make_setup(RunSpec{}, kWindow));
}

TEST_CASE("the spin window follows the exit cost within its range, unless it is given") {
  RunSpec spec;
  CHECK(spin_window_of(spec, Nanos{67'000}) == Nanos{67'000});
  CHECK(spin_window_of(spec, Nanos{1'500}) == Nanos{20'000});
  CHECK(spin_window_of(spec, Nanos{900'000}) == Nanos{200'000});
  spec.spin_window = kWindow;
  CHECK(spin_window_of(spec, Nanos{67'000}) == kWindow);
  spec.spin_detect = SpinDetect::kBoth;
  CHECK(spin_window_of(spec, Nanos{67'000}) == kWindow);
  for (const SpinDetect silent : {SpinDetect::kOff, SpinDetect::kSample}) {
    spec.spin_detect = silent;
    CHECK(spin_window_of(spec, Nanos{67'000}) == Nanos{0});
  }
}

TEST_CASE("setup: without groups there are no weights of VMs, and what holds for a whole run does not change in it") {
  RunSpec spec = spec_of({"fair,cgroups=none", "fair,cgroups=none"});
  CHECK(make_setup(spec, kWindow));
  spec.vms[1].weight = sched::Weight{2048};
  const auto weighed = make_setup(spec, kWindow);
  REQUIRE_FALSE(weighed);
  CHECK(weighed.error().text().find("cgroups=vm") != std::string::npos);
  for (const char* to : {"yield,queue=flat", "yield,vm-share=concur", "yield,cgroups=vcpu", "linux-7.3"}) {
    CAPTURE(to);
    RunSpec changing = spec_of({"yield"});
    VmChange other;
    other.policy = *sched::parse_policy(to);
    changing.changes.push_back({.at = changing.duration / 2, .vms = {other}});
    const auto refused = make_setup(changing, kWindow);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text().find("holds for the whole run") != std::string::npos);
  }
  const auto apart = make_setup(spec_of({"yield", "yield,queue=flat"}), kWindow);
  REQUIRE_FALSE(apart);
  CHECK(apart.error().text().find("queue") != std::string::npos);
}
