#include "vmm/run/carrier.h"

#include <sched.h>

#include <array>
#include <cerrno>
#include <future>
#include <system_error>
#include <utility>

#include "vmm/run/os_thread.h"
#include "vmm/run/preempt_timer.h"
#include "vmm/run/worker.h"
#include "vmm/sandbox/sandbox.h"

namespace vmm {

std::unique_ptr<Carrier> Carrier::home(Trouble& trouble) {
  auto carrier = std::unique_ptr<Carrier>(new Carrier(true, trouble));
  carrier->thread_id_ = os_thread_id();
  return carrier;
}

Result<std::unique_ptr<Carrier>> Carrier::start(const std::string& name, int cpu, Trouble& trouble) {
  auto carrier = std::unique_ptr<Carrier>(new Carrier(false, trouble));
  std::promise<Result<void>> ready;
  auto set_up = ready.get_future();
  try {
    carrier->thread_ = std::thread([&self = *carrier, &name, cpu, ready = std::move(ready)]() mutable {
      Result<void> result = self.set_up(name, cpu);
      const bool good = result.has_value();
      ready.set_value(std::move(result));
      if (good) self.loop();
      self.timer_.reset();
    });
  } catch (const std::system_error& error) {
    return host_error("pthread_create", error.code().value(), "with --carriers each vCPU has a thread");
  }
  if (auto result = set_up.get(); !result) return Failure(result.error());
  return carrier;
}

void Carrier::stop() {
  if (!thread_.joinable()) return;
  if (const int error = inbox_.close(); error != 0) trouble_.give_up();
  thread_.join();
}

Result<void> Carrier::set_up(const std::string& name, int cpu) {
  thread_id_ = os_thread_id();
  if (auto settled = settle_thread(name, std::array{cpu}); !settled) return settled;
  is_bound_to(cpu);
  if (auto heard = PreemptTimer::prepare_thread(); !heard) return heard;
  auto timer = ThreadTimer::create();
  if (!timer) return Failure(timer.error());
  timer_ = std::move(*timer);
  return sandbox::enter_sandbox(sandbox::ThreadKind::kWorker);
}

void Carrier::loop() {
  while (const auto token = next()) token->worker->hold(*this, *token);
}

std::optional<Token> Carrier::next() {
  return inbox_.take([this](int error) {
    trouble_.report(host_error("futex", error, "a vCPU's thread cannot sleep").value());
    ::sched_yield();
  });
}

void Carrier::give(const Token& token, int cpu) {
  // What fails here is told by the receiver, which tries it itself.
  if (cpu_.load(std::memory_order_relaxed) != cpu && bind_other_thread(thread_id_, cpu)) is_bound_to(cpu);
  if (const int error = inbox_.give(token); error != 0)
    trouble_.report(host_error("futex", error, "a worker cannot be handed on").value());
  // Partner: sleeps_with() before has_mail() (Worker::wait_for_work).
  if (Worker* const sleeper = sleeps_with_.load(std::memory_order_seq_cst)) sleeper->kick(Worker::kLook);
}

void Carrier::be_on(int cpu) {
  if (::sched_getcpu() == cpu) return;
  const auto bound = bind_thread(std::array{cpu});
  if (bound) return is_bound_to(cpu);
  // That CPU has gone offline: where it is will do.
  if (bound.error().errno_value != EINVAL) trouble_.report(bound.error());
}

}  // namespace vmm
