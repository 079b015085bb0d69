#include "vmm/run/ring.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/check.h"

namespace vmm {

Result<std::unique_ptr<Ring>> Ring::create(unsigned entries) {
  auto ring = std::unique_ptr<Ring>(new Ring);
  if (const int error = io_uring_queue_init(entries, &ring->ring_, 0); error < 0) {
    return host_error(
        "io_uring_setup", -error,
        error == -EPERM ? "io_uring is switched off here (sysctl kernel.io_uring_disabled)" : "");
  }
  ring->initialised_ = true;
  ring->eventfd_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  if (ring->eventfd_.get() < 0) return host_error("eventfd", errno);
  if (io_uring_probe* probe = io_uring_get_probe_ring(&ring->ring_)) {
    ring->messages_ = io_uring_opcode_supported(probe, IORING_OP_MSG_RING) != 0;
    io_uring_free_probe(probe);
  }
  ring->arm_eventfd();
  return ring;
}

Ring::~Ring() {
  if (initialised_) io_uring_queue_exit(&ring_);
}

io_uring_sqe& Ring::next_sqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  KVMUX_CHECK(sqe != nullptr, "every request is submitted at once, so the submission queue never fills");
  return *sqe;
}

void Ring::arm_timer(Nanos at, Token token) {
  io_uring_sqe& sqe = next_sqe();
  __kernel_timespec when{at.count() / 1'000'000'000, at.count() % 1'000'000'000};
  io_uring_prep_timeout(&sqe, &when, 0, IORING_TIMEOUT_ABS);  // copied by the submission below
  sqe.user_data = token;
  io_uring_submit(&ring_);
}

void Ring::arm_readable(int fd, Token token) {
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_poll_add(&sqe, fd, POLL_IN);
  sqe.user_data = token;
  io_uring_submit(&ring_);
}

void Ring::arm_eventfd() {
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_read(&sqe, eventfd_.get(), &eventfd_count_, sizeof(eventfd_count_), 0);
  sqe.user_data = kWakeByEventfd;
  io_uring_submit(&ring_);
}

void Ring::wait() {
  io_uring_cqe* cqe = nullptr;
  io_uring_wait_cqe(&ring_, &cqe);  // EINTR is as good as an event: the caller looks round anyway
}

void Ring::wake(Ring* from) {
  if (from != nullptr && from != this && messages_) {
    io_uring_sqe& sqe = from->next_sqe();
    io_uring_prep_msg_ring(&sqe, ring_.ring_fd, 0, kWakeByMessage, 0);
    sqe.user_data = kIgnore;
    io_uring_submit(&from->ring_);
    return;
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written =
      ::write(eventfd_.get(), &one, sizeof(one));  // cannot fail below 2^64-1
}

}  // namespace vmm
