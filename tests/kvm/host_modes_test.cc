// The thread-per-vCPU baselines on real KVM: every workload makes progress under each of them, ledgers add
// up, no wake-up is lost, nothing is left behind.
#include <dirent.h>

#include <cmath>
#include <string>

#include "sched/policy/parse.h"
#include "tests/kvm/require_kvm.h"
#include "vmm/cli/guests.h"
#include "vmm/run/run.h"

using namespace vmm;

namespace {

constexpr const char* kModes[] = {"host", "host-yield", "host-kvm"};
constexpr uint32_t kVcpus = 4;

constexpr Nanos ms(int64_t n) { return Nanos{n * 1'000'000}; }

RunSpec spec_of(const char* policy, const char* guest) {
  RunSpec spec;
  spec.warmup = ms(100);
  spec.duration = ms(300);
  spec.quiet_console = true;
  for (int i = 0; i < 2; ++i) {
    VmSpec& vm = spec.vms.emplace_back();
    vm.guest = guest;
    vm.vcpus = kVcpus;
    vm.policy = *sched::parse_policy(policy);
    vm.workload = make_workload(guest, {});
  }
  return spec;
}

RunResult run_it(const RunSpec& spec) {
  RunControl control;
  auto result = run(spec, control);
  REQUIRE_MESSAGE(result, result.error().text());
  return std::move(*result);
}

bool has_split_irqchip() {
  return kvm_test::system() && kvm_test::system()->capabilities().has(KVM_CAP_SPLIT_IRQCHIP);
}

double seconds(Nanos t) { return std::chrono::duration<double>(t).count(); }

Nanos on_cpu(const Ledger& l) { return l.guest + l.spinning + l.exits + l.injection; }

void check_vcpu(const VcpuResult& vcpu, Nanos window) {
  CHECK(vcpu.operations + vcpu.work_iters > 0);
  CHECK(vcpu.guest_errors == 0);
  const double off = std::abs(seconds(vcpu.ledger.sum()) - seconds(window));
  if (!kvm_test::is_slow_host()) CHECK(off < 0.01 * seconds(window));
  CHECK(vcpu.ledger.stopped == Nanos{0});
  CHECK(on_cpu(vcpu.ledger) > Nanos{0});
}

void check_result(const RunSpec& spec, const RunResult& result) {
  REQUIRE(result.vms.size() == spec.vms.size());
  Nanos busy{};
  for (const VmResult& vm : result.vms) {
    CHECK(vm.failure == "");
    CHECK_FALSE(vm.exit_code);
    REQUIRE(vm.vcpus.size() == kVcpus);
    for (const VcpuResult& vcpu : vm.vcpus) {
      check_vcpu(vcpu, result.window);
      busy += on_cpu(vcpu.ledger);
    }
  }
  // Waiting taken for running would show here: there are more vCPUs than CPUs.
  if (!kvm_test::is_slow_host()) CHECK(seconds(busy) < 1.02 * spec.workers * seconds(result.window));
  CHECK(result.worker_busy.size() == spec.workers);
}

int entries_of(const char* folder) {
  DIR* dir = ::opendir(folder);
  REQUIRE(dir != nullptr);
  int count = 0;
  while (::readdir(dir) != nullptr) ++count;
  ::closedir(dir);
  return count;
}

}  // namespace

TEST_CASE("every workload runs under every baseline") {
  REQUIRE_KVM(system);
  for (const char* mode : kModes) {
    if (std::string(mode) == "host-kvm" && !has_split_irqchip()) continue;
    for (const char* guest : {"lock", "ipi", "mixed", "compute", "pingpong"}) {
      CAPTURE(mode);
      CAPTURE(guest);
      const RunSpec spec = spec_of(mode, guest);
      check_result(spec, run_it(spec));
    }
  }
}

TEST_CASE("a baseline has the exits that its name promises") {
  REQUIRE_KVM(system);
  const auto totals = [](const RunResult& result) {
    VcpuResult sum;
    for (const VmResult& vm : result.vms) {
      for (const VcpuResult& vcpu : vm.vcpus) {
        sum.exits += vcpu.exits;
        sum.ipis_acked += vcpu.ipis_acked;
        sum.sched.spin_exits += vcpu.sched.spin_exits;
        sum.sched.ipis_sent += vcpu.sched.ipis_sent;
        sum.sched.eois += vcpu.sched.eois;
      }
    }
    return sum;
  };
  const RunResult plain = run_it(spec_of("host", "ipi"));
  const VcpuResult host = totals(plain);
  CHECK(plain.spin_window == Nanos{0});
  CHECK(host.sched.spin_exits == 0);
  CHECK(host.sched.ipis_sent > 0);
  CHECK(host.sched.eois > 0);

  const RunResult yielding = run_it(spec_of("host-yield", "ipi"));
  CHECK(yielding.spin_window > Nanos{0});
  CHECK(totals(yielding).sched.spin_exits > 0);

  REQUIRE_OR_SKIP(has_split_irqchip(), "KVM_CAP_SPLIT_IRQCHIP is missing");
  const RunResult kvm = run_it(spec_of("host-kvm", "ipi"));
  const VcpuResult all_kvm = totals(kvm);
  CHECK(kvm.spin_window == Nanos{0});
  CHECK(all_kvm.ipis_acked > 0);
  CHECK(all_kvm.sched.ipis_sent == 0);  // they never exit
  CHECK(all_kvm.exits < all_kvm.ipis_acked);
  // The same LAPIC under a baseline that is not called after it.
  RunSpec split = spec_of("host-yield", "ipi");
  split.irqchip = Irqchip::kSplit;
  const VcpuResult split_total = totals(run_it(split));
  CHECK(split_total.ipis_acked > 0);
  CHECK(split_total.sched.ipis_sent == 0);
  CHECK(split_total.sched.spin_exits > 0);
}

// A lost wake-up stops a pair for ever, so a pair that still makes round trips after the warm-up lost none.
TEST_CASE("no baseline loses a wake-up") {
  REQUIRE_KVM(system);
  for (const char* mode : kModes) {
    if (std::string(mode) == "host-kvm" && !has_split_irqchip()) continue;
    CAPTURE(mode);
    RunSpec spec = spec_of(mode, "pingpong");
    spec.warmup = ms(1500);
    for (VmSpec& vm : spec.vms) vm.workload.think_ns = 5'000;
    const RunResult result = run_it(spec);
    check_result(spec, result);
    for (const VmResult& vm : result.vms) {
      for (const VcpuResult& vcpu : vm.vcpus) {
        CHECK(vcpu.operations > 0);
        CHECK(vcpu.ledger.halted > Nanos{0});
      }
    }
  }
}

TEST_CASE("vCPUs that never halt are not said to") {
  REQUIRE_KVM(system);
  const RunResult result = run_it(spec_of("host", "compute"));
  for (const VmResult& vm : result.vms) {
    for (const VcpuResult& vcpu : vm.vcpus) {
      CHECK(vcpu.ledger.halted == Nanos{0});
      CHECK(vcpu.ledger.spinning == Nanos{0});
      CHECK(vcpu.ledger.waiting > Nanos{0});
    }
  }
}

TEST_CASE("runs leave no thread and no fd behind") {
  REQUIRE_KVM(system);
  const auto cycle = [] {
    for (const char* mode : kModes) {
      if (std::string(mode) == "host-kvm" && !has_split_irqchip()) continue;
      RunSpec spec = spec_of(mode, "pingpong");
      spec.warmup = ms(1);
      spec.duration = ms(5);
      (void)run_it(spec);
    }
  };
  cycle();
  const int threads = entries_of("/proc/self/task");
  const int fds = entries_of("/proc/self/fd");
  for (int i = 0; i < 10; ++i) cycle();
  CHECK(entries_of("/proc/self/task") == threads);
  CHECK(entries_of("/proc/self/fd") == fds);
}
