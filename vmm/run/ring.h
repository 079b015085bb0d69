// An event loop on io_uring (event_loop.h). A wake-up from a thread that has a ring itself goes from ring to
// ring (IORING_OP_MSG_RING, Linux 5.18): one system call for both sides together. Other threads, and whatever
// the kernel refuses, go through the eventfd that the ring polls. A ring that the kernel will not enter any
// more is left lying: its owner then polls eventfd and ring by ppoll().
#pragma once

#include <liburing.h>

#include "vmm/run/event_loop.h"

namespace vmm {

class Ring final : public EventLoop {
 public:
  static constexpr unsigned kEntries = 64;

  [[nodiscard]] static Result<std::unique_ptr<EventLoop>> create();
  Ring() = default;
  ~Ring() override;

  [[nodiscard]] int wait(Nanos until) override;
  [[nodiscard]] int wake(EventLoop* from) override;
  EventLoopKind kind() const override { return EventLoopKind::kIoUring; }
  std::string_view describe() const override {
    return messages_ ? "wake-ups go from ring to ring"
                     : "wake-ups go through an eventfd, as before Linux 5.18";
  }

 private:
  // What a completion is about.
  enum Kind : uint64_t { kEventfd = 1, kMessage = 2, kSent = 3 };
  Ring* as_ring() override { return this; }
  bool take_events();
  bool send_to(const Ring& target);
  bool prepare_poll();
  int enter(Nanos left);
  int wait_by_poll(Nanos left);

  io_uring ring_{};
  bool initialised_ = false;
  bool messages_ = false;      // the kernel has IORING_OP_MSG_RING
  bool polls_ = false;         // a request to poll the eventfd is in the submission queue, or in the kernel
  unsigned failed_polls_ = 0;  // in a row
  uint64_t sends_ = 0;
  bool delivered_ = false;  // the last message is in its target's ring
};

}  // namespace vmm
