// Tiny guests whose vCPUs will never run again end at once and say where they are; those that only sleep do
// not.
#include "tests/kvm/real_run.h"
#include "vmm/run/clock.h"

using namespace kvm_test;
using namespace vmm;

namespace {

// Keeps the vCPU's index in rsi.
#define SAYS_RUNNING "mov 0x48(%rdi), %rax\n mov %rsi, %rcx\n shl $12, %rcx\n movq $1, (%rax, %rcx)\n"

GUEST_CODE(all_deaf, SAYS_RUNNING "cli\n hlt\n 1: jmp 1b");
GUEST_CODE(all_listening, SAYS_RUNNING "sti\n hlt\n 1: jmp 1b");
// vCPU 1 stops by itself, vCPU 0 halts.
GUEST_CODE(one_stops, SAYS_RUNNING
           "cli\n test %rsi, %rsi\n jz 1f\n mov $0xfed80000, %ebx\n movq $0, 0x18(%rbx)\n 1: hlt\n jmp 1b");
GUEST_CODE(one_works, SAYS_RUNNING "cli\n test %rsi, %rsi\n jz 1f\n hlt\n 1: jmp 1b");
// vCPU 0 arms its LAPIC timer for minutes (xAPIC, divided by 128) and halts; vCPU 1 is deaf.
GUEST_CODE(
    long_timer, SAYS_RUNNING
    "test %rsi, %rsi\n jnz 1f\n mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n movl $0xa, 0x3e0(%rbx)\n"
    "movl $0x40, 0x320(%rbx)\n movl $0xf0000000, 0x380(%rbx)\n sti\n hlt\n 1: cli\n hlt\n jmp 1b");

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

std::vector<const char*> policies() {
  std::vector<const char*> all{"fair", "kvmux", "host"};
  if (system() && system()->capabilities().has(KVM_CAP_SPLIT_IRQCHIP)) all.push_back("host-kvm");
  return all;
}

VmResult result_of(std::span<const uint8_t> code, const char* policy, Nanos duration) {
  const GuestFile guest(code);
  RunSpec spec = short_run(duration);
  add_vm(spec, guest.path(), 2, policy);
  return run_it(spec).vms[0];
}

}  // namespace

TEST_CASE("a guest whose vCPUs have all halted for good ends at once and says where") {
  REQUIRE_KVM(system);
  constexpr Nanos kLong = ms(300'000);
  for (const char* policy : policies()) {
    CAPTURE(policy);
    const Nanos from = monotonic_now();
    const VmResult deaf = result_of(all_deaf(), policy, kLong);
    CAPTURE(deaf.failure);
    CHECK(contains(deaf.failure,
                   "no vCPU will ever run again: vCPU 0 halted with interrupts off at RIP 0x1000"));
    CHECK(contains(deaf.failure, "; vCPU 1 halted with interrupts off at RIP 0x1000"));
    const VmResult listening = result_of(all_listening(), policy, kLong);
    CAPTURE(listening.failure);
    CHECK(contains(listening.failure, "vCPU 1 halted with interrupts on at RIP 0x1000"));
    CHECK(contains(listening.failure, "no timer armed"));
    const VmResult stopped = result_of(one_stops(), policy, kLong);
    CAPTURE(stopped.failure);
    CHECK(contains(stopped.failure, "vCPU 0 halted with interrupts off"));
    CHECK(contains(stopped.failure, "vCPU 1 stopped by itself"));
    CHECK(monotonic_now() - from < ms(120'000));  // seconds, on a busy host
  }
}

TEST_CASE("a guest that sleeps on a long timer, or of which one vCPU works, is left alone") {
  REQUIRE_KVM(system);
  for (const char* policy : policies()) {
    CAPTURE(policy);
    CHECK(result_of(long_timer(), policy, ms(900)).failure == "");
    CHECK(result_of(one_works(), policy, ms(500)).failure == "");
  }
}

TEST_CASE("a VM that fell silent ends alone") {
  REQUIRE_KVM(system);
  const GuestFile guest(all_deaf());
  RunSpec spec = short_run(ms(1'500));
  add_vm(spec, "compute", 2);
  add_vm(spec, guest.path(), 2);
  const RunResult result = run_it(spec);
  check_healthy(result.vms[0]);
  CHECK(contains(result.vms[1].failure, "no vCPU will ever run again"));
}

namespace {

// Beside one that computes and one that runs but counts nothing. The sleeper must be asleep before the window
// begins: the warm-up is for that.
RunResult beside_sleeper(const char* policy, Nanos warmup) {
  const GuestFile sleeper(long_timer());
  const GuestFile worker(one_works());
  RunSpec spec = short_run(ms(700));
  spec.warmup = warmup;
  add_vm(spec, sleeper.path(), 2, policy);
  add_vm(spec, "compute", 1, policy);
  add_vm(spec, worker.path(), 2, policy);
  return run_it(spec);
}

}  // namespace

TEST_CASE("a VM that got nowhere in the whole window is named, and is no failure") {
  REQUIRE_KVM(system);
  constexpr Nanos kMost = ms(4'000);  // a busy host starts late
  for (const std::string policy : policies()) {
    CAPTURE(policy);
    Nanos warmup = ms(250);
    RunResult result = beside_sleeper(policy.c_str(), warmup);
    for (; result.vms[0].note.empty() && warmup < kMost; warmup *= 2)
      result = beside_sleeper(policy.c_str(), 2 * warmup);
    for (const VmResult& vm : result.vms) CHECK(vm.failure == "");
    CAPTURE(result.vms[0].note);
    CHECK(contains(result.vms[0].note, "its vCPUs slept through the whole window of "));
    CHECK(contains(result.vms[0].note, "vCPU 0 halted with interrupts on at RIP 0x1000"));
    CHECK(contains(result.vms[0].note, ", its timer "));
    CHECK(!contains(result.vms[1].note, "slept"));
    CHECK(result.vms[2].note == "");
  }
}
