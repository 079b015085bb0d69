// A worker's io_uring: its event loop. Wake-ups from other workers, timers of LAPICs, descriptors that become
// readable.
//
// The owner thread makes all calls but wake(), which any thread may make. Events are handed to a function by
// drain(), which does no system call; wait() sleeps in the ring until there is one.
#pragma once

#include <liburing.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "vmm/kvm/fd.h"
#include "vmm/result.h"
#include "vmm/run/clock.h"

namespace vmm {

class Ring {
 public:
  // What a completion is about: a number of the owner's choice, below 2^62.
  using Token = uint64_t;

  [[nodiscard]] static Result<std::unique_ptr<Ring>> create(unsigned entries);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // One event at this instant of CLOCK_MONOTONIC.
  void arm_timer(Nanos at, Token token);
  // One event when the descriptor becomes readable.
  void arm_readable(int fd, Token token);
  // Sleeps until there is an event, a signal arrives or somebody calls wake(). A wake() from before counts.
  void wait();
  // Ends the present or the next wait(). `from`: the calling thread's own ring, if it has one: then the
  // message goes from ring to ring where the kernel can (Linux 5.18), else through an eventfd.
  void wake(Ring* from);
  // Calls on_event(token) for everything that has happened.
  template <class OnEvent>
  void drain(OnEvent on_event) {
    io_uring_cqe* cqe = nullptr;
    bool rearm = false;
    while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
      const uint64_t data = cqe->user_data;
      io_uring_cqe_seen(&ring_, cqe);
      if (data == kWakeByEventfd) rearm = true;
      if ((data & kKindMask) == kEvent) on_event(data & ~kKindMask);
    }
    if (rearm) arm_eventfd();
  }
  bool has_events() { return io_uring_cq_ready(&ring_) != 0; }

 private:
  // The two top bits of user_data.
  static constexpr uint64_t kKindMask = uint64_t{3} << 62;
  static constexpr uint64_t kEvent = 0;
  static constexpr uint64_t kWakeByEventfd = uint64_t{1} << 62;
  static constexpr uint64_t kWakeByMessage = uint64_t{2} << 62;
  static constexpr uint64_t kIgnore = uint64_t{3} << 62;

  Ring() = default;
  io_uring_sqe& next_sqe();
  void arm_eventfd();

  io_uring ring_{};
  bool initialised_ = false;
  bool messages_ = false;  // the kernel has IORING_OP_MSG_RING
  UniqueFd eventfd_;
  uint64_t eventfd_count_ = 0;
};

}  // namespace vmm
