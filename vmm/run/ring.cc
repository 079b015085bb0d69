#include "vmm/run/ring.h"

#include <poll.h>

#include <array>
#include <cerrno>

#include "vmm/run/retry.h"
#include "vmm/sandbox/ring_limits.h"

namespace vmm {

Result<std::unique_ptr<EventLoop>> Ring::create() {
  auto ring = std::make_unique<Ring>();
  if (const int error = io_uring_queue_init(kEntries, &ring->ring_, sandbox::kDisabledRing); error < 0) {
    return host_error("io_uring_setup", -error,
                      error == -EPERM || error == -ENOSYS
                          ? "io_uring is switched off here (seccomp, or sysctl kernel.io_uring_disabled)"
                          : "");
  }
  ring->initialised_ = true;
  if (auto made = ring->make_eventfd(); !made) return Failure(made.error());
  // A probe that fails says that there are no messages: the eventfd will do.
  if (io_uring_probe* probe = io_uring_get_probe_ring(&ring->ring_)) {
    ring->messages_ = io_uring_opcode_supported(probe, IORING_OP_MSG_RING) != 0;
    io_uring_free_probe(probe);
  }
  if (auto limited = sandbox::limit_ring(ring->ring_); !limited) return Failure(limited.error());
  return ring;
}

Ring::~Ring() {
  if (initialised_) io_uring_queue_exit(&ring_);
}

int Ring::wait(Nanos until) {
  if (take_events()) return 0;
  const Nanos left = until == sched::kForever ? until : until - monotonic_now();
  if (left <= Nanos{}) return 0;
  const int error = prepare_poll() ? enter(left) : EBUSY;
  if (error != 0) return wait_by_poll(left);
  take_events();
  return 0;
}

// Submits what is to be submitted and sleeps. 0: also for a signal and at the end of its time.
int Ring::enter(Nanos left) {
  __kernel_timespec limit{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
  io_uring_cqe* cqe = nullptr;
  const int result =
      io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, left == sched::kForever ? nullptr : &limit, nullptr);
  return result >= 0 || result == -EINTR || result == -ETIME ? 0 : -result;
}

// The eventfd is polled by the ring. What is in the submission queue goes with the next submission.
bool Ring::prepare_poll() {
  constexpr unsigned kTries = 16;
  if (polls_) return true;
  if (failed_polls_ > kTries) return false;
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) return false;
  io_uring_prep_poll_add(sqe, eventfd(), POLLIN);
  sqe->user_data = kEventfd;
  polls_ = true;
  return true;
}

// Without the kernel's help for rings: a ring with completions is readable.
int Ring::wait_by_poll(Nanos left) {
  const timespec limit = to_timespec(left);
  std::array<pollfd, 2> fds{{{eventfd(), POLLIN, 0}, {ring_.ring_fd, POLLIN, 0}}};
  int ready = 0;
  const int error = retried([&] {
    ready = ::ppoll(fds.data(), fds.size(), left == sched::kForever ? nullptr : &limit, nullptr);
    return ready < 0 && errno == EINTR ? 0 : ready;
  });
  if (ready > 0 && fds[0].revents != 0) take_eventfd();
  take_events();
  return error;
}

int Ring::wake(EventLoop* from) {
  Ring* const sender = from != nullptr && from != this ? from->as_ring() : nullptr;
  if (sender != nullptr && messages_ && sender->send_to(*this)) return 0;
  return EventLoop::wake(from);
}

// True: the message has arrived. It is handled while it is submitted; one that is still on its way then counts
// as lost, and so does one that would not fit into the target's ring.
bool Ring::send_to(const Ring& target) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) return false;
  io_uring_prep_msg_ring(sqe, target.ring_.ring_fd, 0, kMessage, 0);
  sqe->user_data = kSent | ++sends_ << 2;
  delivered_ = false;
  if (io_uring_submit(&ring_) < 0) return false;
  take_events();
  return delivered_;
}

// Takes all that has happened. True: something has.
bool Ring::take_events() {
  io_uring_cqe* cqe = nullptr;
  bool any = false;
  while (io_uring_cq_ready(&ring_) != 0 && io_uring_peek_cqe(&ring_, &cqe) == 0 && cqe != nullptr) {
    const uint64_t data = cqe->user_data;
    const int result = cqe->res;
    io_uring_cqe_seen(&ring_, cqe);
    any = true;
    if (data == kEventfd) {
      polls_ = false;
      failed_polls_ = result < 0 ? failed_polls_ + 1 : 0;
      take_eventfd();
    } else if (data == (kSent | sends_ << 2)) {
      delivered_ = result >= 0;
    }
  }
  return any;
}

}  // namespace vmm
