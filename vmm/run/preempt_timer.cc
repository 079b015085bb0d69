#include "vmm/run/preempt_timer.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "vmm/run/retry.h"

namespace vmm {
namespace {

// Threads inherit what their makers block, and processes too.
Result<void> unblock(int signal) {
  sigset_t just_this;
  ::sigemptyset(&just_this);
  ::sigaddset(&just_this, signal);
  const auto call = [&] {
    errno = ::pthread_sigmask(SIG_UNBLOCK, &just_this, nullptr);
    return errno == 0 ? 0 : -1;
  };
  if (const int error = retried(call); error != 0) return host_error("pthread_sigmask", error);
  return {};
}

// Of the worker that is on this thread; null: none is. Written by the thread that the handler runs on.
thread_local std::atomic<PreemptTimer*> this_threads_timer{nullptr};

void set_this_threads_timer(PreemptTimer* timer) {
  this_threads_timer.store(timer, std::memory_order_relaxed);
}

}  // namespace

void PreemptTimer::on_signal(int, siginfo_t* info, void*) {
  PreemptTimer* timer = this_threads_timer.load(std::memory_order_relaxed);
  if (timer == nullptr) return;
  if (info->si_code == SI_TIMER) timer->fired_.store(true, std::memory_order_relaxed);
  if (VcpuFd* vcpu = timer->announced_.load(std::memory_order_relaxed)) vcpu->request_exit();
}

Result<void> PreemptTimer::prepare_thread() {
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;  // no SA_RESTART: waits in the event loop end as well
  if (const int error = retried([&] { return ::sigaction(preempt_signal(), &action, nullptr); }); error != 0)
    return host_error("sigaction", error);
  return unblock(preempt_signal());
}

Result<std::unique_ptr<PreemptTimer>> PreemptTimer::create(Trouble& trouble, bool arms_here) {
  auto timer = std::unique_ptr<PreemptTimer>(new PreemptTimer(trouble));
  set_this_threads_timer(timer.get());
  if (auto heard = prepare_thread(); !heard) return Failure(heard.error());
  timer->thread_.store(static_cast<pid_t>(::syscall(SYS_gettid)), std::memory_order_relaxed);
  if (!arms_here) return timer;
  auto own = ThreadTimer::create();
  if (!own) return Failure(own.error());
  timer->own_ = std::move(*own);
  const sched::MutexLock lock(timer->mutex_);
  timer->here_ = timer->own_.get();
  return timer;
}

PreemptTimer::~PreemptTimer() {
  own_.reset();
  set_this_threads_timer(nullptr);
}

void PreemptTimer::leave() {
  set_this_threads_timer(nullptr);
  const sched::MutexLock lock(mutex_);
  if (arming_.moves()) set(sched::kForever);
  here_ = nullptr;
}

void PreemptTimer::come(ThreadTimer* there) {
  set_this_threads_timer(this);
  const sched::MutexLock lock(mutex_);
  here_ = there != nullptr ? there : own_.get();
  if (here_ == nullptr) return;  // nobody is signalled here
  thread_.store(here_->thread(), std::memory_order_relaxed);
  if (const auto instant = arming_.arrives(monotonic_now())) set(*instant);
}

void PreemptTimer::arm_tick(Nanos at, Nanos now) {
  const sched::MutexLock lock(mutex_);
  tick_at_.store(at.count(), std::memory_order_relaxed);
  if (const auto instant = arming_.change_tick(at, now)) set(*instant);
}

void PreemptTimer::change_alarm(Nanos at) {
  const sched::MutexLock lock(mutex_);
  alarm_ = at;
  uncovered_ = false;
  if (const auto instant = arming_.change_alarm(at, monotonic_now())) set(*instant);
}

bool PreemptTimer::take_fired() {
  if (!fired_.load(std::memory_order_relaxed)) return false;
  fired_.store(false, std::memory_order_relaxed);  // a signal in between is one with the one taken
  uncovered_ = true;
  const sched::MutexLock lock(mutex_);
  arming_.fired();
  return true;
}

void PreemptTimer::set(Nanos at) {
  if (here_ == nullptr) return;  // armed on arrival
  const int error = here_->set(at);
  if (error == 0) return;
  arming_.fired();  // the next call tries again
  trouble_.report(host_error("timer_settime", error, "vCPUs cannot be preempted").value());
}

void PreemptTimer::kick() {
  if (send_preempt_signal(thread_.load(std::memory_order_relaxed)) == 0) return;
  const sched::MutexLock lock(mutex_);
  if (const auto instant = arming_.fire_now(monotonic_now())) set(*instant);
}

}  // namespace vmm
