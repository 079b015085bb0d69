#include "vmm/load/multiboot2.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "vmm/load/multiboot2_info.h"
#include "vmm/load/multiboot2_tags.h"
#include "vmm/load/program_headers.h"
#include "vmm/platform/firmware.h"

namespace vmm {
namespace {

constexpr uint32_t kHeaderMagic = 0xe85250d6;
constexpr uint32_t kLoaderMagic = 0x36d76289;
constexpr uint64_t kSearchBytes = 32768;

Failure refuse(std::string why) { return usage_error(kMultiboot2Operation, std::move(why)); }

Result<PhysicalImage> parse_addressed(ImageBytes file, const Multiboot2Header& header,
                                      const Multiboot2Tags& tags) {
  if (!tags.entry) return refuse("the header has an address tag, and no entry address tag");
  AddressFields fields = *tags.address;
  fields.entry = *tags.entry;
  if (tags.from_beginning) {
    if (fields.header_address < header.offset) {
      return refuse(fmt::format("address tag: the file's beginning would lie {} bytes before {:#x}",
                                header.offset, fields.header_address));
    }
    fields.load_address = fields.header_address - static_cast<uint32_t>(header.offset);
  }
  return parse_address_fields(file, header.offset, fields, kMultiboot2Operation);
}

uint64_t start_of(const PhysicalImage& image) {
  return std::ranges::min(image.segments, {}, &PhysicalSegment::start).start.value;
}
// Not end_of(), which is at least 1 MiB.
uint64_t last_end_of(const PhysicalImage& image) {
  uint64_t end = 0;
  for (const PhysicalSegment& s : image.segments) end = std::max(end, s.start.value + s.memory_bytes);
  return end;
}

}  // namespace

std::optional<Multiboot2Header> find_multiboot2(ImageBytes file) {
  const ImageBytes start = file.first(std::min<size_t>(file.size(), kSearchBytes));
  for (uint64_t at = 0; at + 16 <= start.size(); at += 8) {
    const auto h = *read_field<std::array<uint32_t, 4>>(start, at);
    if (h[0] == kHeaderMagic && h[0] + h[1] + h[2] + h[3] == 0) return Multiboot2Header{at, h[1], h[2]};
  }
  return std::nullopt;
}

Result<Multiboot2Image> parse_multiboot2(ImageBytes file, const Multiboot2Header& header) {
  const auto tags = read_multiboot2_tags(file, header);
  if (!tags) return Failure(tags.error());
  if (!tags->address && !is_elf(file)) return refuse("neither an ELF file, nor an address tag in its header");
  const auto entry = tags->entry ? std::optional(Gpa{*tags->entry}) : std::nullopt;
  auto image = tags->address ? parse_addressed(file, header, *tags) : parse_elf_physical(file, entry);
  if (!image) return Failure(image.error());
  auto sections = tags->address ? Result<ElfSections>(ElfSections{}) : read_elf_sections(file);
  if (!sections) return Failure(sections.error());
  return Multiboot2Image{std::move(*image), tags->relocatable, std::move(*sections)};
}

Result<PhysicalImage> relocate(const PhysicalImage& image, const Relocatable& wanted, uint64_t memory_bytes) {
  constexpr uint32_t kLowest = 1;
  constexpr uint32_t kHighest = 2;
  const uint64_t align = std::max(wanted.align, 1u);
  if (!std::has_single_bit(align)) {
    return refuse(fmt::format("relocatable tag: alignment {:#x} is no power of two", align));
  }
  if (wanted.preference > kHighest) {
    return refuse(fmt::format("relocatable tag: preference {}, accepted are 0 to 2", wanted.preference));
  }
  const uint64_t from =
      (std::max<uint64_t>(wanted.lowest, kHighMemoryStart.value) + align - 1) / align * align;
  const uint64_t to = std::min(uint64_t{wanted.highest} + 1, memory_bytes);
  const uint64_t linked = start_of(image);
  const uint64_t bytes = last_end_of(image) - linked;
  if (to < from || bytes > to - from) {
    return refuse(fmt::format(
        "relocatable tag: no room for {:#x} bytes between {:#x} and {:#x}, at a multiple of {:#x}", bytes,
        std::max<uint64_t>(wanted.lowest, kHighMemoryStart.value), to, align));
  }
  const bool may_stay = linked >= from && linked + bytes <= to && linked % align == 0;
  const uint64_t base = wanted.preference == kHighest              ? (to - bytes) / align * align
                        : wanted.preference != kLowest && may_stay ? linked
                                                                   : from;
  PhysicalImage moved = image;
  for (PhysicalSegment& s : moved.segments) s.start = Gpa{s.start.value - linked + base};
  moved.entry = Gpa{moved.entry.value - linked + base};
  return moved;
}

Result<StartState> load_multiboot2(ImageBytes file, const Multiboot2Header& header,
                                   std::span<const BootModule> modules, const std::string& cmdline,
                                   const GuestMemory& memory) {
  auto parsed = parse_multiboot2(file, header);
  if (!parsed) return Failure(parsed.error());
  Multiboot2Kernel kernel;
  kernel.sections = std::move(parsed->sections);
  if (parsed->relocatable) {
    auto moved = relocate(parsed->image, *parsed->relocatable, memory.size());
    if (!moved) return Failure(moved.error());
    parsed->image = std::move(*moved);
    kernel.load_base = Gpa{start_of(parsed->image)};
  }
  if (auto ok = place(file, parsed->image, memory); !ok) return Failure(ok.error());
  kernel.start = Gpa{start_of(parsed->image)};
  kernel.end = end_of(parsed->image);
  const auto info = write_multiboot2_info(std::move(kernel), modules, cmdline, memory);
  if (!info) return Failure(info.error());
  return StartState{.mode = CpuMode::kProtected,
                    .entry = parsed->image.entry,
                    .registers = {.rax = kLoaderMagic, .rbx = info->value}};
}

}  // namespace vmm
