#include "vmm/result.h"

#include <fmt/format.h>

#include <cstring>

namespace vmm {

namespace {

std::string place(const Error& error) {
  if (!error.vm) return {};
  if (!error.vcpu) return fmt::format("vm{}: ", index_of(*error.vm));
  return fmt::format("vm{}/vcpu{}: ", index_of(*error.vm), index_of(*error.vcpu));
}

std::string describe_errno(int value) {
  const char* name = strerrorname_np(value);  // unlike strerror(), both are safe in any thread
  const char* text = strerrordesc_np(value);
  if (name == nullptr || text == nullptr) return fmt::format("errno {}", value);
  return fmt::format("{} ({})", text, name);
}

Failure fail(ErrorKind kind, std::string operation, std::string message, int errno_value) {
  Error error;
  error.kind = kind;
  error.operation = std::move(operation);
  error.message = std::move(message);
  error.errno_value = errno_value;
  return Failure(std::move(error));
}

}  // namespace

std::string Error::text() const {
  std::string line = place(*this) + operation;
  if (errno_value != 0) line += ": " + describe_errno(errno_value);
  if (!message.empty()) line += ": " + message;
  return line;
}

Error Error::in(VmId which) const {
  Error copy = *this;
  copy.vm = which;
  return copy;
}

Error Error::in(VmId which, VcpuIndex index) const {
  Error copy = in(which);
  copy.vcpu = index;
  return copy;
}

int exit_status(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return 2;
    case ErrorKind::kHost:
      return 3;
    case ErrorKind::kGuest:
      return 1;
  }
  return 3;
}

Failure host_error(std::string operation, int errno_value, std::string message) {
  return fail(ErrorKind::kHost, std::move(operation), std::move(message), errno_value);
}

Failure usage_error(std::string operation, std::string message) {
  return fail(ErrorKind::kUsage, std::move(operation), std::move(message), 0);
}

Failure guest_error(std::string operation, std::string message) {
  return fail(ErrorKind::kGuest, std::move(operation), std::move(message), 0);
}

}  // namespace vmm
