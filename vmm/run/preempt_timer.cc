#include "vmm/run/preempt_timer.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace vmm {
namespace {

// SIGRTMIN itself is what sanitizers and libraries like best.
int preempt_signal() { return SIGRTMIN + 3; }

// Set before the signal can arrive and constant after, so the handler may read it.
thread_local PreemptTimer* this_threads_timer = nullptr;

}  // namespace

void PreemptTimer::on_signal(int, siginfo_t* info, void*) {
  PreemptTimer* timer = this_threads_timer;
  if (timer == nullptr) return;
  if (info->si_code == SI_TIMER) timer->fired_.store(true, std::memory_order_relaxed);
  if (VcpuFd* vcpu = timer->announced_.load(std::memory_order_relaxed)) vcpu->request_exit();
}

Result<std::unique_ptr<PreemptTimer>> PreemptTimer::create() {
  auto timer = std::unique_ptr<PreemptTimer>(new PreemptTimer);
  timer->thread_ = static_cast<pid_t>(::syscall(SYS_gettid));
  this_threads_timer = timer.get();

  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;  // no SA_RESTART: waits in the ring end as well
  if (::sigaction(preempt_signal(), &action, nullptr) != 0) return host_error("sigaction", errno);

  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = preempt_signal();
  event._sigev_un._tid = timer->thread_;
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer->timer_) != 0) return host_error("timer_create", errno);
  timer->created_ = true;
  return timer;
}

PreemptTimer::~PreemptTimer() {
  if (created_) ::timer_delete(timer_);
  this_threads_timer = nullptr;
}

void PreemptTimer::arm(Nanos at) {
  constexpr int kMemory = 8;
  const Nanos now = monotonic_now();
  usual_turn_ += (now - asked_ - usual_turn_) / kMemory;
  asked_ = now;
  const bool pending = armed_ != sched::kForever && armed_ > now;
  if (pending && armed_ <= at && armed_ - now > kTurns * usual_turn_) return;
  const bool wanted = at != sched::kForever;
  armed_ = at;
  if (!wanted && !pending) return;
  itimerspec when{};
  if (wanted) when.it_value = to_timespec(at);
  ::timer_settime(timer_, TIMER_ABSTIME, &when, nullptr);
}

void PreemptTimer::kick() { ::syscall(SYS_tgkill, ::getpid(), thread_, preempt_signal()); }

}  // namespace vmm
