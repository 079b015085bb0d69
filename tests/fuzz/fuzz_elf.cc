// ELF64 loader on arbitrary bytes: no crash, no access outside of file or guest, and whatever is accepted
// keeps the promises of elf.h.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/guest.h"
#include "vmm/check.h"
#include "vmm/load/elf.h"
#include "vmm/load/symbols.h"
#include "vmm/load/layout.h"

namespace {

using fuzz::guest;

void check_promises(const vmm::ElfImage& image, size_t file_bytes) {
  bool entry_runs = false;
  vmm::Gpa above{0};
  for (const vmm::ElfSegment& s : image.segments) {
    KVMUX_CHECK(s.memory_bytes > 0 && s.file_bytes <= s.memory_bytes, "a segment holds its file bytes");
    KVMUX_CHECK(s.file_offset <= file_bytes && s.file_bytes <= file_bytes - s.file_offset, "inside the file");
    KVMUX_CHECK(s.start >= above, "ascending, without overlap");
    above = s.start + s.memory_bytes;
    KVMUX_CHECK(above > s.start, "without overflow");
    entry_runs = entry_runs || (s.executable && image.entry >= s.start && image.entry < above);
  }
  KVMUX_CHECK(entry_runs, "the entry is executable");
  KVMUX_CHECK(image.end == above, "the end is the highest segment's");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  // Whatever the file is: names are short and printable.
  const vmm::SymbolTable symbols = vmm::parse_symbols(file, "fuzz").value_or(vmm::SymbolTable{});
  for (const uint64_t address : {uint64_t{0x100000}, uint64_t{0x200010}, ~uint64_t{0}}) {
    KVMUX_CHECK(symbols.name_at(address).size() < 120, "names are cut");
  }
  const auto image = vmm::parse_elf64(file);
  if (!image) {
    KVMUX_CHECK(image.error().kind == vmm::ErrorKind::kUsage, "a bad image is the user's to fix");
    return 0;
  }
  check_promises(*image, size);
  const vmm::Gpa limit{guest().size()};
  const auto loaded = vmm::load_elf64(file, *image, guest(), limit);
  const bool fits = image->segments.front().start >= vmm::kImageStart && image->end <= limit;
  KVMUX_CHECK(loaded.has_value() == fits, "loaded if and only if it fits");
  static_cast<void>(vmm::plan_layout({.vcpu_count = 4, .image_end = image->end}));
  return 0;
}
