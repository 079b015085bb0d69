// Many vCPUs on two workers: each gets its share.
#include <algorithm>

#include "tests/kvm/real_run.h"

using namespace kvm_test;
using namespace vmm;

namespace {

constexpr double kFair = 0.85;
// Above this share of the workers' time taken by the host, work no longer measures our scheduler: a vCPU is
// charged for what the host took while it was on a worker.
constexpr double kQuiet = 0.03;

struct Range {
  double least = 1e300;
  double most = 0;
  void add(double value) {
    least = std::min(least, value);
    most = std::max(most, value);
  }
  double fairness() const { return most > 0 ? least / most : 0; }
};

double stolen_share(const RunResult& result) {
  Nanos stolen{};
  Nanos on_worker{};
  for (const VmResult& vm : result.vms) {
    for (const VcpuResult& vcpu : vm.vcpus) {
      stolen += vcpu.ledger.stolen;
      on_worker += vcpu.sched.times.running;
    }
  }
  return on_worker > Nanos{} ? static_cast<double>(stolen.count()) / static_cast<double>(on_worker.count())
                             : 1;
}

Range over_vcpus(const RunResult& result, double (*value)(const VcpuResult&)) {
  Range range;
  for (const VmResult& vm : result.vms) {
    for (const VcpuResult& vcpu : vm.vcpus) range.add(value(vcpu));
  }
  return range;
}

void check_fair(uint32_t vms, uint32_t vcpus) {
  for (const int64_t seconds : {2, 4, 8}) {
    RunSpec spec = short_run(ms(seconds * 1'000));
    for (uint32_t i = 0; i < vms; ++i) add_vm(spec, "compute", vcpus);
    const RunResult result = run_it(spec);
    const double stolen = stolen_share(result);
    CAPTURE(stolen);
    if (stolen > kQuiet && seconds < 8) continue;  // once more, for longer
    for (const VmResult& vm : result.vms) check_healthy(vm);
    REQUIRE_OR_SKIP(stolen <= kQuiet, "the host takes too much of the workers' time to compare vCPUs");
    const auto running = [](const VcpuResult& v) {
      return static_cast<double>(v.sched.times.running.count());
    };
    const auto work = [](const VcpuResult& v) { return static_cast<double>(v.operations); };
    CHECK(over_vcpus(result, running).fairness() >= kFair);
    CHECK(over_vcpus(result, work).fairness() >= kFair);
    return;
  }
}

}  // namespace

TEST_CASE("64 vCPUs of one VM share two workers") {
  REQUIRE_KVM(system);
  check_fair(1, 64);
}

TEST_CASE("64 VMs of two vCPUs share two workers") {
  REQUIRE_KVM(system);
  check_fair(64, 2);
}
