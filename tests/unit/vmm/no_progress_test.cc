#include "vmm/run/no_progress.h"

#include <doctest/doctest.h>

using namespace vmm;
using namespace std::chrono_literals;

namespace {

constexpr WindowOf kTwoSeconds{.length = 2s, .silent = false, .counts_operations = true};

VcpuResult vcpu(Nanos running, Nanos waiting, Nanos halted, uint64_t operations = 0) {
  VcpuResult result;
  result.sched.times = {.running = running, .waiting = waiting, .halted = halted, .stopped = {}};
  result.operations = operations;
  return result;
}

VmResult vm(std::vector<VcpuResult> vcpus) {
  VmResult result;
  result.vcpus = std::move(vcpus);
  return result;
}

}  // namespace

TEST_CASE("a VM whose vCPUs all slept, or had no turn, or finished nothing, got nowhere") {
  CHECK(no_progress(vm({vcpu({}, {}, 2s), vcpu({}, {}, 2s)}), kTwoSeconds) ==
        "its vCPUs slept through the whole window of 2 s");
  CHECK(no_progress(vm({vcpu({}, 2s, {}), vcpu({}, {}, 2s)}), kTwoSeconds) ==
        "its vCPUs had no turn in the whole window of 2 s: they waited 2 s for a worker");
  CHECK(no_progress(vm({vcpu(1s, 1s, {}), vcpu(200ms, 1800ms, {})}), kTwoSeconds) ==
        "its vCPUs ran for 1.2 s in the window of 2 s and finished no operation");
}

TEST_CASE("a VM that did something, or has ended, or need not tell, is not named") {
  CHECK(no_progress(vm({vcpu({}, {}, 2s), vcpu(1s, 1s, {}, 1)}), kTwoSeconds) == "");
  VcpuResult stopped;
  stopped.sched.times.stopped = 2s;
  CHECK(no_progress(vm({stopped}), kTwoSeconds) == "");
  WindowOf own = kTwoSeconds;
  own.counts_operations = false;
  CHECK(no_progress(vm({vcpu(1s, 1s, {})}), own) == "");
  CHECK(no_progress(vm({vcpu({}, {}, {})}), WindowOf{}) == "");
}

TEST_CASE("what a host's thread did at the gate is not the guest's") {
  WindowOf silent = kTwoSeconds;
  silent.silent = true;
  silent.counts_operations = false;
  CHECK(no_progress(vm({vcpu(1ms, 1us, 1999ms)}), silent) ==
        "its vCPUs slept through the whole window of 2 s");
}
