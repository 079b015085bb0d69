// How the host side reports failure: a Result<T> that cannot be ignored, with an Error that names the
// operation, the errno and the VM or vCPU. Value types, any thread.
//
//   Result<int> open_it() {
//     int fd = ::open(...);
//     if (fd < 0) return host_error("open /dev/kvm", errno);
//     return fd;
//   }
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "vmm/ids.h"

namespace vmm {

// Decides the process's exit status: see exit_status().
enum class ErrorKind : uint8_t {
  kUsage,  // what the user asked for cannot be: names flag, value and what is accepted
  kHost,   // the host lacks or refuses something
  kGuest,  // a guest misbehaved; only that guest ends
};

struct Error {
  ErrorKind kind = ErrorKind::kHost;
  std::string operation;  // what was tried: "KVM_CREATE_VCPU"
  std::string message;    // what it means or what to do about it; may be empty
  int errno_value = 0;    // 0: no system call failed
  std::optional<VmId> vm;
  std::optional<VcpuIndex> vcpu;

  // "vm0/vcpu3: KVM_CREATE_VCPU: Too many open files (EMFILE): raise the limit with ulimit -n". One line.
  [[nodiscard]] std::string text() const;

  // The same error with the VM, or VM and vCPU, it happened to.
  [[nodiscard]] Error in(VmId which) const;
  [[nodiscard]] Error in(VmId which, VcpuIndex index) const;
};

// 2 for usage, 3 for the host, 1 for a guest.
[[nodiscard]] int exit_status(ErrorKind kind);

template <class T>
using Result = tl::expected<T, Error>;
using Failure = tl::unexpected<Error>;

[[nodiscard]] Failure host_error(std::string operation, int errno_value, std::string message = {});
[[nodiscard]] Failure usage_error(std::string operation, std::string message);
[[nodiscard]] Failure guest_error(std::string operation, std::string message);

}  // namespace vmm
