#include "vmm/platform/wakeup.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/run/retry.h"

namespace vmm {

Result<std::unique_ptr<Wakeup>> Wakeup::create() {
  auto wakeup = std::make_unique<Wakeup>();
  const int error = retried([&] {
    wakeup->fd_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return wakeup->fd_.get();
  });
  if (error != 0) return host_error("eventfd", error);
  return wakeup;
}

void Wakeup::ring() {
  const uint64_t one = 1;
  rung_.store(true);
  (void)retried([&] {
    if (::write(fd_.get(), &one, sizeof(one)) >= 0) return 0;
    return errno == EAGAIN ? 0 : -1;  // it is full, and so readable
  });
}

bool Wakeup::take() {
  uint64_t count = 0;
  (void)retried([&] {
    if (::read(fd_.get(), &count, sizeof(count)) >= 0) return 0;
    return errno == EAGAIN ? 0 : -1;  // empty
  });
  return rung_.exchange(false);
}

}  // namespace vmm
