// What each kind of thread may ask of the kernel, as data: a row a system call with its reason, and a row an
// ioctl. What is in no row is refused. Pure, any thread.
#pragma once

#include <cstdint>
#include <span>

#include "vmm/sandbox/thread_kind.h"

namespace vmm::sandbox {

enum class Condition : uint8_t {
  kAlways,
  kOfTable,          // ioctl: the request is in ioctls()
  kOwnProcess,       // the first argument is this process
  kNotExecutable,    // the third argument (protection) lacks PROT_EXEC
  kThread,           // clone: a thread of this process, not a new process
  kAnswerNoAccess,   // refused with EACCES, without ending the process
  kAnswerNoSuchCall  // refused with ENOSYS, which the C library expects: it then takes the older call
};

struct SyscallRule {
  int number;
  Kinds kinds;
  Condition condition;
  const char* reason;
};
std::span<const SyscallRule> syscalls();

struct IoctlRule {
  uint32_t request;  // the kernel looks at 32 bits
  Kinds kinds;
  const char* reason;
};
// In the order in which they are compared: the most frequent first.
std::span<const IoctlRule> ioctls();

}  // namespace vmm::sandbox
