// What the driver's vCPUs do: their programs' steps, spin exits and interrupts.
#include <doctest/doctest.h>

#include <utility>

#include "property_driver.h"

namespace sched_test {

Driver::Next Driver::step(uint32_t worker, Guest& g) {
  const VcpuId me = workers_[worker].running;
  switch (g.behaviour) {
    case Behaviour::kYieldsTight:
      g.left = 20us;
      return spin(worker);
    case Behaviour::kSpins:
      if (g.windows == 0) g.windows = 1 + static_cast<uint32_t>(rng_.below(20));
      g.left = --g.windows == 0 ? up_to(1ms) : kWindow;
      return spin(worker);
    case Behaviour::kSleeps:
      g.left = up_to(3ms);
      push(now_ + up_to(5ms), Kind::kTimer, index_of(me));
      return Next::kHalt;
    case Behaviour::kSleepsAtTick:
      push(now_ + 1us, Kind::kTimer, index_of(me));
      return Next::kHalt;
    case Behaviour::kSendsIpis:
      if (g.sent && g.awaits != 0) {
        g.left = kWindow;
        return spin(worker);
      }
      g.sent = !g.sent;
      if (g.sent) send_ipis(me, g);
      g.left = g.sent ? kWindow : up_to(500us);
      return Next::kGoOn;
    default:
      g.left = kForever;
      return Next::kGoOn;
  }
}

Driver::Next Driver::spin(uint32_t worker) {
  WorkerState& w = workers_[worker];
  const WorkerId id{worker};
  ++spins_;
  const uint64_t before = s_.stats(w.running, now_).penalties;
  const bool off = s_.spin(id, now_, rng_.below(2) == 0);
  const bool limited = s_.policy(s_.vm_of(w.running)).features.deboost == Deboost::kOn;
  if (limited && s_.stats(w.running, now_).penalties != before) {
    must(now_ - w.last_penalty > 6ms, "two penalties within 6 ms on a worker");
    w.last_penalty = now_;
  }
  return off ? Next::kPut : Next::kGoOn;
}

void Driver::send_ipis(VcpuId sender, Guest& g) {
  const VmId vm = s_.vm_of(sender);
  const uint32_t n = static_cast<uint32_t>(plan_.vms[index_of(vm)].vcpus.size());
  VcpuSet receivers(n);
  const uint32_t me = s_.index_in_vm(sender);
  for (uint32_t i = 0; i < n; ++i) {
    if (i == me || rng_.below(2) == 0) continue;
    receivers.insert(i);
    g.awaits |= uint64_t{1} << i;
    Guest& receiver = guest(s_.vcpu_id(vm, i));
    receiver.interrupt = true;
    receiver.senders |= uint64_t{1} << me;
  }
  s_.ipi_sent(vm, {me, IrqVector{0x40}, false, receivers}, now_);
  receivers.for_each([&](uint32_t i) { post(s_.vcpu_id(vm, i)); });
}

// An interrupt is visible in the target's IRR.
void Driver::post(VcpuId target) {
  guest(target).interrupt = true;
  if (s_.interrupt_posted(target, now_) == Scheduler::Posted::kRunning) kick(s_.status(target).worker());
}

// Its handler acknowledges everything at once.
void Driver::take_interrupts(VcpuId vcpu) {
  Guest& g = guest(vcpu);
  s_.interrupts_seen(vcpu);
  if (!g.interrupt) return;
  g.interrupt = false;
  const VmId vm = s_.vm_of(vcpu);
  const uint64_t me = uint64_t{1} << s_.index_in_vm(vcpu);
  for (uint64_t senders = std::exchange(g.senders, 0); senders != 0; senders &= senders - 1) {
    guest(s_.vcpu_id(vm, static_cast<uint32_t>(__builtin_ctzll(senders)))).awaits &= ~me;
  }
  s_.eoi(vcpu, IrqVector{0x40}, now_);
}

}  // namespace sched_test
