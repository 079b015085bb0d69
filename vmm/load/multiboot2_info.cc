#include "vmm/load/multiboot2_info.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "vmm/platform/acpi.h"
#include "vmm/platform/firmware.h"

namespace vmm {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kPage = 4096;
constexpr uint32_t kRsdp1Bytes = 20;  // of ACPI 1.0

enum InfoType : uint32_t {
  kEnd = 0,
  kCmdline = 1,
  kLoaderName = 2,
  kModule = 3,
  kBasicMemory = 4,
  kMemoryMap = 6,
  kElfSections = 9,
  kRsdp1 = 14,
  kRsdp2 = 15,
  kLoadBase = 21,
};

struct MapEntry {
  uint64_t start, bytes;
  uint32_t type, reserved;
};
static_assert(sizeof(MapEntry) == 24);

uint32_t low32(Gpa at) { return static_cast<uint32_t>(at.value); }

ImageBytes bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.c_str(), text.size() + 1));
}

// The information as it grows: tags at multiples of 8, sizes without the padding (3.6.2).
class Information {
 public:
  void add(InfoType type, std::span<const uint32_t> words, ImageBytes rest = {}) {
    const uint64_t content = words.size_bytes() + rest.size();
    const std::array<uint32_t, 2> head{type, static_cast<uint32_t>(sizeof(head) + content)};
    append(std::as_bytes(std::span(head)));
    append(std::as_bytes(words));
    append(rest);
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
  }
  // With its end, and its size in front.
  const std::vector<std::byte>& finish() {
    add(kEnd, {});
    const auto size = static_cast<uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &size, sizeof(size));
    return bytes_;
  }

 private:
  void append(ImageBytes more) { bytes_.insert(bytes_.end(), more.begin(), more.end()); }

  std::vector<std::byte> bytes_ = std::vector<std::byte>(8);  // total size, reserved
};

uint64_t whole_pages(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// Behind the kernel, or from 1 MiB on where they fit only there: a kernel may want to lie at memory's end.
Gpa room_for(std::span<const BootModule> pieces, const Multiboot2Kernel& kernel, uint64_t memory_bytes) {
  uint64_t bytes = 0;
  for (const BootModule& piece : pieces) bytes += whole_pages(piece.bytes.size());
  const bool fits_behind = whole_pages(kernel.end.value) + bytes <= memory_bytes;
  const bool fits_below = kHighMemoryStart + bytes <= kernel.start;
  return !fits_behind && fits_below ? kHighMemoryStart : kernel.end;
}

// Sections first: they are the kernel's.
std::vector<BootModule> pieces_of(const ElfSections& sections, std::span<const BootModule> modules) {
  std::vector<BootModule> pieces;
  for (const auto& [index, content] : sections.unplaced) {
    pieces.push_back({content, fmt::format("section {} of the kernel", index)});
  }
  pieces.insert(pieces.end(), modules.begin(), modules.end());
  return pieces;
}

void add_memory(uint64_t memory_bytes, Information& info) {
  const std::array sizes{static_cast<uint32_t>(kEbda.value / kKiB),
                         static_cast<uint32_t>((memory_bytes - kHighMemoryStart.value) / kKiB)};
  info.add(kBasicMemory, sizes);
  std::vector<MapEntry> map;
  for (const MemoryRange& range : memory_map(memory_bytes)) {
    map.push_back({range.start.value, range.bytes, static_cast<uint32_t>(range.type), 0});
  }
  constexpr std::array<uint32_t, 2> kFormat{sizeof(MapEntry), 0};  // entry size, version
  info.add(kMemoryMap, kFormat, std::as_bytes(std::span(map)));
}

Result<void> add_rsdp(const GuestMemory& memory, Information& info) {
  const auto rsdp = memory.load<std::array<std::byte, kRsdpBytes>>(kAcpiStart);
  if (!rsdp) return Failure(rsdp.error());
  info.add(kRsdp1, {}, std::span(*rsdp).first(kRsdp1Bytes));
  info.add(kRsdp2, {}, *rsdp);
  return {};
}

// The specification's text has count, size and index of 16 bits; its multiboot2.h, GRUB and kernels have 32.
void add_sections(const ElfSections& sections, Information& info) {
  if (sections.count == 0) return;
  const std::array words{sections.count, sections.header_bytes, sections.names};
  info.add(kElfSections, words, sections.headers);
}

}  // namespace

Result<Gpa> write_multiboot2_info(Multiboot2Kernel kernel, std::span<const BootModule> modules,
                                  const std::string& cmdline, const GuestMemory& memory) {
  ElfSections& sections = kernel.sections;
  const auto pieces = pieces_of(sections, modules);
  const auto starts = place_modules(pieces, room_for(pieces, kernel, memory.size()), memory);
  if (!starts) return Failure(starts.error());
  const size_t own = sections.unplaced.size();
  for (size_t i = 0; i < own; ++i) set_section_address(sections, sections.unplaced[i].index, (*starts)[i]);
  Information info;
  info.add(kCmdline, {}, bytes_of(cmdline));
  info.add(kLoaderName, {}, bytes_of("kvmux"));
  for (size_t i = own; i < pieces.size(); ++i) {
    const Gpa start = (*starts)[i];
    const std::array range{low32(start), low32(start + pieces[i].bytes.size())};
    info.add(kModule, range, bytes_of(pieces[i].text));
  }
  add_memory(memory.size(), info);
  if (auto ok = add_rsdp(memory, info); !ok) return Failure(ok.error());
  add_sections(sections, info);
  if (kernel.load_base) {
    const std::array base{low32(*kernel.load_base)};
    info.add(kLoadBase, base);
  }
  Handover handover(memory);
  const Gpa at = handover.put(info.finish());
  if (auto ok = handover.finish(); !ok) return Failure(ok.error());
  return at;
}

}  // namespace vmm
