#include "tests/soak/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "sched/policy/parse.h"

namespace soak {
namespace {

double in_ms(Nanos t) { return static_cast<double>(t.count()) / 1e6; }

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The ledger and the scheduler's own times account for the window, no more and no less.
void judge_times(const std::string& who, const vmm::VcpuResult& vcpu, Nanos window, Verdict& verdict) {
  const Nanos slack = window / 100 + Nanos{500'000};
  const vmm::Ledger& l = vcpu.ledger;
  if (std::chrono::abs(l.sum() - window) > slack) {
    verdict.wrong.push_back(fmt::format(
        "{}: the ledger adds up to {:.3f} ms of {:.3f} ms: guest {:.3f} spinning {:.3f} waiting {:.3f} "
        "halted {:.3f} exits {:.3f} injection {:.3f} migration {:.3f} stolen {:.3f} stopped {:.3f}",
        who, in_ms(l.sum()), in_ms(window), in_ms(l.guest), in_ms(l.spinning), in_ms(l.waiting),
        in_ms(l.halted), in_ms(l.exits), in_ms(l.injection), in_ms(l.migration), in_ms(l.stolen),
        in_ms(l.stopped)));
  }
  for (const Nanos part :
       {l.guest, l.spinning, l.waiting, l.halted, l.exits, l.injection, l.migration, l.stolen, l.stopped}) {
    if (part < Nanos{})
      verdict.wrong.push_back(fmt::format("{}: a ledger part of {:.3f} ms", who, in_ms(part)));
  }
  const sched::StateTimes& t = vcpu.sched.times;
  const Nanos states = t.running + t.waiting + t.halted + t.stopped;
  if (std::chrono::abs(states - window) > slack) {
    verdict.wrong.push_back(
        fmt::format("{}: its states add up to {:.3f} ms of {:.3f} ms", who, in_ms(states), in_ms(window)));
  }
}

void judge_counts(const std::string& who, const vmm::VcpuResult& vcpu, Verdict& verdict) {
  constexpr uint64_t kSane = uint64_t{1} << 40;  // a difference that went below zero is above it
  const sched::VcpuStats& s = vcpu.sched;
  for (const uint64_t count : {vcpu.operations, vcpu.work_iters >> 8, vcpu.spin_pauses, vcpu.ipis_sent,
                               vcpu.ipis_acked, vcpu.wakeups,         vcpu.exits,       vcpu.kicks,
                               s.switches_in,   s.preemptions,        s.migrations,     s.wakeups,
                               s.spin_exits,    s.yields_tried,       s.yields_local,   s.yields_remote,
                               s.pulls,         s.penalties,          s.credits,        s.ipis_sent,
                               s.eois,          s.yield_hits,         s.yield_misses,   s.yield_harmful}) {
    if (count > kSane)
      verdict.wrong.push_back(fmt::format("{}: a counter went backwards: {:#x}", who, count));
  }
}

// Without a pause outside the lock its owner is nearly always taken off as its owner, and is the first to see
// it free: with a lock that is not fair the others may never get it.
bool one_may_have_it_all(const vmm::VmSpec& vm) {
  return vm.guest == "lock" && vm.workload.lock_kind == KVMUX_LOCK_TTAS && vm.workload.think_ns == 0;
}

// Who sends nothing only thinks, and counts no operations.
bool thinks_of_nothing(const vmm::VmSpec& vm, size_t vcpu) {
  const kvmux_workload& w = vm.workload;
  return vm.guest == "ipi" && w.senders != 0 && vcpu >= w.senders && w.think_ns == 0;
}

bool has_worked(const vmm::VcpuResult& vcpu) { return vcpu.operations != 0 || vcpu.work_iters != 0; }

bool should_work(const vmm::VmSpec& vm, const vmm::VmResult& result, size_t vcpu) {
  if (one_may_have_it_all(vm) && std::any_of(result.vcpus.begin(), result.vcpus.end(), has_worked))
    return false;
  if (thinks_of_nothing(vm, vcpu)) return false;
  const bool odd_one_out = vm.guest == "pingpong" && vm.vcpus % 2 == 1 && vcpu + 1 == vm.vcpus;
  return !odd_one_out;
}

void judge_worker(const std::string& who, const vmm::VmSpec& spec, const vmm::VmResult& vm,
                  Verdict& verdict) {
  if (contains(vm.failure, "never started")) {
    verdict.not_yet.push_back(vm.failure);
    return;
  }
  if (!vm.failure.empty()) verdict.wrong.push_back(who + " works and failed: " + vm.failure);
  if (vm.exit_code) verdict.wrong.push_back(fmt::format("{} works and ended with {}", who, *vm.exit_code));
  for (const vmm::CheckResult& check : vm.checks) {
    if (!check.ok) verdict.wrong.push_back(fmt::format("{}: '{}' failed ({})", who, check.name, check.value));
  }
  for (size_t i = 0; i < vm.vcpus.size(); ++i) {
    const vmm::VcpuResult& vcpu = vm.vcpus[i];
    if (vcpu.guest_errors > 0) {
      verdict.wrong.push_back(fmt::format("{}/vcpu{}: {} guest errors", who, i, vcpu.guest_errors));
    }
    if (!has_worked(vcpu) && should_work(spec, vm, i)) {
      const sched::StateTimes& t = vcpu.sched.times;
      verdict.not_yet.push_back(
          fmt::format("{}/vcpu{} ({}): no work in the window; running {:.1f} waiting {:.1f} halted {:.1f} "
                      "stopped {:.1f} ms, "
                      "worst wait {:.1f} ms, {} spin exits",
                      who, i, spec.guest, in_ms(t.running), in_ms(t.waiting), in_ms(t.halted),
                      in_ms(t.stopped), in_ms(vcpu.sched.worst_wait), vcpu.sched.spin_exits));
    }
  }
}

void judge_hostile(const std::string& who, const Member& member, const vmm::VmResult& vm, Verdict& verdict) {
  if (vm.failure.empty() || contains(vm.failure, "never started")) {
    verdict.not_yet.push_back(who + " should fail with '" + member.says + "', and says: " + vm.failure);
    return;
  }
  for (const std::string& part : {who + "/vcpu1: ", std::string{" at RIP 0x"}, member.says}) {
    if (!contains(vm.failure, part)) {
      verdict.wrong.push_back(fmt::format("{} says '{}', without '{}'", who, vm.failure, part));
    }
  }
}

// No more time on workers than there is.
void judge_total(const Machine& machine, const vmm::RunResult& result, Verdict& verdict) {
  if (sched::is_host_queue(machine.spec.vms.front().policy.features.queue)) return;
  Nanos on_workers{};
  for (const vmm::VmResult& vm : result.vms) {
    for (const vmm::VcpuResult& vcpu : vm.vcpus) on_workers += vcpu.sched.times.running;
  }
  const Nanos limit = machine.spec.workers * (result.window + result.window / 100 + Nanos{500'000});
  if (on_workers > limit) {
    verdict.wrong.push_back(fmt::format("vCPUs ran for {:.3f} ms on {} workers in {:.3f} ms",
                                        in_ms(on_workers), machine.spec.workers, in_ms(result.window)));
  }
}

void judge_window(const Machine& machine, const vmm::RunSpec& spec, const vmm::RunResult& result,
                  Verdict& verdict) {
  bool all_may_end = true;
  for (const Member& member : machine.members) all_may_end = all_may_end && member.role != Role::kWorks;
  if (result.window > spec.duration + ms(20'000)) {
    verdict.wrong.push_back(
        fmt::format("the window is {:.0f} ms long, not {:.0f}", in_ms(result.window), in_ms(spec.duration)));
  }
  if (result.window < spec.duration && !result.interrupted && !all_may_end) {
    verdict.wrong.push_back(
        fmt::format("the window is {:.3f} ms long, not {:.0f}", in_ms(result.window), in_ms(spec.duration)));
  }
}

bool sleeps(const vmm::VcpuResult& vcpu, Nanos window) {
  return vcpu.sched.times.halted + vcpu.sched.times.stopped > window / 2;
}

// Other processes had most of the CPU time and left nothing idle, and nobody who should work slept. (A
// wake-up that was lost, or a vCPU that waits while workers sleep, is no such case.)
bool host_took_it(const Machine& machine, const vmm::RunResult& result, const CpuUse& use) {
  const int64_t cpus =
      std::min<int64_t>(machine.spec.workers, std::max(1u, std::thread::hardware_concurrency()));
  if (use.ours > result.window * cpus / 2 || use.idle > result.window * cpus / 5) return false;
  for (size_t i = 0; i < result.vms.size(); ++i) {
    const vmm::VmResult& vm = result.vms[i];
    for (size_t v = 0; v < vm.vcpus.size(); ++v) {
      const bool idle = vm.vcpus[v].operations == 0 && vm.vcpus[v].work_iters == 0;
      const bool works = machine.members[i].role == Role::kWorks && should_work(machine.spec.vms[i], vm, v);
      if (idle && works && sleeps(vm.vcpus[v], result.window)) return false;
    }
  }
  return true;
}

}  // namespace

Verdict judge(const Machine& machine, const vmm::RunSpec& spec, const vmm::RunResult& result,
              const CpuUse& use) {
  Verdict verdict;
  if (result.vms.size() != machine.members.size()) {
    verdict.wrong.push_back(
        fmt::format("{} VMs in the result, {} asked for", result.vms.size(), machine.members.size()));
    return verdict;
  }
  verdict.host_took_it = host_took_it(machine, result, use);
  judge_window(machine, spec, result, verdict);
  judge_total(machine, result, verdict);
  for (size_t i = 0; i < result.vms.size(); ++i) {
    const vmm::VmResult& vm = result.vms[i];
    const std::string who = fmt::format("vm{}", i);
    for (size_t v = 0; v < vm.vcpus.size(); ++v) {
      const std::string vcpu = fmt::format("{}/vcpu{}", who, v);
      judge_times(vcpu, vm.vcpus[v], result.window, verdict);
      if (machine.members[i].role == Role::kWorks) judge_counts(vcpu, vm.vcpus[v], verdict);
    }
    switch (machine.members[i].role) {
      case Role::kWorks:
        judge_worker(who, spec.vms[i], vm, verdict);
        break;
      case Role::kMustFail:
        judge_hostile(who, machine.members[i], vm, verdict);
        break;
      case Role::kStorms:
        break;
    }
  }
  return verdict;
}

}  // namespace soak
