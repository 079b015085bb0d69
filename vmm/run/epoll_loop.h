// An event loop on epoll and an eventfd (event_loop.h): two system calls a wake-up.
#pragma once

#include "vmm/run/event_loop.h"

namespace vmm {

class EpollLoop final : public EventLoop {
 public:
  [[nodiscard]] static Result<std::unique_ptr<EventLoop>> create();

  [[nodiscard]] int wait(Nanos until) override;
  EventLoopKind kind() const override { return EventLoopKind::kEpoll; }
  std::string_view describe() const override { return "wake-ups go through an eventfd"; }

 private:
  UniqueFd epoll_;
};

}  // namespace vmm
