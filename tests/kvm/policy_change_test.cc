// Policies that change every 10 ms while real guests run under load: nobody is lost, the ledger closes, and
// each section says what was in force. KVMUX_TOGGLE_SECONDS=60: for a minute instead of 2 s.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "tests/kvm/real_run.h"
#include "vmm/run/observer.h"
#include "vmm/run/sections.h"
#include "vmm/stats/sample.h"

using namespace kvm_test;
using namespace vmm;

namespace {

Nanos toggle_time() {
  const char* seconds = std::getenv("KVMUX_TOGGLE_SECONDS");
  return ms(seconds == nullptr ? 2000 : std::atoi(seconds) * 1000);
}

double seconds(Nanos time) { return std::chrono::duration<double>(time).count(); }

PolicyChange change_to(const RunSpec& spec, Nanos at, const char* policy) {
  return {.at = at,
          .vms = std::vector<VmChange>(spec.vms.size(), {*sched::parse_policy(policy), std::nullopt})};
}

void check_ledgers(const RunResult& result, double tolerance) {
  for (const VmResult& vm : result.vms) {
    for (const VcpuResult& vcpu : vm.vcpus) {
      CHECK(std::abs(seconds(vcpu.ledger.sum() - result.window)) < tolerance * seconds(result.window));
    }
  }
}

}  // namespace

TEST_CASE("policies that change every 10 ms under load lose no wake-up, and the ledger closes") {
  REQUIRE_KVM(system);
  constexpr const char* kCourse[] = {"kvmux", "yield", "v2,deboost=off,ipi-window=10ms", "v3",
                                     "kvmux,affinity=off"};
  RunSpec spec = short_run(ms(1));
  spec.duration = toggle_time();
  add_vm(spec, "ipi", 4, "yield");    // sleeps and wakes by IPIs
  add_vm(spec, "mixed", 4, "yield");  // locks and sleeps
  size_t next = 0;
  for (Nanos at = ms(10); at < spec.duration; at += ms(10)) {
    spec.changes.push_back(change_to(spec, at, kCourse[next++ % std::size(kCourse)]));
  }
  const RunResult result = run_it(spec);
  for (const VmResult& vm : result.vms) check_healthy(vm);
  check_ledgers(result, 0.01);
  REQUIRE(result.sections.size() == spec.changes.size() + 1);
  Nanos sum{};
  uint64_t operations = 0;
  uint64_t in_all = 0;
  size_t standstills = 0;
  size_t in_a_row = 0;
  for (const Section& section : result.sections) {
    sum += section.result.window;
    uint64_t here = 0;
    for (const VmResult& vm : section.result.vms) {
      for (const VcpuResult& vcpu : vm.vcpus) here += vcpu.operations;
    }
    operations += here;
    // A host that takes both CPUs for 10 ms is no standstill; a lost wake-up is one for good.
    in_a_row = here == 0 ? in_a_row + 1 : 0;
    standstills = std::max(standstills, in_a_row);
  }
  for (const VmResult& vm : result.vms) {
    for (const VcpuResult& vcpu : vm.vcpus) in_all += vcpu.operations;
  }
  CHECK(sum == result.window);
  CHECK(operations == in_all);
  CHECK(standstills < 60);
  CHECK(result.sections[3].result.vms[0].policy == "v2,deboost=off,ipi-window=10ms");
}

TEST_CASE("sections on KVM: each has its ledger, and turns count after their wash-out") {
  REQUIRE_KVM(system);
  RunSpec spec = short_run(ms(900));
  for (int i = 0; i < 2; ++i) add_vm(spec, "lock", 4, "yield");
  spec.changes.push_back(change_to(spec, spec.duration / 3, "kvmux"));
  spec.changes.push_back(change_to(spec, spec.duration * 2 / 3, "yield"));
  spec.washout = spec.duration / 15;
  const RunResult result = run_it(spec);
  REQUIRE(result.sections.size() == 3);
  for (const Section& section : result.sections) {
    check_ledgers(section.result, 0.02);
    REQUIRE(section.counted);
    CHECK(section.counted->window < section.result.window);
    CHECK(section.first_half + section.second_half > 0);
    CHECK(section.counted->vms[0].ops_per_second > 0);
  }
  CHECK(result.sections[0].result.vms[0].policy == "yield");
  CHECK(result.sections[1].result.vms[1].policy == "kvmux");
}

TEST_CASE("a handicap in every other section costs its share there") {
  REQUIRE_KVM(system);
  constexpr int kSections = 40;
  RunSpec spec = short_run(ms(2000));
  for (int i = 0; i < 2; ++i) add_vm(spec, "compute", 2, "fair");
  for (int i = 1; i < kSections; ++i) {
    spec.changes.push_back(change_to(spec, spec.duration * i / kSections, "fair"));
    if (i % 2 == 0) continue;
    for (VmChange& vm : spec.changes.back().vms) vm.handicap_percent = 50;
  }
  const RunResult result = run_it(spec);
  REQUIRE(result.sections.size() == kSections);
  std::vector<double> ratios;  // of neighbours: a busy host is busy for both
  for (size_t i = 0; i < kSections; i += 2) {
    ratios.push_back(operations_per_second(result.sections[i + 1].result) /
                     std::max(1.0, operations_per_second(result.sections[i].result)));
  }
  const double ratio = median(ratios);
  CHECK(ratio > 0.3);
  CHECK(ratio < 0.75);
}

namespace {

// Looks on, and asks for another policy once.
class Asker final : public RunObserver {
 public:
  explicit Asker(const char* policy) : policy_(policy) {}
  void begins(const ObservedRun& run) override {
    run_ = &run.engine;
    vms_ = run.policies.size();
    guest_ = run.guest;
    CHECK(run.policies.front().policy.name == "yield");
  }
  void ends() override { run_ = nullptr; }
  std::optional<std::vector<VmChange>> take_change() override {
    REQUIRE(run_ != nullptr);
    // As the live view does, while all runs.
    const Vcpu& vcpu = run_->vms().front().vm->vcpu(VcpuIndex{0});
    seen_ = std::max(seen_, run_->counted(vcpu).account.exit_count);
    operations_ = std::max(operations_, guest_(VmId{0}, VcpuIndex{0}).operations);
    if (++looks_ != 3) return std::nullopt;
    return std::vector<VmChange>(vms_, {*sched::parse_policy(policy_), std::nullopt});
  }
  uint64_t seen_ = 0;
  uint64_t operations_ = 0;

 private:
  const char* policy_;
  const Engine* run_ = nullptr;
  std::function<GuestCounters(VmId, VcpuIndex)> guest_;
  size_t vms_ = 0;
  int looks_ = 0;
};

}  // namespace

TEST_CASE("who looks on may change policies while guests run, and sees counters grow") {
  REQUIRE_KVM(system);
  RunSpec spec = short_run(ms(800));
  add_vm(spec, "ipi", 4, "yield");
  RunControl control;
  Asker asker("v2,deboost=off");
  control.observer = &asker;
  const auto result = run(spec, control);
  REQUIRE_MESSAGE(result, result.error().text());
  check_healthy(result->vms.front());
  check_ledgers(*result, 0.01);
  CHECK(asker.seen_ > 0);
  CHECK(asker.operations_ > 0);
  REQUIRE(result->changes_made.size() == 1);
  CHECK(result->changes_made.front().at > Nanos{});
  CHECK(result->changes_made.front().at < spec.duration);
  REQUIRE(result->sections.size() == 2);
  CHECK(result->sections[0].result.vms[0].policy == "yield");
  CHECK(result->sections[1].result.vms[0].policy == "v2,deboost=off");
  CHECK(result->sections[0].result.window + result->sections[1].result.window == result->window);
}
