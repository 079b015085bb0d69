#include "vmm/run/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/run/epoll_loop.h"
#include "vmm/run/retry.h"
#include "vmm/run/ring.h"

namespace vmm {

Result<std::unique_ptr<EventLoop>> EventLoop::create(EventLoopKind kind) {
  if (kind == EventLoopKind::kEpoll) return EpollLoop::create();
  auto ring = Ring::create();
  if (!ring && kind == EventLoopKind::kAuto) return EpollLoop::create();
  return ring;
}

Result<void> EventLoop::make_eventfd() {
  const int error = retried([&] {
    eventfd_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return eventfd_.get();
  });
  if (error != 0) return host_error("eventfd", error);
  return {};
}

int EventLoop::wake(EventLoop*) {
  const uint64_t one = 1;
  return retried([&] {
    if (::write(eventfd_.get(), &one, sizeof(one)) >= 0) return 0;
    return errno == EAGAIN ? 0 : -1;  // it is full, and so readable
  });
}

// What is left in it ends the next wait() at once: harmless.
void EventLoop::take_eventfd() const {
  uint64_t count = 0;
  (void)retried([&] {
    if (::read(eventfd_.get(), &count, sizeof(count)) >= 0) return 0;
    return errno == EAGAIN ? 0 : -1;  // empty
  });
}

std::string_view event_loop_name(EventLoopKind kind) {
  switch (kind) {
    case EventLoopKind::kAuto:
      return "auto";
    case EventLoopKind::kIoUring:
      return "io_uring";
    case EventLoopKind::kEpoll:
      return "epoll";
  }
  return "?";
}

}  // namespace vmm
