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

constexpr Nanos kNobodyLeft = sched::kForever;

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
      if (good) worker.run();
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
  home_thread_ = os_thread_id();
  thread_id_.store(home_thread_, std::memory_order_relaxed);
  stolen_.emplace(monotonic_now(), use_.cpu());
  cpu_ = context_.rotation.cpu_of(id_);
  if (auto settled = settle_thread(fmt::format("kvmux-w{}", index_of(id_)), std::array{cpu_}); !settled)
    return settled;
  const bool by_many = context_.carriers != nullptr;
  if (by_many) {
    home_ = Carrier::home(context_.trouble);
    home_->is_bound_to(cpu_);
    here_ = home_.get();
  }
  // What a ring does for one thread it does less well for many.
  const bool rather_epoll = by_many && context_.event_loop == EventLoopKind::kAuto;
  auto loop = EventLoop::create(rather_epoll ? EventLoopKind::kEpoll : context_.event_loop);
  if (!loop) return Failure(loop.error());
  event_loop_ = std::move(*loop);
  if (auto attentive = kicks_.set_up(context_.trouble, !by_many); !attentive) return attentive;
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
    const int cpu = context_.rotation.cpu_of(id_);
    const auto moved = bind_thread(std::array{cpu});
    // Where that CPU has gone offline, we stay. Else two workers would share one for good.
    if (!moved && moved.error().errno_value != EINVAL) context_.trouble.report(moved.error());
    if (moved) cpu_ = cpu;
    if (moved && here_ != nullptr) here_->is_bound_to(cpu);
  }
  return reasons;
}

void Worker::run() {
  bool ended = loop(kNobodyLeft);
  while (!ended) {
    if (const auto token = home_->next()) ended = hold(*home_, *token);
  }
}

bool Worker::hold(Carrier& here, const Token& token) {
  arrive(here);
  return loop(token.vcpu == nullptr ? kNobodyLeft : host(VcpuLease(*token.vcpu), token.from));
}

void Worker::arrive(Carrier& here) {
  here_ = &here;
  this_worker = this;
  if (context_.recorder != nullptr) context_.recorder->attach(index_of(id_));
  here.be_on(cpu_);
  kicks_.come(here.timer());
  stolen_->slept(use_.arrives(monotonic_now(), is_away()));
}

// False: it is no more here, and nothing of it may be touched.
bool Worker::go(Carrier& there, const Token& token) {
  use_.leaves(monotonic_now(), is_away());
  kicks_.leave();
  TraceRecorder::detach();
  this_worker = nullptr;
  thread_id_.store(there.thread(), std::memory_order_relaxed);
  there.give(token, cpu_);
  return false;
}

// pick → run its stay → again. `left`: when the last vCPU did; kNobodyLeft: something else than switching has
// come since. As hold().
//
// A turn begins where the last one ended: what lies between (the choice of whom to yield to, putting back,
// picking) is a part of the switch to whoever comes next. If it were nobody's, VMs that switch between their
// own vCPUs in a tight loop would have it on top of their share. Other workers' times may so be later by some
// microseconds than that of a pick that saw what they did; queues take no time that runs backwards.
bool Worker::loop(Nanos left) {
  for (;;) {
    const uint32_t reasons = take_reasons();
    if ((reasons & (kStop | kPause)) != 0 && is_away()) {
      kicks_.put_back(reasons & (kStop | kPause));
      return go_home();
    }
    if ((reasons & kStop) != 0) return true;
    if ((reasons & kPause) != 0) {
      const Nanos from = monotonic_now();
      pulse_.parks(from);
      context_.barrier.pass();
      const Nanos until = monotonic_now();
      pulse_.leaves(until);
      stolen_->slept(until - from);
      left = kNobodyLeft;
      continue;  // it may have been closed to stop us
    }
    const Nanos now = monotonic_now();
    post_due(now, nullptr);
    const Nanos from = left == kNobodyLeft ? now : left;
    if (const auto turn = context_.scheduler.pick(id_, from)) {
      Vcpu& vcpu = vcpu_of(turn->vcpu);
      if (here_ != nullptr) {
        Carrier& carrier = *(*context_.carriers)[index_of(turn->vcpu)];
        if (&carrier != here_) return go(carrier, {.worker = this, .vcpu = &vcpu, .from = from});
      }
      left = host(VcpuLease(vcpu), from);
    } else {
      if (!wait_for_work()) return false;
      left = kNobodyLeft;
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

// False: as go().
bool Worker::wait_for_work() {
  if (is_away()) {
    here_->sleeps_with(this);
    if (here_->has_mail()) {
      here_->sleeps_with(nullptr);
      return go_home();
    }
  }
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
  if (is_away()) here_->sleeps_with(nullptr);
  return true;
}

WorkerView Worker::view(Nanos now) const {
  return view_of(pulse_, kicks_.phase(), thread_id_.load(std::memory_order_relaxed), now);
}

// Parked at home, whose own thread's switches are those since its start.
Result<ThreadUse> Worker::host_use() const {
  auto use = thread_use(home_thread_);
  if (use) use->preemptions += use_.preemptions();
  return use;
}

}  // namespace vmm
