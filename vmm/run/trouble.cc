#include "vmm/run/trouble.h"

#include <unistd.h>

#include <string>

#include "vmm/last_words.h"

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
  last_words("kvmux: " + (error ? error->text() : std::string("host trouble")) +
             "; the threads that run vCPUs cannot be stopped any more\n");
  ::_exit(exit_status(ErrorKind::kHost));
}

}  // namespace vmm
