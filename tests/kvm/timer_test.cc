// LAPIC timers on real KVM: none is lost, under policies of ours and host threads, waited for busily and in
// HLT, with and without a VM that computes beside. A deadline that falls between the last look and KVM_RUN
// used to be seen at the next exit only.
//
//   KVMUX_TIMERS  how many timers of each kind; without it a few hundred
#include <fmt/format.h>

#include <cstdlib>

#include "tests/kvm/real_run.h"
#include "vmm/stats/histogram.h"

using namespace kvm_test;
using namespace vmm;

namespace {

struct Kind {
  const char* policy;
  bool halted;
  bool neighbour;
};

struct Found {
  uint64_t lost = 0;
  uint64_t silent = 0;  // VMs that did not come to their end
  uint64_t sleepy = 0;  // VMs that were halted for much longer than their timers lasted
  Nanos latest{};
};

// Waited for in HLT beside others, each timer costs a turn of theirs: more VMs, more timers. Alone, nobody
// must be there whose exits make the worker look.
uint32_t timer_vms(const Kind& kind) { return kind.halted && kind.neighbour ? 4 : 1; }

// tests/kvm/guests/tiny/timers.c
std::string guest_args(const Kind& kind, uint64_t count) {
  // For the halted, longer than anybody else keeps the CPU: on a worker that has a thirtieth of its CPU,
  // turns take seconds. A busy wait is lost time for the others; emulated CPUs stand still for tens of ms.
  const int limit_ms = kind.halted ? 10'000 : is_slow_host() ? 500 : 5;
  return fmt::format("{} {} 1 50 {}", kind.halted ? 1 : 0, count / timer_vms(kind), limit_ms);
}
std::string neighbour_args(uint64_t count) {
  constexpr uint64_t kUsATimer = 200;  // about what one costs: both are through at about the same time
  return fmt::format("2 {}", count * kUsATimer / 1000);
}

// Beside a neighbour the worker never sleeps. Then a vCPU is halted for its timers, 50 us each at the most,
// for waking up, and while the host has the worker. One that is lost until the next tick adds a turn of the
// neighbour's.
bool slept_too_long(const VcpuResult& vcpu, const RunResult& result, uint64_t count) {
  constexpr Nanos kEach{200'000};
  Nanos taken{};
  for (const VmResult& vm : result.vms) taken += vm.vcpus[0].ledger.stolen;
  return vcpu.sched.times.halted > kEach * static_cast<int64_t>(count) + taken + result.window / 4;
}

// Until all VMs have come to their end, or for so long that one never will.
void measure(const Kind& kind, uint64_t count, uint64_t seed, Found& found) {
  RunSpec spec = short_run(ms(120'000));
  spec.warmup = Nanos{};
  spec.workers = 1;
  spec.seed = seed;
  spec.rotate = Nanos{};
  const std::string guest = KVMUX_TEST_GUESTS "/timers.elf";
  for (uint32_t i = 0; i < timer_vms(kind); ++i) {
    add_vm(spec, guest, 1, kind.policy).args = guest_args(kind, count);
  }
  if (kind.neighbour) add_vm(spec, guest, 1, kind.policy).args = neighbour_args(count);
  const RunResult result = run_it(spec);
  for (const VmResult& vm : result.vms) {
    CHECK(vm.failure == "");
    found.silent += vm.exit_code == 0 ? 0 : 1;
    found.lost += vm.vcpus[0].guest_errors;
    // Host threads sleep in the kernel, whose time this is.
    const bool is_ours = !std::string_view(kind.policy).starts_with("host");
    if (is_ours && kind.neighbour && slept_too_long(vm.vcpus[0], result, count / timer_vms(kind)))
      ++found.sleepy;
    const auto latest = histogram_quantile_time(vm.ack_hist, 1.0, result.tsc_khz);
    found.latest = std::max(found.latest, latest.value_or(Nanos{}));
  }
}

uint64_t wanted() {
  const char* given = std::getenv("KVMUX_TIMERS");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 200;
}

void check_none_lost(const Kind& kind) {
  constexpr uint64_t kAtOnce = 10'000;
  Found found;
  uint64_t done = 0;
  for (uint64_t seed = 1; done < wanted() && found.silent == 0; ++seed) {
    const uint64_t count = std::min(kAtOnce, wanted() - done);
    measure(kind, count, seed, found);
    done += count;
  }
  const std::string what = fmt::format(
      "{}, {}, {}: of {} timers {} lost, {} VMs silent, {} sleepy; the latest {:.1f} ms late", kind.policy,
      kind.halted ? "halted" : "busy", kind.neighbour ? "beside a VM" : "alone", done, found.lost,
      found.silent, found.sleepy, static_cast<double>(found.latest.count()) / 1e6);
  MESSAGE(what);
  CHECK_MESSAGE(found.lost == 0, what);
  CHECK_MESSAGE(found.silent == 0, what);
  CHECK_MESSAGE(found.sleepy == 0, what);
}

void check_all(bool halted) {
  for (const char* policy : {"fair", "v2", "kvmux", "host"}) {
    for (const bool neighbour : {false, true}) check_none_lost({policy, halted, neighbour});
  }
}

}  // namespace

TEST_CASE("no LAPIC timer of 1 to 50 us is lost that a vCPU waits for busily") {
  REQUIRE_KVM(system);
  check_all(false);
}

TEST_CASE("no LAPIC timer of 1 to 50 us is lost that a vCPU waits for in HLT") {
  REQUIRE_KVM(system);
  check_all(true);
}
