#include "vmm/run/worker.h"

#include <fmt/format.h>
#include <sched.h>

#include <array>
#include <cerrno>
#include <future>
#include <system_error>
#include <utility>

#include "vmm/run/look.h"
#include "vmm/sandbox/sandbox.h"

namespace vmm {
namespace {

thread_local Worker* this_worker = nullptr;

}  // namespace

Worker* Worker::current() { return this_worker; }

Result<std::unique_ptr<Worker>> Worker::start(sched::WorkerId id, const WorkerContext& context) {
  auto worker = std::unique_ptr<Worker>(new Worker(id, context));
  std::promise<Result<void>> ready;
  auto set_up = ready.get_future();
  try {
    worker->thread_ = std::thread([&worker = *worker, ready = std::move(ready)]() mutable {
      Result<void> result = worker.set_up();
      const bool good = result.has_value();
      ready.set_value(std::move(result));
      if (good) worker.loop();
      worker.pulse_.ends(monotonic_now());
      TraceRecorder::detach();
      worker.kicks_.tear_down();  // on the thread that it signals
    });
  } catch (const std::system_error& error) {
    return host_error("pthread_create", error.code().value(), "each worker is a thread");
  }
  if (auto result = set_up.get(); !result) return Failure(result.error());
  return worker;
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

Result<void> Worker::set_up() {
  this_worker = this;
  if (context_.recorder != nullptr) context_.recorder->attach(index_of(id_));
  thread_id_ = os_thread_id();
  stolen_.emplace(monotonic_now(), thread_cpu_now());
  const std::array cpus{context_.rotation.cpu_of(id_)};
  if (auto settled = settle_thread(fmt::format("kvmux-w{}", index_of(id_)), cpus); !settled) return settled;
  auto loop = EventLoop::create(context_.event_loop);
  if (!loop) return Failure(loop.error());
  event_loop_ = std::move(*loop);
  if (auto attentive = kicks_.set_up(context_.trouble); !attentive) return attentive;
  return sandbox::enter_sandbox(sandbox::ThreadKind::kWorker);
}

void Worker::kick(uint32_t reasons, bool insist) {
  const auto wake = [this] {
    const int error = event_loop_->wake(this_worker != nullptr ? this_worker->event_loop_.get() : nullptr);
    if (error != 0) context_.trouble.report(host_error("waking a worker", error).value());
  };
  kicks_.ask(reasons, this_worker == this, wake, insist);
}

Vcpu& Worker::vcpu_of(sched::VcpuId id) const {
  const VmId vm = context_.scheduler.vm_of(id);
  return context_.vms[index_of(vm)].vm->vcpu(VcpuIndex{context_.scheduler.index_in_vm(id)});
}

// Why others want this worker; a move to another CPU is done at once.
uint32_t Worker::take_reasons() {
  const uint32_t reasons = kicks_.take();
  if ((reasons & kMove) != 0) {
    const std::array cpus{context_.rotation.cpu_of(id_)};
    const auto moved = bind_thread(cpus);
    // Where that CPU has gone offline, we stay. Else two workers would share one for good.
    if (!moved && moved.error().errno_value != EINVAL) context_.trouble.report(moved.error());
  }
  return reasons;
}

// pick → run its stay → again.
//
// A turn begins where the last one ended: what lies between (the choice of whom to yield to, putting back,
// picking) is a part of the switch to whoever comes next. If it were nobody's, VMs that switch between their
// own vCPUs in a tight loop would have it on top of their share. Other workers' times may so be later by some
// microseconds than that of a pick that saw what they did; queues take no time that runs backwards.
void Worker::loop() {
  std::optional<Nanos> left;  // when the last vCPU did, if nothing but switching has come since
  for (;;) {
    const uint32_t reasons = take_reasons();
    if ((reasons & kStop) != 0) return;
    if ((reasons & kPause) != 0) {
      const Nanos from = monotonic_now();
      pulse_.parks(from);
      context_.barrier.pass();
      const Nanos until = monotonic_now();
      pulse_.leaves(until);
      stolen_->slept(until - from);
      left.reset();
      continue;  // it may have been closed to stop us
    }
    const Nanos now = monotonic_now();
    post_due(now, nullptr);
    const Nanos from = left.value_or(now);
    if (const auto turn = context_.scheduler.pick(id_, from)) {
      left = host(VcpuLease(vcpu_of(turn->vcpu)), from);
    } else {
      wait_for_work();
      left.reset();
    }
  }
}

// The deadlines of vCPUs that may be halted, queued or on another worker by now. The one that runs here looks
// at its own before it enters.
void Worker::post_due(Nanos now, const Vcpu* running) {
  while (const auto due = alarms_.take_due(now)) {
    if (running == nullptr || running->id != *due) context_.notifier.interrupt_posted(*due);
  }
}

void Worker::wait_for_work() {
  const Nanos from = monotonic_now();
  pulse_.sleeps(from);
  kicks_.sleep([this] {
    const int error = event_loop_->wait(alarms_.earliest());
    if (error == 0) return;
    context_.trouble.report(host_error("a worker cannot sleep", error).value());
    ::sched_yield();
  });
  const Nanos until = monotonic_now();
  pulse_.leaves(until);
  stolen_->slept(until - from);
}

WorkerView Worker::view(Nanos now) const { return view_of(pulse_, kicks_.phase(), thread_id_, now); }

}  // namespace vmm
