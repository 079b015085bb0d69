// What the host says of a thread of this process, by /proc: from files that are opened before the sandbox
// closes. Opened by one thread, read by the watcher.
#pragma once

#include <sys/types.h>

#include "vmm/kvm/fd.h"
#include "vmm/watch/judge.h"

namespace vmm::watch {

class ThreadFiles {
 public:
  // What cannot be opened (no descriptors left, a kernel without the file) is unknown later, which costs
  // words but no run.
  explicit ThreadFiles(pid_t thread);
  [[nodiscard]] ThreadHost read() const;

 private:
  UniqueFd stat_;
  UniqueFd schedstat_;
};

// The state letter of a line of /proc/PID/stat, whose name in parentheses may hold anything; '?': there is
// none.
[[nodiscard]] char state_letter(std::string_view stat);

}  // namespace vmm::watch
