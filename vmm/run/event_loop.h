// What a worker sleeps on when it has no vCPU to run: wake-ups from other workers, and the earliest LAPIC
// deadline that it answers for. Two kinds: io_uring, where a wake-up goes from ring to ring, and epoll for hosts
// that forbid io_uring (containers, sysctl kernel.io_uring_disabled).
//
// The owner thread makes all calls but wake(), which any thread may make. A wake-up says nothing but that there
// is something to look at: what it is stands in the worker's Kicks.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "vmm/kvm/fd.h"
#include "vmm/result.h"
#include "vmm/run/clock.h"
#include "vmm/run_types.h"

namespace vmm {

class Ring;

class EventLoop {
 public:
  // kAuto: io_uring, or epoll where the kernel does not give a ring, whatever the reason.
  [[nodiscard]] static Result<std::unique_ptr<EventLoop>> create(EventLoopKind kind);
  virtual ~EventLoop() = default;
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Sleeps until `until`, until a signal arrives, or until somebody calls wake(); a wake() from before counts.
  // May end early. 0, or the errno of what failed in every way there is: then it may not have slept.
  [[nodiscard]] virtual int wait(Nanos until) = 0;
  // Ends the present or the next wait(). `from`: the calling thread's own loop, or null. 0, or the errno of what
  // failed in every way there is: the owner may go on sleeping.
  [[nodiscard]] virtual int wake(EventLoop* from);
  virtual EventLoopKind kind() const = 0;
  // For people: how a wake-up gets here.
  virtual std::string_view describe() const = 0;

 protected:
  EventLoop() = default;
  [[nodiscard]] Result<void> make_eventfd();
  int eventfd() const { return eventfd_.get(); }
  void take_eventfd() const;
  virtual Ring* as_ring() { return nullptr; }
  friend class Ring;

 private:
  UniqueFd eventfd_;
};

std::string_view event_loop_name(EventLoopKind kind);  // "auto", "io_uring", "epoll"

}  // namespace vmm
