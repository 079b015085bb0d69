// What all boot formats hand over alike: modules behind the kernel, and small tables and texts in the
// handover area, [kHandoverStart, kEbda) of platform/firmware.h.
//
// Order: place_modules(), then a Handover: put() and reserve(), write() what was reserved, finish() last.
// Set-up, one thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "vmm/kvm/memory.h"
#include "vmm/load/image_bytes.h"
#include "vmm/platform/firmware.h"
#include "vmm/result.h"

namespace vmm {

struct BootModule {
  ImageBytes bytes;
  std::string text;  // its "string" in the boot information
};

// Copies each to the next page boundary from `from` on; where each begins. Usage error: one does not fit.
[[nodiscard]] Result<std::vector<Gpa>> place_modules(std::span<const BootModule> modules, Gpa from,
                                                     const GuestMemory& memory);

// Puts things one behind the other, 8-byte aligned. What no longer fits is not written; finish() says so.
class Handover {
 public:
  explicit Handover(const GuestMemory& memory) : memory_(memory) {}

  Gpa put(std::span<const std::byte> bytes);
  Gpa put(const std::string& text);  // with a closing zero
  Gpa reserve(uint64_t bytes);
  void write(Gpa at, std::span<const std::byte> bytes);
  // Usage error: texts and tables are larger than the area.
  [[nodiscard]] Result<void> finish() const;

 private:
  const GuestMemory& memory_;
  Gpa at_ = kHandoverStart;
  Result<void> result_;
};

}  // namespace vmm
