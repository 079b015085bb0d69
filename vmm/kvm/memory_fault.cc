#include "vmm/kvm/memory_fault.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

namespace vmm {

std::optional<MemoryFault> memory_fault(const kvm_run& area) {
  if (area.exit_reason != kExitMemoryFault) return std::nullopt;
  std::array<uint64_t, 3> said{};  // flags, gpa, size
  static_assert(sizeof(said) <= sizeof(area.padding), "the union of all exits is larger");
  std::memcpy(said.data(), area.padding, sizeof(said));
  return MemoryFault{.flags = said[0], .address = Gpa{said[1]}, .bytes = said[2]};
}

std::string describe(const MemoryFault& fault) {
  return fmt::format("KVM cannot map guest memory at {:#x}, {:#x} bytes (flags {:#x})", fault.address.value,
                     fault.bytes, fault.flags);
}

}  // namespace vmm
