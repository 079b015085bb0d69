#include "vmm/run/trouble.h"

#include <unistd.h>

#include <cstdio>

namespace vmm {

void Trouble::report(const Error& error) {
  {
    const sched::MutexLock lock(mutex_);
    if (first_) return;
    first_ = error;
  }
  any_.store(true, std::memory_order_relaxed);
  if (bell_) bell_();
}

std::optional<Error> Trouble::first() const {
  const sched::MutexLock lock(mutex_);
  return first_;
}

void Trouble::give_up() const {
  const auto error = first();
  std::fprintf(stderr, "kvmux: %s; the threads that run vCPUs cannot be stopped any more\n",
               error ? error->text().c_str() : "host trouble");
  std::fflush(nullptr);
  ::_exit(exit_status(ErrorKind::kHost));
}

}  // namespace vmm
