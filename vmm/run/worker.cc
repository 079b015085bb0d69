#include "vmm/run/worker.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <future>
#include <utility>

#include "vmm/run/entry.h"
#include "vmm/run/exit.h"
#include "vmm/run/handicap.h"
#include "vmm/run/spin_sample.h"

namespace vmm {
namespace {

constexpr unsigned kRingEntries = 256;
thread_local Worker* this_worker = nullptr;

}  // namespace

Worker* Worker::current() { return this_worker; }

Result<std::unique_ptr<Worker>> Worker::start(sched::WorkerId id, const WorkerContext& context) {
  auto worker = std::unique_ptr<Worker>(new Worker(id, context));
  std::promise<Result<void>> ready;
  auto set_up = ready.get_future();
  worker->thread_ = std::thread([&worker = *worker, ready = std::move(ready)]() mutable {
    Result<void> result = worker.set_up();
    const bool good = result.has_value();
    ready.set_value(std::move(result));
    if (good) worker.loop();
    worker.attention_.tear_down();  // on the thread that it signals
  });
  if (auto result = set_up.get(); !result) return Failure(result.error());
  return worker;
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

Result<void> Worker::set_up() {
  this_worker = this;
  thread_id_ = os_thread_id();
  stolen_.emplace();
  const std::array cpus{context_.rotation.cpu_of(id_)};
  if (auto settled = settle_thread(fmt::format("kvmux-w{}", index_of(id_)), cpus); !settled) return settled;
  auto ring = Ring::create(kRingEntries);
  if (!ring) return Failure(ring.error());
  ring_ = std::move(*ring);
  return attention_.set_up();
}

void Worker::kick(uint32_t reasons) {
  attention_.ask(reasons, this_worker == this,
                 [&] { ring_->wake(this_worker != nullptr ? this_worker->ring_.get() : nullptr); });
}

Vcpu& Worker::vcpu_of(sched::VcpuId id) const {
  const VmId vm = context_.scheduler.vm_of(id);
  return context_.vms[index_of(vm)].vm->vcpu(VcpuIndex{context_.scheduler.index_in_vm(id)});
}

// Why others want this worker; a move to another CPU is done at once.
uint32_t Worker::take_reasons() {
  const uint32_t reasons = attention_.take();
  if ((reasons & kMove) != 0) {
    const std::array cpus{context_.rotation.cpu_of(id_)};
    (void)bind_thread(cpus);  // where that CPU has gone offline, we stay
  }
  return reasons;
}

// pick → run its stay → again.
void Worker::loop() {
  for (;;) {
    const uint32_t reasons = take_reasons();
    if ((reasons & kStop) != 0) return;
    if ((reasons & kGate) != 0) {
      const Nanos from = monotonic_now();
      context_.gate.pass();
      stolen_->slept(monotonic_now() - from);
      continue;  // it may have been closed to stop us
    }
    ring_->drain([this](Ring::Token token) { on_event(token); });
    const Nanos now = monotonic_now();
    if (const auto turn = context_.scheduler.pick(id_, now)) {
      host(VcpuLease(vcpu_of(turn->vcpu)), now);
    } else {
      wait_for_work();
    }
  }
}

// One vCPU's stay on this worker, from its choice to its departure.
void Worker::host(VcpuLease vcpu, Nanos now) {
  const Nanos came = now;
  auto* const running = context_.vms[index_of(vcpu->vm)].vcpus_running;
  if (running != nullptr) running->fetch_add(1, std::memory_order_relaxed);
  const Departure departure = stay(*vcpu, now);
  if (running != nullptr) running->fetch_sub(1, std::memory_order_relaxed);
  const Nanos left = now;
  busy_ += left - came;
  const bool in_kernel = is_in_kernel(*vcpu);
  const bool deaf = vcpu->halted_deaf || vcpu->waiting_for_sipi;
  const Vcpu& left_behind = *vcpu;
  const sched::VcpuId id = vcpu->id;
  vcpu.release();
  // From here on another worker may hold it; what any thread may ask may still be asked.
  switch (departure) {
    case Departure::kPut:
      return context_.scheduler.put(id_, left, in_kernel);
    case Departure::kStop:
      return context_.scheduler.stop(id_, left);
    case Departure::kHalt:
      context_.scheduler.halt(id_, left);
      // The halting side of the protocol in sched/base/status.h: state first, then one more look.
      if (deaf ? left_behind.lapic.has_event() : left_behind.has_deliverable())
        context_.notifier.interrupt_posted(id);
      return;
  }
}

// `now`: when it came; then, when it left. Read twice an exit, and once an entry that injects: the tenth of a
// microsecond that the others take counts as the guest's.
Worker::Departure Worker::stay(Vcpu& vcpu, Nanos& now) {
  const RunningVm& vm = context_.vms[index_of(vcpu.vm)];
  for (;;) {
    if (ring_->has_events()) ring_->drain([this](Ring::Token token) { on_event(token); });
    if (vm.vm->ended()) return Departure::kStop;
    if (turn_over(vcpu, now)) return Departure::kPut;

    context_.scheduler.interrupts_seen(vcpu.id);
    const uint64_t injections = vcpu.account.injections;
    const Entry entry = prepare_entry(vcpu, now);
    if (std::exchange(vcpu.was_reset, false)) context_.scheduler.reset(vcpu.id);
    keep_timer(vcpu, now);
    if (entry == Entry::kAsleep) return Departure::kHalt;
    const Nanos entered = vcpu.account.injections != injections ? monotonic_now() : now;
    vcpu.account.entry += entered - now;
    const int error = attention_.run(vcpu.kvm);
    const Nanos exited = monotonic_now();
    vcpu.account.guest += exited - entered;
    note_cr8(vcpu);
    burn_handicap(exited - entered, vm.handicap_percent);
    if (exited - entered >= StolenTime::kWorthAsking) excuse_stolen(vcpu, exited - entered);
    const bool kicked = error == EINTR || error == EAGAIN;
    ++(kicked ? vcpu.account.kick_count : vcpu.account.exit_count);
    if (error != 0 && !kicked) {
      vm.board->fail(vcpu, fmt::format("KVM_RUN: {} at {}", ::strerror(error), where(vcpu)));
      return Departure::kStop;
    }
    const Next next = kicked ? Next::kEnter : handle_exit(vcpu, vcpu.kvm.area(), *vm.board, exited);
    now = monotonic_now();
    vcpu.account.exits += now - exited;
    if (const auto departure = after_exit(vcpu, next, now)) return *departure;
  }
}

bool Worker::is_in_kernel(const Vcpu& vcpu) const {
  return needs_cpl(context_.scheduler.policy(vcpu.vm).features) && vcpu.kvm.cpl() == 0;
}

// What the host took of this stretch in the guest is not the vCPU's doing.
void Worker::excuse_stolen(Vcpu& vcpu, Nanos in_guest) {
  const Nanos lost = stolen_->take(in_guest);
  if (lost == Nanos{}) return;
  vcpu.account.stolen += lost;
  context_.scheduler.excuse(id_, lost);
}

// Nothing: it stays.
std::optional<Worker::Departure> Worker::after_exit(Vcpu& vcpu, Next next, Nanos now) {
  switch (next) {
    case Next::kEnter:
      return std::nullopt;
    case Next::kHalt:
      if (vcpu.has_deliverable()) return std::nullopt;  // the next entry takes it
      // Its timer must be known to a ring before nobody looks at it any more.
      keep_timer(vcpu, now);
      return Departure::kHalt;
    case Next::kSpin:
      if (!context_.scheduler.spin(id_, now, is_in_kernel(vcpu), vcpu.wait)) return std::nullopt;
      return Departure::kPut;
    case Next::kSent:
      if (!context_.scheduler.sent(id_, now)) return std::nullopt;
      return Departure::kPut;
    case Next::kStopVcpu:
    case Next::kStopVm:
      return Departure::kStop;
  }
  return std::nullopt;
}

// Looks at what came in since the last look. True: the vCPU's turn is over, or the worker is wanted
// elsewhere.
bool Worker::turn_over(Vcpu& vcpu, Nanos now) {
  if (context_.rotation.due(now)) {
    // With a tick: should a timer's signal ever be lost (ThreadSanitizer keeps one pending signal of a
    // number), no vCPU is left running for good.
    for (const auto& worker : context_.workers) worker->kick(kMove | kTick);
  }
  const uint32_t reasons = take_reasons();
  if ((reasons & (kGate | kStop)) != 0) {
    attention_.put_back(reasons & (kGate | kStop));  // for loop()
    return true;
  }
  const bool timer = attention_.take_fired();
  if (!timer && (reasons & kTick) == 0) return false;
  if (timer && context_.sample_spins && sampled_in_pause_loop(vcpu) &&
      context_.scheduler.spin(id_, now, is_in_kernel(vcpu))) {
    return true;
  }
  return !context_.scheduler.tick(id_, now).has_value();
}

// The LAPIC's next deadline must be known to some ring, because a vCPU that is inside the guest, queued or
// halted does not look at its clock.
void Worker::keep_timer(Vcpu& vcpu, Nanos now) {
  const auto deadline = vcpu.lapic.timer_deadline();
  if (!deadline) return;
  const bool covered = vcpu.timer_armed > now && vcpu.timer_armed <= *deadline;
  if (covered) return;
  vcpu.timer_armed = *deadline;
  ring_->arm_timer(*deadline, index_of(vcpu.id));
}

// A timer of some vCPU, which may be halted, queued, here, or on another worker by now.
void Worker::on_event(Ring::Token token) {
  context_.notifier.interrupt_posted(sched::VcpuId{static_cast<uint32_t>(token)});
}

void Worker::wait_for_work() {
  const Nanos from = monotonic_now();
  attention_.sleep([this] {
    if (!ring_->has_events()) ring_->wait();
  });
  stolen_->slept(monotonic_now() - from);
}

bool Worker::sampled_in_pause_loop(Vcpu& vcpu) const {
  const uint64_t loop = find_pause_loop(vcpu, context_.vms[index_of(vcpu.vm)].vm->memory());
  const bool again = loop != 0 && loop == vcpu.sampled_rip;
  vcpu.sampled_rip = loop;
  return again;
}

}  // namespace vmm
