// A worker's io_uring is a second way into the kernel that no seccomp filter sees: unlimited, it opens files
// and sockets for whoever may submit to it. So it is made disabled, limited to waiting and waking, and then
// enabled; its limits cannot be lifted (Linux 5.10).
//
//   io_uring_queue_init(entries, &ring, kDisabledRing);  … probe …;  limit_ring(ring)
#pragma once

#include <liburing.h>

#include "vmm/result.h"

namespace vmm::sandbox {

inline constexpr unsigned kDisabledRing = IORING_SETUP_R_DISABLED;

// Enables the ring; before, if the sandbox is on, allows it nothing but the operations of an event loop. Once
// a ring, by its owner, before its first submission.
[[nodiscard]] Result<void> limit_ring(io_uring& ring);

}  // namespace vmm::sandbox
