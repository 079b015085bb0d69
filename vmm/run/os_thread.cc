#include "vmm/run/os_thread.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "vmm/signal_stack.h"

namespace vmm {

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return {0};
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

pid_t os_thread_id() { return static_cast<pid_t>(::syscall(SYS_gettid)); }

Result<void> settle_thread(const std::string& name, std::span<const int> cpus) {
  ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
  use_signal_stack();
  sigset_t users;
  ::sigemptyset(&users);
  ::sigaddset(&users, SIGINT);
  ::sigaddset(&users, SIGTERM);
  ::sigaddset(&users, SIGHUP);
  ::pthread_sigmask(SIG_BLOCK, &users, nullptr);
  return bind_thread(cpus);
}

Result<void> bind_thread(std::span<const int> cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<size_t>(cpu), &set);
  if (::sched_setaffinity(0, sizeof(set), &set) != 0) return host_error("sched_setaffinity", errno);
  return {};
}

ThreadUse thread_use(pid_t thread) {
  ThreadUse use;
  int64_t ran = 0;
  int64_t waited = 0;
  std::ifstream(fmt::format("/proc/self/task/{}/schedstat", thread)) >> ran >> waited >> use.stretches;
  use.ran = Nanos(ran);
  use.waited = Nanos(waited);
  std::ifstream status(fmt::format("/proc/self/task/{}/status", thread));
  for (std::string key; status >> key;) {
    if (key == "nonvoluntary_ctxt_switches:") status >> use.preemptions;
  }
  return use;
}

Result<OwnUse> OwnUse::open() {
  OwnUse own;
  own.schedstat_ = UniqueFd(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC));
  if (!own.schedstat_ && errno != ENOENT) {
    return host_error("open /proc/thread-self/schedstat", errno,
                      errno == EMFILE ? "raise the limit of open files (ulimit -n)" : "");
  }
  return own;
}

ThreadUse OwnUse::read() const {
  ThreadUse use;
  std::array<char, 96> text{};  // three numbers of at most twenty digits
  if (::pread(schedstat_.get(), text.data(), text.size() - 1, 0) > 0) {
    char* end = text.data();
    use.ran = Nanos(std::strtoll(end, &end, 10));
    use.waited = Nanos(std::strtoll(end, &end, 10));
    use.stretches = std::strtoull(end, &end, 10);
  }
  rusage resources{};
  if (::getrusage(RUSAGE_THREAD, &resources) == 0)
    use.preemptions = static_cast<uint64_t>(resources.ru_nivcsw);
  return use;
}

}  // namespace vmm
