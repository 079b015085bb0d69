#include "vmm/signal_stack.h"

#include <array>
#include <csignal>
#include <cstddef>

namespace vmm {
namespace {

// The kernel's frame alone takes up to 11 KiB where the processor has AMX.
constexpr size_t kBytes = size_t{64} << 10;

}  // namespace

// In the thread's own storage: it goes with the thread and needs no system call to do so. Untouched, it costs
// addresses only.
void use_signal_stack() {
  alignas(16) static thread_local std::array<std::byte, kBytes> memory;
  stack_t now{};
  if (::sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return;  // a sanitizer's, or ours
  stack_t ours{};
  ours.ss_sp = memory.data();
  ours.ss_size = memory.size();
  static_cast<void>(::sigaltstack(&ours, nullptr));  // fails for bad arguments only
}

}  // namespace vmm
