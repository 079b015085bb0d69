#include "vmm/load/linux_boot.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "vmm/load/boot_params.h"
#include "vmm/platform/firmware.h"

namespace vmm {
namespace {

constexpr uint64_t kSector = 512;

Failure refuse(std::string why) { return usage_error("load Linux image", std::move(why)); }

// A field that newer protocols have.
template <class T>
T field_since(ImageBytes file, uint16_t have, uint16_t since, uint64_t offset, T otherwise) {
  return have >= since ? read_field<T>(file, offset).value_or(otherwise) : otherwise;
}

uint64_t kernel_end(ImageBytes file, const LinuxImage& image) {
  const uint64_t loaded = kHighMemoryStart.value + (file.size() - image.kernel_offset);
  return std::max(loaded, image.runtime_start + image.runtime_bytes);
}

// The file's, with the place where the kernel is.
std::vector<std::byte> setup_header(ImageBytes file, const LinuxImage& image) {
  const ImageBytes given = file.subspan(kSetupHeader, image.header_bytes);
  std::vector<std::byte> header(kSetupHeaderLimit - kSetupHeader);
  std::copy(given.begin(), given.end(), header.begin());
  const auto start = static_cast<uint32_t>(kHighMemoryStart.value);
  std::memcpy(header.data() + (kCode32Start - kSetupHeader), &start, sizeof(start));
  return header;
}

}  // namespace

bool is_linux(ImageBytes file) {
  return read_field<uint16_t>(file, kBootFlag) == kBootFlagValue &&
         read_field<uint32_t>(file, kHeaderMagic) == kHdrS;
}

Result<LinuxImage> parse_linux(ImageBytes file) {
  constexpr uint16_t kOldest = 0x0202;  // the first with cmd_line_ptr
  if (!is_linux(file) || !inside(file, 0, kSetupHeaderLimit))
    return refuse("the setup header is missing or cut off");
  LinuxImage image;
  image.version = *read_field<uint16_t>(file, kProtocolVersion);
  if (image.version < kOldest) {
    return refuse(fmt::format("boot protocol {}.{:02}, at least 2.02 is needed", image.version >> 8,
                              image.version & 0xff));
  }
  if ((*read_field<uint8_t>(file, kLoadFlags) & kLoadedHigh) == 0) {
    return refuse("a zImage, which loads below 1 MiB; a bzImage is needed");
  }
  const uint8_t sectors = *read_field<uint8_t>(file, kSetupSectors);
  image.kernel_offset = (uint64_t{sectors == 0 ? uint8_t{4} : sectors} + 1) * kSector;
  if (image.kernel_offset >= file.size()) {
    return refuse(
        fmt::format("truncated: {} bytes, the kernel itself begins at {}", file.size(), image.kernel_offset));
  }
  const uint64_t header_end = kHeaderEndBase + uint64_t{*read_field<uint8_t>(file, kJumpLength)};
  image.header_bytes = std::min<uint64_t>(header_end, kSetupHeaderLimit) - kSetupHeader;
  const auto since = [&](uint16_t version, uint64_t offset, auto otherwise) {
    return field_since(file, image.version, version, offset, otherwise);
  };
  image.initrd_last = since(0x0203, kInitrdLast, image.initrd_last);
  image.cmdline_max = since(0x0206, kCmdlineMax, image.cmdline_max);
  image.runtime_start = std::max(since(0x020a, kPreferredAddress, uint64_t{0}), kHighMemoryStart.value);
  image.runtime_bytes = since(0x020a, kInitBytes, uint32_t{0});
  if (image.runtime_start + image.runtime_bytes < image.runtime_start) {
    return refuse(fmt::format("{:#x} bytes at the preferred address {:#x} overflow", image.runtime_bytes,
                              image.runtime_start));
  }
  return image;
}

Result<StartState> load_linux(ImageBytes file, const LinuxImage& image, ImageBytes initrd,
                              const std::string& cmdline, const GuestMemory& memory) {
  const std::vector<std::byte> header = setup_header(file, image);
  const auto params = write_boot_params({.setup_header = header,
                                         .end = kernel_end(file, image),
                                         .cmdline_max = image.cmdline_max,
                                         .initrd_last = image.initrd_last},
                                        initrd, cmdline, memory);
  if (!params) return Failure(params.error());
  if (auto ok = memory.write(kHighMemoryStart, file.subspan(image.kernel_offset)); !ok)
    return Failure(ok.error());
  return StartState{
      .mode = CpuMode::kProtected, .entry = kHighMemoryStart, .registers = {.rsi = params->value}};
}

}  // namespace vmm
