// Names of system calls of a traced thread: by number and by what their arguments are about. One thread.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>

namespace fail_test {

struct Call {
  int number = 0;
  std::array<uint64_t, 6> arguments{};
  uint64_t instruction = 0;
};

// "ioctl KVM_RUN", "write stdout", "read eventfd", "futex wait", "futex wait of the libraries".
[[nodiscard]] std::string name_of(pid_t process, const Call& call);

// "kvmux" (main), "thread" (one that has no name yet), "kvmux-w", "kvmux-v", "kvmux-writer".
[[nodiscard]] std::string kind_of_thread(pid_t process, pid_t thread);

// Calls whose failure no program can handle: those that do not return, or do not return errors.
[[nodiscard]] bool can_fail(int number);
// What the kernel can fail. Futexes of the C and C++ libraries: a wake never, a wait with EAGAIN and EINTR; to
// anything else the libraries answer by ending the process, or not at all.
[[nodiscard]] bool can_fail_with(const std::string& call, int error);

}  // namespace fail_test
