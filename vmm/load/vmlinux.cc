#include "vmm/load/vmlinux.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "vmm/load/boot_params.h"
#include "vmm/load/program_headers.h"

namespace vmm {
namespace {

constexpr std::string_view kBanner = "Linux version ";
constexpr uint64_t kLinkedHigh = uint64_t{1} << 30;

bool is_linked_high(const ProgramHeader& header) {
  return header.virtual_start >= header.physical_start &&
         header.virtual_start - header.physical_start >= kLinkedHigh;
}

// Each place is looked at once, however often segments name it.
bool has_banner(ImageBytes file, const std::vector<ProgramHeader>& loads) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  for (size_t at = text.find(kBanner); at != std::string_view::npos; at = text.find(kBanner, at + 1)) {
    const size_t bytes = kBanner.size() + 1;
    if (!inside(file, at, bytes) || text[at + bytes - 1] < '0' || text[at + bytes - 1] > '9') continue;
    const bool is_loaded = std::ranges::any_of(loads, [&](const ProgramHeader& load) {
      return at >= load.offset && inside(load.content, at - load.offset, bytes);
    });
    if (is_loaded) return true;
  }
  return false;
}

// The setup header that a bzImage would bring, as far as a kernel looks at it this late. 2.12 is the first
// protocol with a 64-bit entry.
std::array<std::byte, kSetupHeaderLimit - kSetupHeader> setup_header() {
  std::array<std::byte, kSetupHeaderLimit - kSetupHeader> header{};
  const auto set = [&](uint64_t offset, auto value) {
    std::memcpy(header.data() + (offset - kSetupHeader), &value, sizeof(value));
  };
  set(kBootFlag, kBootFlagValue);
  set(kHeaderMagic, kHdrS);
  set(kProtocolVersion, uint16_t{0x020c});
  set(kLoadFlags, kLoadedHigh);
  return header;
}

}  // namespace

bool is_vmlinux(ImageBytes file) {
  std::vector<ProgramHeader> loads = program_headers(file);
  std::erase_if(loads, [](const ProgramHeader& header) { return header.type != PT_LOAD; });
  return std::ranges::any_of(loads, is_linked_high) && has_banner(file, loads);
}

Result<PhysicalImage> parse_vmlinux(ImageBytes file) {
  auto image = parse_elf_physical(file);
  if (image && !image->is_64bit) {
    return usage_error("load vmlinux", "a 32-bit kernel, accepted are 64-bit ones: take its bzImage");
  }
  return image;
}

Result<StartState> load_vmlinux(ImageBytes file, ImageBytes initrd, const std::string& cmdline,
                                const GuestMemory& memory) {
  constexpr uint64_t kCmdlineBytes = 2048;         // COMMAND_LINE_SIZE, arch/x86/include/asm/setup.h
  constexpr uint64_t kHighestInitrd = 0x7fffffff;  // what 64-bit bzImages say
  const auto image = parse_vmlinux(file);
  if (!image) return Failure(image.error());
  if (auto ok = place(file, *image, memory); !ok) return Failure(ok.error());
  const auto header = setup_header();
  const auto params = write_boot_params({.setup_header = header,
                                         .end = end_of(*image).value,
                                         .cmdline_max = kCmdlineBytes - 1,
                                         .initrd_last = kHighestInitrd},
                                        initrd, cmdline, memory);
  if (!params) return Failure(params.error());
  return StartState{.mode = CpuMode::kLong, .entry = image->entry, .registers = {.rsi = params->value}};
}

}  // namespace vmm
