// A run leaves nothing behind in its process: no thread, no fd, no mapping, however it ended.
#include "tests/kvm/real_run.h"

using namespace kvm_test;
using namespace vmm;

namespace {

GUEST_CODE(fault_at_once, "ud2");

struct Holdings {
  int threads;
  int fds;
  int vcpu_areas;  // the kvm_run mappings
  int rings;
};

Holdings holdings() { return {threads(), open_fds(), mappings("kvm-vcpu"), mappings("io_uring")}; }

void check_nothing_left(const Holdings& before) {
  const Holdings now = holdings();
  CHECK(now.threads == before.threads);
  CHECK(now.fds == before.fds);
  CHECK(now.vcpu_areas == before.vcpu_areas);
  CHECK(now.rings == before.rings);
}

// Guest memory and stacks are anonymous: the allocator may keep a few mappings, but no more with every run.
int all_mappings() { return mappings(""); }

}  // namespace

TEST_CASE("thirty runs leave no thread, fd or mapping behind") {
  REQUIRE_KVM(system);
  RunSpec spec = short_run(ms(5));
  spec.warmup = ms(1);
  add_vm(spec, "pingpong", 2);
  add_vm(spec, "compute", 3, "fair");
  run_it(
      spec);  // what a process keeps for good is there after the first: calibration, the allocator's arenas
  const Holdings before = holdings();
  const int mapped = all_mappings();
  constexpr int kRuns = 30;
  for (int i = 0; i < kRuns; ++i) run_it(spec);
  check_nothing_left(before);
  CHECK(all_mappings() < mapped + kRuns / 2);  // one mapping left by each run would be twice that
}

TEST_CASE("a run whose guest fails leaves nothing behind") {
  REQUIRE_KVM(system);
  const GuestFile guest(fault_at_once());
  RunSpec spec = short_run(ms(5));
  add_vm(spec, guest.path(), 4);
  run_it(spec);
  const Holdings before = holdings();
  for (int i = 0; i < 20; ++i) CHECK(run_it(spec).vms[0].failure != "");
  check_nothing_left(before);
}

TEST_CASE("a run that cannot be set up leaves nothing behind") {
  REQUIRE_KVM(system);
  RunSpec spec = short_run(ms(5));
  add_vm(spec, "compute", 2);
  run_it(spec);
  add_vm(spec, "compute", 2).memory_bytes = 4096;  // the first VM is there by then
  const Holdings before = holdings();
  for (int i = 0; i < 20; ++i) {
    RunControl control;
    CHECK_FALSE(run(spec, control));
  }
  check_nothing_left(before);
}

TEST_CASE("a run that is stopped early ends early, says so and leaves nothing behind") {
  REQUIRE_KVM(system);
  RunSpec spec = short_run(ms(60'000));
  add_vm(spec, "compute", 2);
  const auto stop_at_once = [&] {
    RunControl control;
    control.progress = [&](double) { control.stop = true; };
    auto result = run(spec, control);
    REQUIRE(result);
    CHECK(result->interrupted);
    CHECK(result->window < ms(30'000));
  };
  stop_at_once();
  const Holdings before = holdings();
  stop_at_once();
  check_nothing_left(before);
}
