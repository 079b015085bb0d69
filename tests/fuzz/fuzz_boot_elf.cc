// The ELF loader of `kvmux boot` (ELF32 and ELF64 by physical address) on arbitrary bytes.
#include <cstddef>
#include <cstdint>

#include "vmm/check.h"
#include "vmm/load/physical_image.h"

namespace {

const vmm::GuestMemory& guest() {
  static const vmm::GuestMemory memory =
      vmm::GuestMemory::allocate(uint64_t{4} << 20, vmm::Prefault::kNo).value();
  return memory;
}

void check_promises(const vmm::PhysicalImage& image, size_t file_bytes) {
  bool entry_inside = false;
  for (const vmm::PhysicalSegment& s : image.segments) {
    KVMUX_CHECK(s.memory_bytes > 0 && s.file_bytes <= s.memory_bytes, "a segment holds its file bytes");
    KVMUX_CHECK(s.file_offset <= file_bytes && s.file_bytes <= file_bytes - s.file_offset, "inside the file");
    KVMUX_CHECK(s.start.value + s.memory_bytes >= s.start.value, "without overflow");
    entry_inside = entry_inside || image.entry.value - s.start.value < s.memory_bytes;
  }
  KVMUX_CHECK(entry_inside, "the entry is in a segment");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const auto image = vmm::parse_elf_physical(file);
  if (!image) {
    KVMUX_CHECK(image.error().kind == vmm::ErrorKind::kUsage, "a bad image is the user's to fix");
    return 0;
  }
  check_promises(*image, size);
  const auto placed = vmm::place(file, *image, guest());
  bool fits = true;
  for (const vmm::PhysicalSegment& s : image->segments) {
    fits = fits && vmm::is_guests(s.start, s.memory_bytes, guest().size());
  }
  KVMUX_CHECK(!placed || fits, "placed only in the guest's memory");
  return 0;
}
