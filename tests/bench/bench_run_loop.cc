// What the run loop costs on top of KVM: doorbell exits and vCPU switches through vmm/run against bare
// KVM_RUN loops, the creation of VMs, and their memory. Prints one line a figure, with the target beside it.
//
// The bare loop drives the very vCPUs that the machine drives, on the same CPU, while the machine is paused;
// rounds of the two alternate, and the median of the paired ratios counts. Rates are in CPU time of the
// thread that enters the guest, so that whatever else runs on the host disturbs little; that the loop never
// sleeps on this path is what tests/kvm/run_loop_syscalls_test.cc shows.
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <regex>
#include <string>
#include <string_view>

#include "tests/bench/run_loop_contest.h"
#include "tests/kvm/guest_code.h"
#include "vmm/run/handover_cost.h"
#include "vmm/sandbox/sandbox.h"

namespace {

using namespace bench;

// RSI is the vCPU's index. All vCPUs ring without end; `alone`: vCPU 1 sleeps for ever.
#define BELLS "1: movq $0, (%rbx)\n jmp 1b"
#define OTHERS_SLEEP "test %rsi, %rsi\n jz 2f\n 3: cli\n hlt\n jmp 3b\n 2:\n"
GUEST_CODE(bells_at_cpl0, GUEST_BELL_IN_RBX BELLS);
GUEST_CODE(bells_at_cpl3, GUEST_BELL_IN_RBX GUEST_TO_USER(0x202) BELLS);
GUEST_CODE(bells_alone_at_cpl0, GUEST_BELL_IN_RBX OTHERS_SLEEP BELLS);
GUEST_CODE(bells_alone_at_cpl3, GUEST_BELL_IN_RBX OTHERS_SLEEP GUEST_TO_USER(0x202) BELLS);

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int rounds() {
  const char* given = std::getenv("BENCH_ROUNDS");
  const int wanted = given != nullptr ? std::atoi(given) : 0;
  return wanted > 0 ? wanted : 41;
}

// Bells for about 20 ms, so that a round is shorter than most disturbances.
uint64_t bells_a_round(Contest& contest, uint32_t vcpus) {
  constexpr uint64_t kTrial = 500;
  const double each = static_cast<double>(contest.bare(kTrial, vcpus).count()) / kTrial;
  return static_cast<uint64_t>(20e6 / each) + 1;
}

struct Outcome {
  double loop_ns = 0;  // per bell
  double bare_ns = 0;
  double ratio = 0;  // of the times, medians of pairs
  double switches_a_bell = 0;
};

Outcome compete(const System& system, std::span<const uint8_t> code, const char* policy,
                uint32_t bare_vcpus) {
  Contest contest(system, code, policy);
  const uint64_t bells = bells_a_round(contest, bare_vcpus);
  std::vector<double> loop;
  std::vector<double> bare;
  std::vector<double> ratio;
  std::vector<double> switches;
  for (int i = 0; i < rounds(); ++i) {
    double switched = 0;
    const auto run_loop = [&] {
      loop.push_back(static_cast<double>(contest.through_run_loop(bells, switched).count()));
    };
    const auto run_bare = [&] {
      bare.push_back(static_cast<double>(contest.bare(bells, bare_vcpus).count()));
    };
    if (i % 2 == 0) {
      run_loop();
      run_bare();
    } else {
      run_bare();
      run_loop();
    }
    ratio.push_back(loop.back() / bare.back());
    switches.push_back(switched);
  }
  const double n = static_cast<double>(bells);
  return {median(loop) / n, median(bare) / n, median(ratio), median(switches)};
}

void print_line(const std::string& what, const std::string& measured, const std::string& target, bool met) {
  fmt::print("{:<44} {:<46} {:<7} {}\n", what, measured, met ? "met" : "missed", target);
  std::fflush(stdout);
}

void bench_exits(const System& system, const char* where, std::span<const uint8_t> code) {
  constexpr double kTarget = 0.97;
  const Outcome o = compete(system, code, "kvmux", 1);
  const double rate = 1 / o.ratio;
  print_line(fmt::format("doorbell exits/s, {}, run loop : bare", where),
             fmt::format("{:.0f} : {:.0f} = {:.3f}", 1e9 / o.loop_ns, 1e9 / o.bare_ns, rate), "≥ 0.97",
             rate >= kTarget);
}

// What nobody can save who wants to know the CPL of a vCPU that leaves, as Linux's rules of directed yield
// do.
void bench_registers(const System& system, const char* where, std::span<const uint8_t> code) {
  Contest contest(system, code, "yield");
  const uint64_t bells = bells_a_round(contest, 1);
  std::vector<double> rate;
  for (int i = 0; i < rounds(); ++i) {
    const bool first = i % 2 == 0;
    const Nanos one = contest.bare(bells, 1, first);
    const Nanos other = contest.bare(bells, 1, !first);
    const double with = static_cast<double>((first ? one : other).count());
    rate.push_back(static_cast<double>((first ? other : one).count()) / with);
  }
  fmt::print("{:<44} {:.3f}\n", fmt::format("  bare with KVM writing registers : bare, {}", where),
             median(rate));
  std::fflush(stdout);
}

// Siblings that share a worker and do nothing but spin: every exit is a switch. `judged`: against the target.
void bench_switches(const System& system, const char* where, std::span<const uint8_t> code,
                    const char* policy, bool judged) {
  constexpr double kTarget = 1.05;
  const Outcome o = compete(system, code, policy, kVcpus);
  const std::string measured = fmt::format("{:.2f} µs : {:.2f} µs = {:.3f} ({:.2f} switches)",
                                           o.loop_ns / 1e3, o.bare_ns / 1e3, o.ratio, o.switches_a_bell);
  if (judged) {
    print_line(fmt::format("exit and vCPU switch, {}, run loop : bare", where), measured, "≤ 1.05",
               o.ratio <= kTarget && o.switches_a_bell > 0.99);
  } else {
    fmt::print("{:<44} {}\n", fmt::format("  the same under `{}`, {}", policy, where), measured);
    std::fflush(stdout);
  }
}

// Where each vCPU has a thread (vmm/run/carrier.h): on top of a switch.
void bench_handovers() {
  std::vector<double> costs;
  for (int i = 0; i < 5; ++i) {
    if (const auto cost = measure_handover_cost()) costs.push_back(static_cast<double>(cost->count()));
  }
  if (costs.empty()) return;
  fmt::print("{:<44} {:.2f} µs\n", "hand-over of a worker, thread to thread", median(costs) / 1e3);
  std::fflush(stdout);
}

// What the filter of system calls costs an exit. It is put on by the thread of a machine that starts, and
// taken off by nothing: two machines, of which the second starts without.
void bench_sandbox(const System& system) {
  struct Guest {
    const char* where;
    std::span<const uint8_t> code;
    std::unique_ptr<Contest> on;
    std::unique_ptr<Contest> off;
  };
  Guest guests[] = {{"CPL 3", bells_alone_at_cpl3(), nullptr, nullptr},
                    {"CPL 0", bells_alone_at_cpl0(), nullptr, nullptr}};
  if (!sandbox::is_on()) {
    fmt::print("the sandbox: off here, {}\n", sandbox::state().why_off);
    return;
  }
  for (Guest& guest : guests) guest.on = std::make_unique<Contest>(system, guest.code, "kvmux");
  sandbox::switch_off();
  for (Guest& guest : guests) guest.off = std::make_unique<Contest>(system, guest.code, "kvmux");
  for (Guest& guest : guests) {
    const uint64_t bells = bells_a_round(*guest.off, 1);
    std::vector<double> rate;
    for (int i = 0; i < rounds(); ++i) {
      double switched = 0;
      const bool first = i % 2 == 0;
      const Nanos one = (first ? guest.on : guest.off)->through_run_loop(bells, switched);
      const Nanos other = (first ? guest.off : guest.on)->through_run_loop(bells, switched);
      rate.push_back(static_cast<double>((first ? other : one).count()) /
                     static_cast<double>((first ? one : other).count()));
    }
    fmt::print("{:<44} {:.3f}\n", fmt::format("doorbell exits/s, {}, sandbox on : off", guest.where),
               median(rate));
    std::fflush(stdout);
  }
}

// --- creation and memory ---

class NoNotifier final : public Notifier {
 public:
  void interrupt_posted(sched::VcpuId) override {}
  void ipi_sent(VmId, const sched::IpiSend&, const sched::VcpuSet&) override {}
  void eoi(sched::VcpuId, sched::IrqVector) override {}
  void vm_ended(VmId) override {}
};

struct Created {
  double ms_a_vm = 0;
  double kb_a_vm = 0;  // beyond guest memory
};

double resident_kb() {
  std::ifstream statm("/proc/self/statm");
  double size = 0;
  double resident = 0;
  statm >> size >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1024;
}

Created create_here(const System& system, uint32_t vms, uint32_t vcpus) {
  NoNotifier notifier;
  Console console{write_lines_to(1)};
  VmSpec spec;
  spec.guest = "compute";
  spec.vcpus = vcpus;
  const Calibration calibration{.delay_iters_per_ms = 1e6, .pauses_per_ms = 1e4, .exit_cost = {}};
  std::vector<TinyVm> all;
  all.reserve(vms);
  const double before_kb = resident_kb();
  const Nanos before = monotonic_now();
  for (uint32_t i = 0; i < vms; ++i) {
    VmOptions options;
    options.id = VmId{i};
    all.push_back(need(make_tiny_vm(
        system,
        {.options = options, .first = sched::VcpuId{i * vcpus}, .spec = spec, .calibration = calibration},
        notifier, console)));
  }
  const Nanos time = monotonic_now() - before;
  double beyond = resident_kb() - before_kb;
  for (const TinyVm& tiny : all) beyond -= static_cast<double>(tiny.vm->memory().size()) / 1024;
  return {std::chrono::duration<double, std::milli>(time).count() / vms, beyond / vms};
}

// In a process of its own, whose heap and page tables nothing has filled yet.
Created create(const System& system, uint32_t vms, uint32_t vcpus) {
  int ends[2];
  if (::pipe(ends) != 0) give_up("pipe");
  const pid_t child = ::fork();
  if (child < 0) give_up("fork");
  if (child == 0) {
    const Created created = create_here(system, vms, vcpus);
    const bool told = ::write(ends[1], &created, sizeof(created)) == sizeof(created);
    ::_exit(told ? 0 : 1);
  }
  ::close(ends[1]);
  Created created;
  const bool heard = ::read(ends[0], &created, sizeof(created)) == sizeof(created);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  if (!heard) give_up("the process that creates VMs failed");
  return created;
}

void bench_creation(const System& system) {
  constexpr uint32_t kVms = 64;
  constexpr uint32_t kFew = 2;
  constexpr uint32_t kMany = 18;
  constexpr int kTimes = 9;
  std::vector<double> ms;
  std::vector<double> few_kb;
  std::vector<double> many_kb;
  for (int i = 0; i < kTimes; ++i) {
    const Created few = create(system, kVms, kFew);
    ms.push_back(few.ms_a_vm);
    few_kb.push_back(few.kb_a_vm);
    many_kb.push_back(create(system, kVms / 4, kMany).kb_a_vm);
  }
  const double a_vcpu = (median(many_kb) - median(few_kb)) / (kMany - kFew);
  const double a_vm = median(few_kb) - kFew * a_vcpu;
  print_line("creating 64 VMs × 2 vCPUs", fmt::format("{:.2f} ms a VM", median(ms)), "≤ 1 ms",
             median(ms) <= 1);
  print_line("RSS a VM beyond guest memory", fmt::format("{:.0f} KB", a_vm), "≤ 100 KB", a_vm <= 100);
  print_line("RSS a vCPU", fmt::format("{:.1f} KB", a_vcpu), "≤ 20 KB", a_vcpu <= 20);
}

void pin_to_first_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(allowed_cpus().front()), &set);
  ::pthread_setaffinity_np(::pthread_self(), sizeof(set), &set);
}

// An argument picks benchmarks by a regular expression for their names: creation, exits, switches, sandbox.
bool wanted(int count, char** arguments, const std::string& name) {
  if (count < 2) return true;
  try {
    return std::regex_search(name, std::regex(arguments[1]));
  } catch (const std::regex_error& error) {
    give_up(fmt::format("{} is no regular expression: {}", arguments[1], error.what()));
  }
}

}  // namespace

int main(int count, char** arguments) {
  const auto system = System::open();
  if (!system) {
    fmt::print("run loop: skipped, {}\n", system.error().text());
    return 0;
  }
  if (wanted(count, arguments, "creation")) bench_creation(*system);
  pin_to_first_cpu();  // the machine's only worker goes there, too
  if (wanted(count, arguments, "exits")) {
    bench_exits(*system, "CPL 3", bells_alone_at_cpl3());
    bench_registers(*system, "CPL 3", bells_alone_at_cpl3());
    bench_exits(*system, "CPL 0", bells_alone_at_cpl0());
    bench_registers(*system, "CPL 0", bells_alone_at_cpl0());
  }
  if (wanted(count, arguments, "switches")) {
    // With registers for the CPL, and by the relaxed round, without which `yield` would switch less often.
    const char* with_registers = "yield,relaxed=on";
    bench_switches(*system, "CPL 3", bells_at_cpl3(), "kvmux", true);
    bench_switches(*system, "CPL 3", bells_at_cpl3(), with_registers, false);
    bench_switches(*system, "CPL 0", bells_at_cpl0(), "kvmux", true);
    bench_switches(*system, "CPL 0", bells_at_cpl0(), with_registers, false);
  }
  if (wanted(count, arguments, "handover")) bench_handovers();
  if (wanted(count, arguments, "sandbox")) bench_sandbox(*system);  // the last: it is off from then on
  return 0;
}
