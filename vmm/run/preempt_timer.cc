#include "vmm/run/preempt_timer.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/run/retry.h"

namespace vmm {
namespace {

// SIGRTMIN itself is what sanitizers and libraries like best.
int preempt_signal() { return SIGRTMIN + 3; }

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

// Set before the signal can arrive and constant after, so the handler may read it.
thread_local PreemptTimer* this_threads_timer = nullptr;

}  // namespace

void PreemptTimer::on_signal(int, siginfo_t* info, void*) {
  PreemptTimer* timer = this_threads_timer;
  if (timer == nullptr) return;
  if (info->si_code == SI_TIMER) timer->fired_.store(true, std::memory_order_relaxed);
  if (VcpuFd* vcpu = timer->announced_.load(std::memory_order_relaxed)) vcpu->request_exit();
}

Result<std::unique_ptr<PreemptTimer>> PreemptTimer::create(Trouble& trouble) {
  auto timer = std::unique_ptr<PreemptTimer>(new PreemptTimer(trouble));
  timer->thread_ = static_cast<pid_t>(::syscall(SYS_gettid));
  this_threads_timer = timer.get();

  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;  // no SA_RESTART: waits in the event loop end as well
  if (const int error = retried([&] { return ::sigaction(preempt_signal(), &action, nullptr); }); error != 0)
    return host_error("sigaction", error);
  if (auto heard = unblock(preempt_signal()); !heard) return Failure(heard.error());

  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = preempt_signal();
  event._sigev_un._tid = timer->thread_;
  const auto create = [&] { return ::timer_create(CLOCK_MONOTONIC, &event, &timer->timer_); };
  if (const int error = retried(create); error != 0)
    return host_error("timer_create", error, "each worker needs one timer (limit: ulimit -i)");
  timer->created_ = true;
  return timer;
}

PreemptTimer::~PreemptTimer() {
  // It cannot fail for a timer that is there; if something denies it, the timer goes with the process.
  if (created_) (void)retried([&] { return ::timer_delete(timer_); });
  this_threads_timer = nullptr;
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
  itimerspec when{};  // zero: disarmed
  if (at != sched::kForever) when.it_value = to_timespec(std::max(at, Nanos{1}));
  const int error = retried([&] { return ::timer_settime(timer_, TIMER_ABSTIME, &when, nullptr); });
  if (error == 0) return;
  arming_.fired();  // the next call tries again
  trouble_.report(host_error("timer_settime", error, "vCPUs cannot be preempted").value());
}

void PreemptTimer::kick() {
  constexpr int kTries = 4;
  const auto signal = [&] { return ::syscall(SYS_tgkill, ::getpid(), thread_, preempt_signal()); };
  if (retried(signal, kTries) == 0) return;
  const sched::MutexLock lock(mutex_);
  if (const auto instant = arming_.fire_now(monotonic_now())) set(*instant);
}

}  // namespace vmm
