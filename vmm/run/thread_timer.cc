#include "vmm/run/thread_timer.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "vmm/run/retry.h"

namespace vmm {

int preempt_signal() { return SIGRTMIN + 3; }

int send_preempt_signal(pid_t thread) {
  constexpr int kTries = 4;
  return retried([&] { return ::syscall(SYS_tgkill, ::getpid(), thread, preempt_signal()); }, kTries);
}

Result<std::unique_ptr<ThreadTimer>> ThreadTimer::create() {
  auto timer = std::unique_ptr<ThreadTimer>(new ThreadTimer(static_cast<pid_t>(::syscall(SYS_gettid))));
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = preempt_signal();
  event._sigev_un._tid = timer->thread_;
  const auto create = [&] { return ::timer_create(CLOCK_MONOTONIC, &event, &timer->timer_); };
  if (const int error = retried(create); error != 0)
    return host_error("timer_create", error,
                      "each thread that runs vCPUs needs one timer (limit: ulimit -i)");
  timer->created_ = true;
  return timer;
}

ThreadTimer::~ThreadTimer() {
  // It cannot fail for a timer that is there; if something denies it, the timer goes with the process.
  if (created_) (void)retried([&] { return ::timer_delete(timer_); });
}

int ThreadTimer::set(Nanos at) {
  itimerspec when{};  // zero: disarmed
  if (at != sched::kForever) when.it_value = to_timespec(std::max(at, Nanos{1}));
  return retried([&] { return ::timer_settime(timer_, TIMER_ABSTIME, &when, nullptr); });
}

}  // namespace vmm
