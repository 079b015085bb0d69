#include "vmm/run/os_thread.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <string_view>

#include "vmm/run/retry.h"
#include "vmm/signal_stack.h"
#include "vmm/thread_signals.h"

namespace vmm {

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (retried([&] { return ::sched_getaffinity(0, sizeof(set), &set); }) != 0) {
    // All that are online: one that is not allowed is refused when a thread is bound to it.
    for (long cpu = 0; cpu < std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)); ++cpu)
      CPU_SET(static_cast<size_t>(cpu), &set);
  }
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

pid_t os_thread_id() { return static_cast<pid_t>(::syscall(SYS_gettid)); }

Result<void> settle_thread(const std::string& name, std::span<const int> cpus) {
  ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
  use_signal_stack();
  leave_signals_to_main();
  return bind_thread(cpus);
}

Result<void> bind_thread(std::span<const int> cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<size_t>(cpu), &set);
  const int error = retried([&] { return ::sched_setaffinity(0, sizeof(set), &set); });
  if (error != 0) return host_error("sched_setaffinity", error);
  return {};
}

bool bind_other_thread(pid_t thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  return retried([&] { return ::sched_setaffinity(thread, sizeof(set), &set); }) == 0;
}

namespace {

// A file of the kernel's own that fits into `text`, read whole. 0 or an errno.
int read_small_file(const std::string& path, std::span<char> text, std::string_view& content) {
  UniqueFd file;
  const int opened = retried([&] {
    file = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return file.get();
  });
  if (opened != 0) return opened;
  ssize_t got = 0;
  const int error = retried([&] { return got = ::read(file.get(), text.data(), text.size()); });
  content = {text.data(), static_cast<size_t>(std::max<ssize_t>(0, got))};
  return error;
}

// Three numbers.
void read_schedstat(std::string_view text, ThreadUse& use) {
  std::istringstream words{std::string(text)};
  int64_t ran = 0;
  int64_t waited = 0;
  words >> ran >> waited >> use.stretches;
  use.ran = Nanos(ran);
  use.waited = Nanos(waited);
}

}  // namespace

Result<ThreadUse> thread_use(pid_t thread) {
  ThreadUse use;
  std::array<char, 4096> text;
  std::string_view content;
  const std::string folder = fmt::format("/proc/self/task/{}/", thread);
  int error = read_small_file(folder + "schedstat", text, content);
  if (error != 0 && error != ENOENT) return host_error("read " + folder + "schedstat", error);
  if (error == 0) read_schedstat(content, use);
  error = read_small_file(folder + "status", text, content);
  if (error != 0) return host_error("read " + folder + "status", error);
  constexpr std::string_view kKey = "nonvoluntary_ctxt_switches:";
  const size_t at = content.find(kKey);
  if (at != std::string_view::npos) {
    use.preemptions = std::strtoull(std::string(content.substr(at + kKey.size())).c_str(), nullptr, 10);
  }
  return use;
}

Result<OwnUse> OwnUse::open() {
  OwnUse own;
  const int error = retried([&] {
    own.schedstat_ = UniqueFd(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC));
    return own.schedstat_.get();
  });
  if (error != 0 && error != ENOENT) {
    return host_error("open /proc/thread-self/schedstat", error,
                      error == EMFILE ? "raise the limit of open files (ulimit -n)" : "");
  }
  return own;
}

Result<ThreadUse> OwnUse::read() const {
  ThreadUse use;
  if (schedstat_) {
    std::array<char, 96> text{};  // three numbers of at most twenty digits
    ssize_t got = 0;
    const int error = retried([&] { return got = ::pread(schedstat_.get(), text.data(), text.size(), 0); });
    if (error != 0) return host_error("read /proc/thread-self/schedstat", error);
    read_schedstat({text.data(), static_cast<size_t>(got)}, use);
  }
  rusage resources{};
  const int error = retried([&] { return ::getrusage(RUSAGE_THREAD, &resources); });
  if (error != 0) return host_error("getrusage", error);
  use.preemptions = static_cast<uint64_t>(resources.ru_nivcsw);
  return use;
}

}  // namespace vmm
