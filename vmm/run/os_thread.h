// What every thread that runs vCPUs does at its start, and what the host's scheduler says about a thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/kvm/fd.h"
#include "vmm/result.h"
#include "vmm/run/clock.h"

namespace vmm {

// The CPUs that this process may run on, in order. Any thread that has not been pinned.
std::vector<int> allowed_cpus();

// The calling thread's id, as tgkill and /proc know it.
pid_t os_thread_id();

// Names the calling thread (15 characters are shown), binds it to these CPUs, and leaves signals to the main thread.
[[nodiscard]] Result<void> settle_thread(const std::string& name, std::span<const int> cpus);

// Binds the calling thread, which has been settled, to other CPUs. On failure it stays where it is.
[[nodiscard]] Result<void> bind_thread(std::span<const int> cpus);

// Binds another thread of this process, which has been settled, to one CPU. False: it stays where it is.
[[nodiscard]] bool bind_other_thread(pid_t thread, int cpu);

// What a thread of this process has had of the host since its start. Any thread; exact for one that does not
// run. Zero where the kernel keeps no such statistics.
struct ThreadUse {
  Nanos ran{};               // on a CPU
  Nanos waited{};            // runnable, but the host ran something else
  uint64_t stretches = 0;    // times it was put on a CPU
  uint64_t preemptions = 0;  // times it was taken off while runnable
};
[[nodiscard]] Result<ThreadUse> thread_use(pid_t thread);

// The same for the calling thread alone, through a file that it opens at its start: in its sandbox it opens none.
class OwnUse {
 public:
  OwnUse() = default;
  [[nodiscard]] static Result<OwnUse> open();
  [[nodiscard]] Result<ThreadUse> read() const;

 private:
  UniqueFd schedstat_;  // none where the kernel keeps no such statistics
};

}  // namespace vmm
