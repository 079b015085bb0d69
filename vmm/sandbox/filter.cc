#include "vmm/sandbox/filter.h"

#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <memory>

#include "vmm/kvm/fd.h"
#include "vmm/run/retry.h"
#include "vmm/sandbox/policy.h"

namespace vmm::sandbox {
namespace {

struct Release {
  void operator()(void* context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

constexpr uint8_t kFirst = 255;  // priority of ioctl: in front of all other comparisons

int add(scmp_filter_ctx context, const SyscallRule& rule, ThreadKind kind) {
  const auto allow = [&](auto... comparisons) {
    return ::seccomp_rule_add_exact(context, SCMP_ACT_ALLOW, rule.number, sizeof...(comparisons),
                                    comparisons...);
  };
  switch (rule.condition) {
    case Condition::kAlways:
      return allow();
    case Condition::kOfTable:
      for (const IoctlRule& ioctl : ioctls()) {
        if (!holds(ioctl.kinds, kind)) continue;
        if (const int error = allow(SCMP_A1_32(SCMP_CMP_EQ, ioctl.request, 0)); error != 0) return error;
      }
      return 0;
    case Condition::kOwnProcess:
      return allow(SCMP_A0_32(SCMP_CMP_EQ, static_cast<uint32_t>(::getpid()), 0));
    case Condition::kNotExecutable:
      return allow(SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    case Condition::kThread:
      return allow(SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM));
    case Condition::kAnswerNoAccess:
      return ::seccomp_rule_add_exact(context, SCMP_ACT_ERRNO(EACCES), rule.number, 0);
    case Condition::kAnswerNoSuchCall:
      return ::seccomp_rule_add_exact(context, SCMP_ACT_ERRNO(ENOSYS), rule.number, 0);
  }
  return -EINVAL;
}

// In front of a filter: KVM_RUN is let through at once. Every exit of every guest passes here.
constexpr sock_filter kFastPath[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVM_RUN, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

bool may_run_guests(ThreadKind kind) {
  return std::ranges::any_of(
      ioctls(), [&](const IoctlRule& rule) { return rule.request == KVM_RUN && holds(rule.kinds, kind); });
}

// The filter as the kernel takes it. libseccomp 2.5 writes it to a descriptor only.
Result<Program> exported(scmp_filter_ctx context) {
  const UniqueFd file(::memfd_create("kvmux-filter", MFD_CLOEXEC));
  if (!file) return host_error("memfd_create", errno);
  if (const int error = ::seccomp_export_bpf(context, file.get()); error != 0) {
    return host_error("seccomp_export_bpf", -error);
  }
  const off_t bytes = ::lseek(file.get(), 0, SEEK_END);
  Program program(static_cast<size_t>(std::max<off_t>(0, bytes)) / sizeof(sock_filter));
  if (bytes <= 0 || ::pread(file.get(), program.data(), static_cast<size_t>(bytes), 0) != bytes) {
    return host_error("read the filter", errno);
  }
  return program;
}

}  // namespace

Result<Program> build_filter(ThreadKind kind) {
  const Context context(::seccomp_init(SCMP_ACT_TRAP));
  if (context == nullptr) return host_error("seccomp_init", ENOMEM);
  for (const SyscallRule& rule : syscalls()) {
    if (!holds(rule.kinds, kind)) continue;
    if (const int error = add(context.get(), rule, kind); error != 0) {
      return host_error(fmt::format("seccomp rule for system call {}", rule.number), -error);
    }
  }
  if (const int error = ::seccomp_syscall_priority(context.get(), SYS_ioctl, kFirst); error != 0) {
    return host_error("seccomp_syscall_priority", -error);
  }
  auto program = exported(context.get());
  if (program && may_run_guests(kind))
    program->insert(program->begin(), std::begin(kFastPath), std::end(kFastPath));
  return program;
}

Result<void> install(const Program& program) {
  const auto no_new_privileges = [] { return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); };
  if (const int error = retried(no_new_privileges); error != 0) {
    return host_error("prctl PR_SET_NO_NEW_PRIVS", error);
  }
  sock_fprog filter{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
  // Kernels before 5.16 take a filter for a wish to be slowed down by mitigations, guests included. Without
  // that flag's bit (before 4.17) they do not.
  constexpr unsigned kFlags[] = {SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0};
  int error = 0;
  for (const unsigned flags : kFlags) {
    error = retried([&] { return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter); });
    if (error == 0) return {};
    if (error != EINVAL) break;
  }
  return host_error("seccomp", error, "--sandbox off does without");
}

bool kernel_has_seccomp() {
  const uint32_t action = SECCOMP_RET_TRAP;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

}  // namespace vmm::sandbox
