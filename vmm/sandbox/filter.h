// The policy's rows of one kind of thread as a seccomp filter: built once by libseccomp, put on as often as
// threads start.
//
// build_filter() allocates and takes a millisecond; install() is three system calls. Any thread.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "vmm/result.h"
#include "vmm/sandbox/thread_kind.h"

namespace vmm::sandbox {

using Program = std::vector<sock_filter>;

// What is in no row traps (SIGSYS, see violation.h). It names the calling process: not for its children.
[[nodiscard]] Result<Program> build_filter(ThreadKind kind);

// Puts it on the calling thread and what that starts from then on, for good, on top of those it has. Sets
// no_new_privs, without which an unprivileged thread may not.
[[nodiscard]] Result<void> install(const Program& program);

// Whether this kernel (and the container around us) takes filters that trap.
[[nodiscard]] bool kernel_has_seccomp();

}  // namespace vmm::sandbox
