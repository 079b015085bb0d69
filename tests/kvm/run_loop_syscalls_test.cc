// What a doorbell exit costs on the run loop, counted: system calls (by tracing a process that runs the
// loop), allocations and locks.
#include <fmt/format.h>
#include <linux/kvm.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <map>
#include <semaphore>
#include <set>

#include "sched/policy/parse.h"
#include "tests/kvm/code_vm.h"
#include "tests/kvm/counted_calls.h"
#include "tests/kvm/guest_code.h"
#include "tests/kvm/require_kvm.h"
#include "vmm/run/machine.h"

using namespace vmm;

namespace {

// vCPU 0 rings for ever while vCPU 1 sleeps; or both ring.
#define BELLS GUEST_TO_USER(0x202) "1: movq $0, (%rbx)\n jmp 1b"
GUEST_CODE(ring_alone, GUEST_BELL_IN_RBX "test %rsi, %rsi\n jz 2f\n 3: cli\n hlt\n jmp 3b\n 2:\n" BELLS);
GUEST_CODE(ring_both, GUEST_BELL_IN_RBX BELLS);

constexpr uint32_t kVcpus = 2;
constexpr uint64_t kExits = 400;
constexpr long kMark = SYS_getcpu;  // made by nothing else here: the C library asks the vDSO

// Answers every doorbell the same way. Between its kSkipped-th and the kExits after that it counts what its
// worker's thread does, and makes the mark at both ends.
class MarkingBoard final : public Board {
 public:
  explicit MarkingBoard(Next answer) : answer_(answer) {}

  Next mmio_write(Vcpu&, Gpa, std::span<const uint8_t>) override {
    ++seen_;
    if (seen_ == kSkipped) {
      ::syscall(kMark);
      start_ = kvm_test::calls_of_this_thread();
    }
    if (seen_ == kSkipped + kExits) {
      end_ = kvm_test::calls_of_this_thread();
      ::syscall(kMark);
      done_.release();
    }
    return answer_;
  }
  void wait() { done_.acquire(); }
  kvm_test::Calls calls() const { return {end_.allocations - start_.allocations, end_.locks - start_.locks}; }

  void ipi(Vcpu&, const apic::IpiRequest&) override {}
  void end_of_interrupt(Vcpu&, const apic::EndOfInterrupt&) override {}
  Next port_read(Vcpu&, uint16_t, std::span<uint8_t>) override { return Next::kStopVm; }
  Next port_write(Vcpu&, uint16_t, std::span<const uint8_t>) override { return Next::kStopVm; }
  Next mmio_read(Vcpu&, Gpa, std::span<uint8_t>) override { return Next::kStopVm; }
  bool complete_instruction(Vcpu&) override { return false; }
  void fail(const Vcpu&, const std::string&) override {}

 private:
  static constexpr uint64_t kSkipped = 1000;  // until vCPU 1 of ring_alone sleeps

  const Next answer_;
  uint64_t seen_ = 0;
  kvm_test::Calls start_;
  kvm_test::Calls end_;
  std::binary_semaphore done_{0};
};

struct Path {
  const char* policy;
  std::span<const uint8_t> guest;
  Next answer;
};

sched::Setup one_worker(const char* policy) {
  sched::Setup setup;
  setup.workers = 1;
  sched::VmSetup vm;
  vm.vcpus = kVcpus;
  vm.policy = *sched::parse_policy(policy);
  setup.tuning = vm.policy.tuning;
  setup.vms.push_back(std::move(vm));
  return setup;
}

// Runs the path through its marks; false: it could not be set up.
bool walk(const System& system, const Path& path, kvm_test::Calls& calls) {
  auto vm = kvm_test::make_code_vm(system, path.guest, kVcpus);
  if (!vm) return false;
  Machine machine(one_worker(path.policy), Nanos{});
  MarkingBoard board(path.answer);
  machine.add({vm->get(), &board});
  if (!machine.start()) return false;
  board.wait();
  machine.stop();
  calls = board.calls();
  return true;
}

kvm_test::Calls calls_on(const System& system, const Path& path) {
  kvm_test::Calls calls;
  REQUIRE(walk(system, path, calls));
  return calls;
}

// System calls between the marks, by number; KVM_RUN apart from other ioctls. The thread's CPU time is left
// out: after a stretch in the guest that the host may have cut (StolenTime::kLongStretch) it is asked for,
// and tracing makes stretches long. calls_on() counts it without a tracer.
struct Syscalls {
  uint64_t kvm_run = 0;
  std::map<long, uint64_t> others;
  int marks = 0;
  bool traceable = true;
};

class Tracer {
 public:
  Syscalls follow(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);  // stopped by itself
    if (!WIFSTOPPED(status)) return {.kvm_run = 0, .others = {}, .marks = 0, .traceable = false};
    constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    ::ptrace(PTRACE_SETOPTIONS, child, nullptr, kOptions);
    known_.insert(child);
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    for (pid_t thread = 0; (thread = ::waitpid(-1, &status, __WALL)) > 0;) {
      if (WIFSTOPPED(status)) ::ptrace(PTRACE_SYSCALL, thread, nullptr, on_stop(thread, status));
    }
    return found_;
  }

 private:
  // The signal to go on with.
  long on_stop(pid_t thread, int status) {
    constexpr int kSyscallStop = SIGTRAP | 0x80;
    const int signal = WSTOPSIG(status);
    const bool is_new = known_.insert(thread).second;
    if (signal == kSyscallStop) {
      note_syscall(thread);
      return 0;
    }
    if (signal == SIGTRAP || (is_new && signal == SIGSTOP)) return 0;  // a clone, and its first stop
    return signal;
  }

  void note_syscall(pid_t thread) {
    __ptrace_syscall_info info{};
    ::ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO), thread, sizeof(info), &info);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
    const long number = static_cast<long>(info.entry.nr);
    if (number == kMark) {
      ++found_.marks;
      marked_ = marked_ == thread ? 0 : thread;
    } else if (marked_ == thread) {
      if (number == SYS_ioctl && info.entry.args[1] == KVM_RUN) {
        ++found_.kvm_run;
      } else if (number != SYS_clock_gettime || info.entry.args[0] != CLOCK_THREAD_CPUTIME_ID) {
        ++found_.others[number];
      }
    }
  }

  Syscalls found_;
  std::set<pid_t> known_;
  pid_t marked_ = 0;  // the thread between its marks
};

Syscalls syscalls_on(const System& system, const Path& path) {
  constexpr unsigned kTimeLimit = 30;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(kTimeLimit);
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
    ::raise(SIGSTOP);
    kvm_test::Calls calls;
    ::_exit(walk(system, path, calls) ? 0 : 1);
  }
  return Tracer().follow(child);
}

const Path kPlain{"kvmux", ring_alone(), Next::kEnter};
const Path kSpin{"kvmux", ring_alone(), Next::kSpin};
// The relaxed round makes every spin exit a switch. No turn is so short that the timer ends it, and nobody
// looks for a fairer spread of load meanwhile.
const Path kSwitch{"yield,relaxed=on,slice=1s,balance-interval=10s", ring_both(), Next::kSpin};

// Stretches that the host did cut while we counted: each takes the worker's lock once, to discount that.
constexpr uint64_t kDisturbed = kExits / 10;

// Where the host's clock cannot be read without the kernel, every look at it is a call.
bool is_clock(const std::pair<const long, uint64_t>& call) {
  static const bool without_kernel = [] {
    std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    std::string source;
    file >> source;
    return source == "tsc" || source == "kvm-clock" || source == "hyperv_clocksource_tsc_page";
  }();
  return call.first == SYS_clock_gettime && !without_kernel;
}

std::string text_of(const std::pair<const long, uint64_t>& call) {
  return fmt::format("system call {}, {} times", call.first, call.second);
}

}  // namespace

TEST_CASE("a doorbell exit is one KVM_RUN and no other system call") {
  REQUIRE_KVM(system);
  for (const Path* path : {&kPlain, &kSpin}) {
    CAPTURE(path == &kSpin);
    const Syscalls found = syscalls_on(system, *path);
    REQUIRE_OR_SKIP(found.traceable, "processes here may not trace their children (ptrace)");
    CHECK(found.marks == 2);
    CHECK(found.kvm_run == kExits);
    for (const auto& call : found.others) CHECK_MESSAGE(is_clock(call), text_of(call));
  }
}

// A turn that is over long before its timer leaves the timer to the next (vmm/run/arming.h).
TEST_CASE("a vCPU switch adds no system call, a timer_settime now and then excepted") {
  REQUIRE_KVM(system);
  const Syscalls found = syscalls_on(system, kSwitch);
  REQUIRE_OR_SKIP(found.traceable, "processes here may not trace their children (ptrace)");
  CHECK(found.marks == 2);
  CHECK(found.kvm_run == kExits);
  for (const auto& call : found.others) {
    if (is_clock(call)) continue;
    // The tick of a turn that the host has stretched.
    if (call.first == SYS_rt_sigreturn && call.second <= kDisturbed) continue;
    CHECK_MESSAGE(call.first == SYS_timer_settime, text_of(call));
    CHECK(call.second <= kExits / 10);
  }
}

TEST_CASE("an exit allocates nothing, and locks the worker's own queue at most") {
  REQUIRE_KVM(system);
  const kvm_test::Calls plain = calls_on(system, kPlain);
  CHECK(plain.allocations == 0);
  CHECK(plain.locks <= kDisturbed);
  const kvm_test::Calls spin = calls_on(system, kSpin);
  CHECK(spin.allocations == 0);
  const kvm_test::Calls switching = calls_on(system, kSwitch);
  CHECK(switching.allocations == 0);
  for (const kvm_test::Calls* calls : {&plain, &spin, &switching}) CHECK(calls->cpu_clocks <= kDisturbed);
  if (kvm_test::counts_locks()) {
    CHECK(spin.locks >= kExits);  // Scheduler::spin()
    CHECK(spin.locks <= kExits + kDisturbed);
    // spin(), the yield, put() and pick(), each one time, and the timer's own where the tick changes
    CHECK(switching.locks >= 4 * kExits);
    CHECK(switching.locks <= 6 * kExits + kDisturbed);
  }
}
