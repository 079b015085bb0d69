// One guest for all inputs of a loader's harness: loading must never depend on what was there before.
#pragma once

#include "vmm/kvm/memory.h"

namespace fuzz {

inline const vmm::GuestMemory& guest() {
  static const vmm::GuestMemory memory =
      vmm::GuestMemory::allocate(uint64_t{8} << 20, vmm::Prefault::kNo).value();
  return memory;
}

}  // namespace fuzz
