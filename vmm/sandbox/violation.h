// What happens when a thread asks for what its filter refuses: one line that names the thread, its kind, the
// system call and where it was made, and the end of the process with status 3.
//
// Why it ends: such a call is a fault of ours or the act of a guest that broke out, and no result after it
// can be believed. Why a trap (SIGSYS) and not SECCOMP_RET_KILL_PROCESS: a kill says nothing. A thread that
// blocks or has replaced the handler gains nothing: the kernel forces the signal, and the call is not made.
#pragma once

#include "vmm/result.h"
#include "vmm/sandbox/thread_kind.h"

namespace vmm::sandbox {

inline constexpr int kViolationStatus = 3;

// Once a process, any thread; before the first filter.
[[nodiscard]] Result<void> report_violations();

// The calling thread is of this kind from now on; its messages say so.
void remember_kind(ThreadKind kind);

}  // namespace vmm::sandbox
