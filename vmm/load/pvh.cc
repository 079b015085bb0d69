#include "vmm/load/pvh.h"

#include <elf.h>
#include <fmt/format.h>

#include <optional>
#include <string_view>
#include <vector>

#include "vmm/load/program_headers.h"
#include "vmm/platform/firmware.h"

namespace vmm {
namespace {

constexpr uint32_t kPhys32Entry = 18;  // XEN_ELFNOTE_PHYS32_ENTRY
constexpr std::string_view kOwner{"Xen", 4};
constexpr uint32_t kStartMagic = 0x336ec578;
constexpr uint32_t kStartVersion = 1;  // the first with a memory map

struct StartInfo {
  uint32_t magic, version, flags, module_count;
  uint64_t modules, cmdline, rsdp, map;
  uint32_t map_entries, reserved;
};
static_assert(sizeof(StartInfo) == 56);

struct ModuleEntry {
  uint64_t start, bytes, cmdline, reserved;
};
static_assert(sizeof(ModuleEntry) == 32);

struct MapEntry {
  uint64_t start, bytes;
  uint32_t type, reserved;
};
static_assert(sizeof(MapEntry) == 24);

Failure refuse(std::string why) { return usage_error("load PVH image", std::move(why)); }

// What the entry's note holds, if it is among these. Notes are padded to 4 bytes, in segments aligned to 8
// to 8.
std::optional<ImageBytes> find_note(ImageBytes notes, uint64_t align) {
  const auto padded = [align](uint64_t bytes) { return (bytes + align - 1) / align * align; };
  uint64_t at = 0;
  while (const auto note = read_field<Elf32_Nhdr>(notes, at)) {
    const uint64_t name = at + sizeof(*note);
    const uint64_t content = at + padded(sizeof(*note) + uint64_t{note->n_namesz});
    const bool ours = note->n_type == kPhys32Entry && note->n_namesz == kOwner.size() &&
                      inside(notes, name, kOwner.size()) &&
                      std::memcmp(notes.data() + name, kOwner.data(), kOwner.size()) == 0;
    if (ours) {
      return inside(notes, content, note->n_descsz) ? notes.subspan(content, note->n_descsz) : ImageBytes{};
    }
    at = content + padded(note->n_descsz);
  }
  return std::nullopt;
}

std::optional<ImageBytes> find_entry_note(ImageBytes file) {
  for (const ProgramHeader& header : program_headers(file)) {
    if (header.type != PT_NOTE) continue;
    if (const auto note = find_note(header.content, header.align == 8 ? 8 : 4)) return note;
  }
  return std::nullopt;
}

std::vector<MapEntry> make_map(uint64_t memory_bytes) {
  std::vector<MapEntry> map;
  for (const MemoryRange& range : memory_map(memory_bytes)) {
    map.push_back({range.start.value, range.bytes, static_cast<uint32_t>(range.type), 0});
  }
  return map;
}

Result<Gpa> write_start_info(Gpa kernel_end, std::span<const BootModule> modules, const std::string& cmdline,
                             const GuestMemory& memory) {
  const auto starts = place_modules(modules, kernel_end, memory);
  if (!starts) return Failure(starts.error());
  Handover handover(memory);
  const Gpa info_at = handover.reserve(sizeof(StartInfo));
  StartInfo info{};
  info.magic = kStartMagic;
  info.version = kStartVersion;
  info.cmdline = handover.put(cmdline).value;
  info.rsdp = kAcpiStart.value;
  std::vector<ModuleEntry> entries;
  for (size_t i = 0; i < modules.size(); ++i) {
    entries.push_back({(*starts)[i].value, modules[i].bytes.size(), handover.put(modules[i].text).value, 0});
  }
  info.module_count = static_cast<uint32_t>(entries.size());
  if (!entries.empty()) info.modules = handover.put(std::as_bytes(std::span(entries))).value;
  const std::vector<MapEntry> map = make_map(memory.size());
  info.map_entries = static_cast<uint32_t>(map.size());
  info.map = handover.put(std::as_bytes(std::span(map))).value;
  handover.write(info_at, std::as_bytes(std::span(&info, 1)));
  if (auto ok = handover.finish(); !ok) return Failure(ok.error());
  return info_at;
}

}  // namespace

bool is_pvh(ImageBytes file) { return find_entry_note(file).has_value(); }

Result<PhysicalImage> parse_pvh(ImageBytes file) {
  const auto note = find_entry_note(file);
  if (!note) return refuse("no ELF note with a PVH entry (owner Xen, type 18)");
  uint64_t entry = 0;
  if (note->size() != sizeof(uint32_t) && note->size() != sizeof(uint64_t)) {
    return refuse(
        fmt::format("the entry's note holds {} bytes or is cut off, accepted are 4 and 8", note->size()));
  }
  std::memcpy(&entry, note->data(), note->size());
  if (entry > UINT32_MAX) return refuse(fmt::format("the entry {:#x} lies above 4 GiB", entry));
  return parse_elf_physical(file, Gpa{entry});
}

Result<StartState> load_pvh(ImageBytes file, std::span<const BootModule> modules, const std::string& cmdline,
                            const GuestMemory& memory) {
  const auto image = parse_pvh(file);
  if (!image) return Failure(image.error());
  if (auto ok = place(file, *image, memory); !ok) return Failure(ok.error());
  const auto info = write_start_info(end_of(*image), modules, cmdline, memory);
  if (!info) return Failure(info.error());
  return StartState{.mode = CpuMode::kProtected, .entry = image->entry, .registers = {.rbx = info->value}};
}

}  // namespace vmm
