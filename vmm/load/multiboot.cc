#include "vmm/load/multiboot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "vmm/load/program_headers.h"
#include "vmm/platform/firmware.h"

namespace vmm {
namespace {

constexpr uint32_t kHeaderMagic = 0x1badb002;
constexpr uint32_t kLoaderMagic = 0x2badb002;
constexpr uint64_t kSearchBytes = 8192;
constexpr uint64_t kKiB = 1024;

enum HeaderFlags : uint32_t {
  kAlignModules = 1u << 0,  // always done
  kWantMemory = 1u << 1,    // always given
  kWantVideo = 1u << 2,     // there is no screen; kernels fall back to what they find
  kRequired = 0xffff,       // a loader that does not know one of these must refuse
  kAddressFields = 1u << 16,
};

enum InfoFlags : uint32_t {
  kInfoMemory = 1u << 0,
  kInfoCmdline = 1u << 2,
  kInfoModules = 1u << 3,
  kInfoMemoryMap = 1u << 6,
  kInfoLoaderName = 1u << 9,
};

// Specification, 3.3: the boot information as far as kvmux fills it.
struct Info {
  uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
  uint32_t symbols[4];
  uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name, apm_table;
  uint32_t vbe[4];
};
static_assert(sizeof(Info) == 88);

struct ModuleEntry {
  uint32_t start, end, text, reserved;
};

struct __attribute__((packed)) MapEntry {
  uint32_t size;
  uint64_t start, bytes;
  uint32_t type;
};
static_assert(sizeof(MapEntry) == 24);

constexpr const char* kOperation = "load Multiboot image";
Failure refuse(std::string why) { return usage_error(kOperation, std::move(why)); }

uint32_t low32(Gpa at) { return static_cast<uint32_t>(at.value); }

std::vector<MapEntry> make_map(uint64_t memory_bytes) {
  std::vector<MapEntry> map;
  for (const MemoryRange& range : memory_map(memory_bytes)) {
    map.push_back({sizeof(MapEntry) - sizeof(MapEntry::size), range.start.value, range.bytes,
                   static_cast<uint32_t>(range.type)});
  }
  return map;
}

}  // namespace

std::optional<MultibootHeader> find_multiboot(ImageBytes file) {
  const ImageBytes start = file.first(std::min<size_t>(file.size(), kSearchBytes));
  for (uint64_t at = 0; at + 12 <= start.size(); at += 4) {
    const uint32_t magic = *read_field<uint32_t>(start, at);
    const uint32_t flags = *read_field<uint32_t>(start, at + 4);
    const uint32_t checksum = *read_field<uint32_t>(start, at + 8);
    if (magic != kHeaderMagic || magic + flags + checksum != 0) continue;
    MultibootHeader header{.offset = at, .flags = flags};
    if ((flags & kAddressFields) == 0) return header;
    const auto fields = read_field<std::array<uint32_t, 5>>(start, at + 12);
    if (!fields) continue;  // "the header must be contained completely" in the first 8 KiB
    header.address = {(*fields)[0], (*fields)[1], (*fields)[2], (*fields)[3], (*fields)[4]};
    return header;
  }
  return std::nullopt;
}

Result<PhysicalImage> parse_multiboot(ImageBytes file, const MultibootHeader& h) {
  const uint32_t unknown = h.flags & kRequired & ~(kAlignModules | kWantMemory | kWantVideo);
  if (unknown != 0) return refuse(fmt::format("the header requires unknown features: flags {:#x}", unknown));
  if ((h.flags & kAddressFields) != 0) return parse_address_fields(file, h.offset, h.address, kOperation);
  if (!is_elf(file)) return refuse("neither an ELF file, nor are there address fields in its header");
  return parse_elf_physical(file);
}

Result<Gpa> write_multiboot_info(Gpa kernel_end, std::span<const BootModule> modules,
                                 const std::string& cmdline, const GuestMemory& memory) {
  const auto starts = place_modules(modules, kernel_end, memory);
  if (!starts) return Failure(starts.error());
  Handover handover(memory);
  const Gpa info_at = handover.reserve(sizeof(Info));
  Info info{};
  info.flags = kInfoMemory | kInfoCmdline | kInfoModules | kInfoMemoryMap | kInfoLoaderName;
  info.mem_lower = static_cast<uint32_t>(kEbda.value / kKiB);
  info.mem_upper = static_cast<uint32_t>((memory.size() - kHighMemoryStart.value) / kKiB);
  info.cmdline = low32(handover.put(cmdline));
  info.boot_loader_name = low32(handover.put(std::string("kvmux")));
  std::vector<ModuleEntry> entries;
  for (size_t i = 0; i < modules.size(); ++i) {
    const Gpa start = (*starts)[i];
    entries.push_back(
        {low32(start), low32(start + modules[i].bytes.size()), low32(handover.put(modules[i].text)), 0});
  }
  info.mods_count = static_cast<uint32_t>(modules.size());
  info.mods_addr = low32(handover.put(std::as_bytes(std::span(entries))));
  const std::vector<MapEntry> map = make_map(memory.size());
  info.mmap_length = static_cast<uint32_t>(map.size() * sizeof(MapEntry));
  info.mmap_addr = low32(handover.put(std::as_bytes(std::span(map))));
  handover.write(info_at, std::as_bytes(std::span(&info, 1)));
  if (auto ok = handover.finish(); !ok) return Failure(ok.error());
  return info_at;
}

// Specification, 3.2, Machine state.
StartRegisters multiboot_registers(Gpa info) { return {.rax = kLoaderMagic, .rbx = info.value}; }

Result<StartState> load_multiboot(ImageBytes file, const MultibootHeader& header,
                                  std::span<const BootModule> modules, const std::string& cmdline,
                                  const GuestMemory& memory) {
  const auto image = parse_multiboot(file, header);
  if (!image) return Failure(image.error());
  if (auto ok = place(file, *image, memory); !ok) return Failure(ok.error());
  const auto info = write_multiboot_info(end_of(*image), modules, cmdline, memory);
  if (!info) return Failure(info.error());
  return StartState{
      .mode = CpuMode::kProtected, .entry = image->entry, .registers = multiboot_registers(*info)};
}

}  // namespace vmm
