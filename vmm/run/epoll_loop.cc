#include "vmm/run/epoll_loop.h"

#include <sys/epoll.h>

#include <cerrno>

#include "vmm/run/retry.h"

namespace vmm {

Result<std::unique_ptr<EventLoop>> EpollLoop::create() {
  auto loop = std::make_unique<EpollLoop>();
  if (auto made = loop->make_eventfd(); !made) return Failure(made.error());
  const int failed = retried([&] {
    loop->epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    return loop->epoll_.get();
  });
  if (failed != 0) return host_error("epoll_create1", failed);
  epoll_event interest{};
  interest.events = EPOLLIN;
  const auto add = [&] { return ::epoll_ctl(loop->epoll_.get(), EPOLL_CTL_ADD, loop->eventfd(), &interest); };
  if (const int error = retried(add); error != 0) return host_error("epoll_ctl", error);
  return loop;
}

int EpollLoop::wait(Nanos until) {
  const Nanos left = until - monotonic_now();
  if (left <= Nanos{}) return 0;
  const timespec limit = to_timespec(left);
  epoll_event event{};
  int ready = 0;
  const int error = retried([&] {
    ready = ::epoll_pwait2(epoll_.get(), &event, 1, until == sched::kForever ? nullptr : &limit, nullptr);
    return ready < 0 && errno == EINTR ? 0 : ready;  // a signal is as good as an event
  });
  if (ready > 0) take_eventfd();
  return error;
}

}  // namespace vmm
