#include "vmm/run/spin_sample.h"

#include <algorithm>
#include <array>

namespace vmm {

uint64_t find_pause_loop(const Vcpu& vcpu, const GuestMemory& memory) {
  // A spin loop is PAUSE, a load, a compare, a branch and perhaps a counter: RIP is never far from the PAUSE.
  constexpr uint64_t kReach = 24;
  const uint64_t rip = vcpu.kvm.rip();
  if (rip < kReach) return 0;
  std::array<uint8_t, 2 * kReach> code{};
  if (!memory.read(Gpa{rip - kReach}, std::as_writable_bytes(std::span(code)))) return 0;
  const std::array<uint8_t, 2> pause{0xf3, 0x90};
  const auto found = std::search(code.begin(), code.end(), pause.begin(), pause.end());
  if (found == code.end()) return 0;
  return rip - kReach + static_cast<uint64_t>(found - code.begin());
}

}  // namespace vmm
