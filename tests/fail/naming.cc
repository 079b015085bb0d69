#include "tests/fail/naming.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <linux/kvm.h>
#include <seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "vmm/kvm/ioctl_numbers.h"

namespace fail_test {
namespace {

constexpr std::string_view kOfLibraries = " of the libraries";

std::string plain_name(int number) {
  char* const name = ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
  std::string text = name != nullptr ? name : fmt::format("call {}", number);
  std::free(name);
  return text;
}

std::string ioctl_name(uint32_t request) {
  switch (request) {
    case static_cast<uint32_t>(KVM_RUN):
      return "KVM_RUN";
    case static_cast<uint32_t>(KVM_GET_REGS):
      return "KVM_GET_REGS";
    case static_cast<uint32_t>(KVM_GET_SREGS):
      return "KVM_GET_SREGS";
    case static_cast<uint32_t>(KVM_CREATE_VM):
      return "KVM_CREATE_VM";
    case static_cast<uint32_t>(KVM_CREATE_VCPU):
      return "KVM_CREATE_VCPU";
    case static_cast<uint32_t>(KVM_IRQ_LINE):
      return "KVM_IRQ_LINE";
    case static_cast<uint32_t>(KVM_SIGNAL_MSI):
      return "KVM_SIGNAL_MSI";
    case static_cast<uint32_t>(vmm::kKvmSetGsiRouting):
      return "KVM_SET_GSI_ROUTING";
    default:
      return fmt::format("{:#x}", request);
  }
}

// What a descriptor is, without what differs from run to run.
std::string descriptor_name(pid_t process, int fd) {
  if (fd == STDIN_FILENO) return "stdin";
  if (fd == STDOUT_FILENO) return "stdout";
  if (fd == STDERR_FILENO) return "stderr";
  std::array<char, 256> link{};
  const std::string path = fmt::format("/proc/{}/fd/{}", process, fd);
  const ssize_t size = ::readlink(path.c_str(), link.data(), link.size());
  if (size <= 0) return "nothing";
  std::string target(link.data(), static_cast<size_t>(size));
  constexpr std::string_view kAnonymous = "anon_inode:";
  if (target.starts_with(kAnonymous)) target.erase(0, kAnonymous.size());
  std::erase_if(target, [](char c) { return c == '[' || c == ']' || (c >= '0' && c <= '9'); });
  return target;
}

// Of the mapping that holds the C library's code in a process: ASLR moves it as a whole.
uint64_t libc_base(pid_t process) {
  std::ifstream maps(fmt::format("/proc/{}/maps", process));
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/libc.so") != std::string::npos) return std::strtoull(line.c_str(), nullptr, 16);
  }
  return 0;
}

// Made through syscall(2): not the C library's own.
bool is_direct(pid_t process, uint64_t instruction) {
  constexpr uint64_t kSize = 64;  // of that function
  static const uint64_t offset =
      reinterpret_cast<uint64_t>(::dlsym(RTLD_DEFAULT, "syscall")) - libc_base(::getpid());
  const uint64_t start = libc_base(process) + offset;
  return instruction >= start && instruction < start + kSize;
}

// The C++ library's futures call through syscall(2) as kvmux does, but their futexes are not private.
std::string futex_name(pid_t process, const Call& call) {
  const int operation = static_cast<int>(call.arguments[1]) & FUTEX_CMD_MASK;
  const bool wakes = operation == FUTEX_WAKE || operation == FUTEX_WAKE_BITSET ||
                     operation == FUTEX_REQUEUE || operation == FUTEX_CMP_REQUEUE ||
                     operation == FUTEX_WAKE_OP;
  const bool is_private = (call.arguments[1] & FUTEX_PRIVATE_FLAG) != 0;
  const bool is_ours = is_private && is_direct(process, call.instruction);
  return fmt::format("futex {}{}", wakes ? "wake" : "wait", is_ours ? "" : kOfLibraries);
}

}  // namespace

std::string name_of(pid_t process, const Call& call) {
  const std::string plain = plain_name(call.number);
  switch (call.number) {
    case SYS_ioctl:
      return plain + " " + ioctl_name(static_cast<uint32_t>(call.arguments[1]));
    case SYS_futex:
      return futex_name(process, call);
    case SYS_read:
    case SYS_write:
    case SYS_pread64:
    case SYS_close:
    case SYS_fstat:
    case SYS_fcntl:
    case SYS_lseek:
      return plain + " " + descriptor_name(process, static_cast<int>(call.arguments[0]));
    case SYS_mmap:
      return plain + ((call.arguments[2] & 4) != 0 ? " code" : call.arguments[4] < (1u << 30) ? " file" : "");
    default:
      return plain;
  }
}

std::string kind_of_thread(pid_t process, pid_t thread) {
  std::string name;
  std::getline(std::ifstream(fmt::format("/proc/{}/task/{}/comm", process, thread)), name);
  if (process == thread) return "kvmux";
  if (name == "kvmux") return "thread";
  const size_t digit = name.find_first_of("0123456789");
  return name.substr(0, digit);
}

bool can_fail(int number) {
  constexpr std::array kNever{SYS_rt_sigreturn,    SYS_exit,        SYS_exit_group,
                              SYS_restart_syscall, SYS_execve,      SYS_arch_prctl,
                              SYS_set_tid_address, SYS_brk,         SYS_getpid,
                              SYS_gettid,          SYS_sched_yield, SYS_rseq};  // the C library aborts
  return std::find(kNever.begin(), kNever.end(), number) == kNever.end();
}

bool can_fail_with(const std::string& call, int error) {
  if (!call.ends_with(kOfLibraries)) return true;
  return call.starts_with("futex wait") && (error == EAGAIN || error == EINTR);
}

}  // namespace fail_test
