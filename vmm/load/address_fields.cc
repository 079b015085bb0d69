#include "vmm/load/address_fields.h"

#include <fmt/format.h>

namespace vmm {

Result<PhysicalImage> parse_address_fields(ImageBytes file, uint64_t header_offset, const AddressFields& f,
                                           const char* operation) {
  const auto bad = [&](const char* why) {
    return usage_error(operation,
                       fmt::format("address fields of the header at offset {:#x}: {}", header_offset, why));
  };
  if (f.load_address > f.header_address) return bad("the load address lies above the header's");
  const uint64_t before = f.header_address - f.load_address;
  if (before > header_offset) return bad("the load address lies before the file's beginning");
  PhysicalSegment segment{.start = Gpa{f.load_address}, .file_offset = header_offset - before};
  segment.file_bytes = file.size() - segment.file_offset;
  if (f.load_end != 0) {
    if (f.load_end <= f.load_address) return bad("the load end lies below the load address");
    const uint64_t wanted = f.load_end - f.load_address;
    if (wanted > segment.file_bytes) return bad("the load end lies behind the file's end");
    segment.file_bytes = wanted;
  }
  segment.memory_bytes = segment.file_bytes;
  if (f.bss_end != 0) {
    if (f.bss_end < f.load_address + segment.file_bytes) return bad("the bss ends inside the loaded part");
    segment.memory_bytes = f.bss_end - f.load_address;
  }
  if (f.entry - uint64_t{f.load_address} >= segment.memory_bytes)
    return bad("the entry is outside of the image");
  return PhysicalImage{.segments = {segment}, .entry = Gpa{f.entry}, .is_64bit = false};
}

}  // namespace vmm
