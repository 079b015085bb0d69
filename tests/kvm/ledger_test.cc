// The time ledger on real KVM: under every policy it accounts for all of a vCPU's time, and for no more time
// on workers than there is.
#include <cmath>

#include "sched/policy/parse.h"
#include "tests/kvm/require_kvm.h"
#include "vmm/cli/guests.h"
#include "vmm/run/run.h"

using namespace vmm;

namespace {

constexpr Nanos ms(int64_t n) { return Nanos{n * 1'000'000}; }

// Lock, 2 VMs of 4 vCPUs on 2 workers.
RunSpec spec_of(std::string_view policy) {
  RunSpec spec;
  spec.warmup = ms(50);
  spec.duration = ms(250);
  spec.quiet_console = true;
  for (int i = 0; i < 2; ++i) {
    VmSpec& vm = spec.vms.emplace_back();
    vm.guest = "lock";
    vm.vcpus = 4;
    vm.policy = *sched::parse_policy(policy);
    vm.workload = make_workload("lock", {});
  }
  return spec;
}

double seconds(Nanos t) { return std::chrono::duration<double>(t).count(); }

Nanos on_worker(const Ledger& l) {
  return l.guest + l.spinning + l.exits + l.injection + l.migration + l.stolen;
}

bool can_run(const sched::Preset& preset) {
  return preset.name != "host-kvm" || kvm_test::system()->capabilities().has(KVM_CAP_SPLIT_IRQCHIP);
}

}  // namespace

TEST_CASE("every vCPU's ledger adds up to the window, under every policy") {
  REQUIRE_KVM(system);
  for (const sched::Preset& preset : sched::presets()) {
    if (!can_run(preset)) continue;
    CAPTURE(preset.name);
    const RunSpec spec = spec_of(preset.name);
    RunControl control;
    const auto result = run(spec, control);
    REQUIRE_MESSAGE(result, result.error().text());
    const double window = seconds(result->window);
    double on_workers = 0;
    double switching = 0;
    for (const VmResult& vm : result->vms) {
      for (const VcpuResult& vcpu : vm.vcpus) {
        const Ledger& l = vcpu.ledger;
        CHECK(std::abs(seconds(l.sum()) - window) < 0.01 * window);
        for (const Nanos part : {l.guest, l.spinning, l.waiting, l.halted, l.exits, l.injection, l.migration,
                                 l.stolen, l.stopped}) {
          CHECK(part >= Nanos{});
        }
        CHECK(l.stopped == Nanos{});
        on_workers += seconds(on_worker(l));
        switching += seconds(l.migration);
      }
    }
    // Switching costs something, and is nobody's work.
    CHECK((switching > 0) == !preset.name.starts_with("host"));
    // Eight vCPUs that always have something to do share two workers: all of the workers' time, and no more.
    CHECK(on_workers < 1.01 * spec.workers * window);
  }
}
