#include "vmm/sandbox/ring_limits.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "vmm/run/retry.h"
#include "vmm/sandbox/sandbox.h"

namespace vmm::sandbox {
namespace {

// What an event loop asks for. Messages carry numbers only: passing a descriptor by one needs a table of
// registered files, and registering is not allowed.
constexpr std::array kOperations{IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE,  IORING_OP_READ,
                                 IORING_OP_TIMEOUT,  IORING_OP_ASYNC_CANCEL, IORING_OP_MSG_RING};

// Debian's liburing 2.3 declares functions for these two and does not export them.
int register_at(const io_uring& ring, unsigned what, void* argument, unsigned count) {
  return retried([&] { return ::syscall(SYS_io_uring_register, ring.ring_fd, what, argument, count); });
}

}  // namespace

Result<void> limit_ring(io_uring& ring) {
  if (is_on()) {
    std::array<io_uring_restriction, kOperations.size()> allowed{};
    for (size_t i = 0; i < kOperations.size(); ++i) {
      allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
      allowed[i].sqe_op = static_cast<uint8_t>(kOperations[i]);
    }
    const int error = register_at(ring, IORING_REGISTER_RESTRICTIONS, allowed.data(), allowed.size());
    if (error != 0) return host_error("IORING_REGISTER_RESTRICTIONS", error, "--sandbox off does without");
  }
  const int error = register_at(ring, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (error != 0) return host_error("IORING_REGISTER_ENABLE_RINGS", error);
  return {};
}

}  // namespace vmm::sandbox
