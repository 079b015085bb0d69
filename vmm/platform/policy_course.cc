#include "vmm/platform/policy_course.h"

#include <utility>

#include "vmm/run/window.h"
#include "vmm/stats/metrics.h"

namespace vmm {

PolicyCourse::PolicyCourse(const BootSpec& spec, Engine& engine, Vm& vm, Nanos start,
                           Observation& observation)
    : spec_(spec),
      engine_(engine),
      vm_(vm),
      observation_(observation),
      start_(start),
      since_(start),
      policy_(spec.policy.name),
      uses_(vm.vcpu_count()) {}

Nanos PolicyCourse::next() const {
  return done_ < spec_.changes.size() ? start_ + spec_.changes[done_].at : sched::kForever;
}

void PolicyCourse::look(Nanos now) {
  if (now >= next()) {
    const std::vector<VmChange>& vms = spec_.changes[done_++].vms;
    change(vms);
    observation_.changed(vms);
  }
  if (const auto asked_for = observation_.take_change()) change(*asked_for);
}

void PolicyCourse::change(std::span<const VmChange> vms) {
  engine_.pause();
  close(monotonic_now());
  engine_.change_policies(vms, monotonic_now());
  policy_ = vms.front().policy.name;
  engine_.resume();
}

std::vector<BootSection> PolicyCourse::finish() {
  if (spec_.changes.empty() && sections_.empty()) return {};
  engine_.pause();
  close(monotonic_now());
  engine_.resume();
  return std::move(sections_);
}

void PolicyCourse::close(Nanos now) {
  BootSection section{
      .policy = policy_, .from = since_ - start_, .to = now - start_, .ledger = {}, .sched = {}};
  for (uint32_t i = 0; i < uses_.size(); ++i) {
    const Engine::VcpuUse use = engine_.vcpu_use(vm_.vcpu(VcpuIndex{i}), now);
    const Ledger ledger = ledger_between(uses_[i], use);
    for (const LedgerColumn& column : ledger_columns()) section.ledger.*column.field += ledger.*column.field;
    section.sched.spin_exits += use.sched.spin_exits - uses_[i].sched.spin_exits;
    section.sched.switches_in += use.sched.switches_in - uses_[i].sched.switches_in;
    uses_[i] = use;
  }
  since_ = now;
  sections_.push_back(std::move(section));
}

}  // namespace vmm
