#include "vmm/sandbox/violation.h"

#include <fmt/format.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "vmm/last_words.h"

namespace vmm::sandbox {
namespace {

constexpr size_t kNames = 512;
std::array<const char*, kNames> names{};  // of system calls: written before the handler is there

thread_local ThreadKind this_kind = ThreadKind::kMain;
thread_local std::array<char, 16> this_name{};

// The name was resolved before: to ask libseccomp now could wait for a lock that this thread holds.
const char* name_of_call(int number) {
  const auto index = static_cast<size_t>(number);
  return index < kNames && names[index] != nullptr ? names[index] : "system call";
}

void on_violation(int, siginfo_t* info, void*) {
  // A thread that was still in its set-up has its maker's kind, which may ask for its name.
  if (this_name[0] == '\0') ::prctl(PR_GET_NAME, this_name.data());
  std::array<char, 320> text;
  const auto end = fmt::format_to_n(
      text.data(), text.size(),
      "kvmux: sandbox: thread {} ({}) called {} ({}) at {:#x}, which its kind may not; this is a fault of "
      "kvmux, or of a guest that broke out of it (--sandbox off takes the filters away)\n",
      this_name.data(), name_of(this_kind), name_of_call(info->si_syscall), info->si_syscall,
      reinterpret_cast<uintptr_t>(info->si_call_addr));
  last_words({text.data(), std::min(end.size, text.size())});
  ::_exit(kViolationStatus);
}

void resolve_names() {
  for (size_t i = 0; i < kNames; ++i) {
    // Owned by nobody: the table lives as long as the process.
    names[i] = ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(i));
  }
}

Result<void> set_handler() {
  resolve_names();
  struct sigaction action {};
  action.sa_sigaction = on_violation;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  if (::sigaction(SIGSYS, &action, nullptr) != 0) return host_error("sigaction SIGSYS", errno);
  return {};
}

}  // namespace

Result<void> report_violations() {
  static const Result<void> done = set_handler();
  return done;
}

void remember_kind(ThreadKind kind) {
  this_kind = kind;
  ::pthread_getname_np(::pthread_self(), this_name.data(), this_name.size());
}

}  // namespace vmm::sandbox
