// Many vCPUs on two workers: each gets its share.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "tests/kvm/real_run.h"

using namespace kvm_test;
using namespace vmm;

namespace {

// A quiet host gives 0.91 and more. What the host takes without telling (a hypervisor below it, its own
// interrupts) hits single vCPUs; a scheduler that forgets or prefers one is far below this.
constexpr double kFair = 0.75;
// Above this share of the workers' time taken by the host, work no longer measures our scheduler: it does not
// know that one CPU gives its vCPUs less than the other.
constexpr double kQuiet = 0.03;

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

// Shares of the mean, a vCPU each, summed over attempts. How fast the host's CPUs are changes within a run,
// by half and more; of many vCPUs the least and the most lucky one differ by that. It hits others each time
// and gets smaller in a sum, what a scheduler does wrong does not.
class Shares {
 public:
  void add(const RunResult& result, double (*value)(const VcpuResult&)) {
    std::vector<double> now;
    for (const VmResult& vm : result.vms) {
      for (const VcpuResult& vcpu : vm.vcpus) now.push_back(value(vcpu));
    }
    const double mean = std::accumulate(now.begin(), now.end(), 0.0) / static_cast<double>(now.size());
    sums_.resize(now.size());
    for (size_t i = 0; i < now.size(); ++i) sums_[i] += mean > 0 ? now[i] / mean : 0;
  }
  double fairness() const {
    const auto [least, most] = std::minmax_element(sums_.begin(), sums_.end());
    return *most > 0 ? *least / *most : 0;
  }

 private:
  std::vector<double> sums_;
};

double running(const VcpuResult& v) {
  return static_cast<double>((v.sched.times.running - v.ledger.stolen).count());
}
double work(const VcpuResult& v) { return static_cast<double>(v.operations); }

RunResult measure(uint32_t vms, uint32_t vcpus) {
  RunSpec spec = short_run(ms(5'000));
  for (uint32_t i = 0; i < vms; ++i) add_vm(spec, "compute", vcpus);
  const RunResult result = run_it(spec);
  // A vCPU without any work makes its share 0: as unfair as can be, but on a disturbed host nobody's fault.
  for (const VmResult& vm : result.vms) CHECK(vm.failure == "");
  return result;
}

// A scheduler that is not fair is so every time; the host's other work is not there every time.
void check_fair(uint32_t vms, uint32_t vcpus) {
  constexpr int kAttempts = 4;
  std::string seen;
  bool quiet = false;
  Shares times;
  Shares operations;
  for (int i = 0; i < kAttempts; ++i) {
    const RunResult result = measure(vms, vcpus);
    const double stolen = stolen_share(result);
    times.add(result, running);
    operations.add(result, work);
    seen += fmt::format(" {:.3f} of running time, {:.3f} of work, {:.1f} % stolen;", times.fairness(),
                        operations.fairness(), 100 * stolen);
    if (times.fairness() >= kFair && operations.fairness() >= kFair) return;
    quiet = quiet || stolen <= kQuiet;
  }
  REQUIRE_OR_SKIP(quiet, "the host takes too much of the workers' time to compare vCPUs");
  FAIL_CHECK("least against most, summed over attempts:" << seen);
}

}  // namespace

TEST_CASE("64 vCPUs of one VM share two workers") {
  REQUIRE_KVM(system);
  REQUIRE_STEADY_HOST();
  check_fair(1, 64);
}

TEST_CASE("three VMs of four vCPUs share two workers, and take turns on the one that has one VM less") {
  REQUIRE_KVM(system);
  REQUIRE_STEADY_HOST();
  check_fair(3, 4);
}

TEST_CASE("64 VMs of two vCPUs share two workers") {
  REQUIRE_KVM(system);
  REQUIRE_STEADY_HOST();
  check_fair(64, 2);
}
