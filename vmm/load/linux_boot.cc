#include "vmm/load/linux_boot.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/platform/firmware.h"

namespace vmm {
namespace {

// Offsets in boot_params ("zero page"); the setup header's are the same in the file.
enum Offset : uint64_t {
  kExtendedMemoryKib = 0x002,
  kRsdpAddress = 0x070,
  kAlternativeMemoryKib = 0x1e0,
  kE820Entries = 0x1e8,
  kSetupHeader = 0x1f1,
  kSetupSectors = 0x1f1,
  kVideoMode = 0x1fa,
  kBootFlag = 0x1fe,
  kJumpLength = 0x201,
  kHeaderEndBase = 0x202,
  kMagic = 0x202,
  kVersion = 0x206,
  kLoaderType = 0x210,
  kLoadFlags = 0x211,
  kCode32Start = 0x214,
  kInitrdAddress = 0x218,
  kInitrdBytes = 0x21c,
  kCmdlineAddress = 0x228,
  kInitrdMax = 0x22c,
  kCmdlineMax = 0x238,
  kPreferredAddress = 0x258,
  kInitBytes = 0x260,
  kHeaderLimit = 0x290,  // what follows is not the setup header's
  kE820Table = 0x2d0,
};

constexpr uint32_t kHdrS = 0x53726448;
constexpr uint16_t kBootFlagValue = 0xaa55;
constexpr uint8_t kLoadedHigh = 0x01;
constexpr uint8_t kUnknownLoader = 0xff;
constexpr uint16_t kNormalVideo = 0xffff;
constexpr uint64_t kSector = 512;
constexpr uint64_t kPage = 4096;
constexpr uint64_t kKiB = 1024;

constexpr Gpa kBootParams = kHandoverStart;
constexpr Gpa kCmdline = kHandoverStart + kPage;

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

Result<Gpa> place_initrd(ImageBytes file, const LinuxImage& image, ImageBytes initrd,
                         const GuestMemory& memory) {
  const uint64_t top = std::min<uint64_t>(memory.size(), uint64_t{image.initrd_last} + 1);
  const uint64_t lowest = kernel_end(file, image);
  const uint64_t at = initrd.size() <= top ? (top - initrd.size()) / kPage * kPage : 0;
  if (at < lowest) {
    return refuse(
        fmt::format("an initrd of {} bytes does not fit between the kernel's end {:#x} and {:#x}: give "
                    "the guest more memory",
                    initrd.size(), lowest, top));
  }
  if (auto ok = memory.write(Gpa{at}, initrd); !ok) return Failure(ok.error());
  return Gpa{at};
}

// Collects the stores into boot_params; the first failure stands.
class BootParams {
 public:
  explicit BootParams(const GuestMemory& memory)
      : memory_(memory), result_(memory.fill_zero(kBootParams, kPage)) {}
  void bytes(uint64_t offset, ImageBytes data) {
    if (result_) result_ = memory_.write(kBootParams + offset, data);
  }
  template <class T>
  void set(uint64_t offset, T value) {
    bytes(offset, std::as_bytes(std::span(&value, 1)));
  }
  Result<void> finish() const { return result_; }

 private:
  const GuestMemory& memory_;
  Result<void> result_;
};

struct __attribute__((packed)) E820Entry {
  uint64_t start, bytes;
  uint32_t type;
};
static_assert(sizeof(E820Entry) == 20);

void describe_memory(BootParams& params, uint64_t memory_bytes) {
  constexpr uint64_t kMost16 = 0xffff;
  const uint64_t above_kib = (memory_bytes - kHighMemoryStart.value) / kKiB;
  params.set(kExtendedMemoryKib, static_cast<uint16_t>(std::min(above_kib, kMost16)));
  params.set(kAlternativeMemoryKib, static_cast<uint32_t>(above_kib));
  uint64_t at = kE820Table;
  const auto map = memory_map(memory_bytes);
  for (const MemoryRange& range : map) {
    params.set(at, E820Entry{range.start.value, range.bytes, static_cast<uint32_t>(range.type)});
    at += sizeof(E820Entry);
  }
  params.set(kE820Entries, static_cast<uint8_t>(map.size()));
}

}  // namespace

bool is_linux(ImageBytes file) {
  return read_field<uint16_t>(file, kBootFlag) == kBootFlagValue &&
         read_field<uint32_t>(file, kMagic) == kHdrS;
}

Result<LinuxImage> parse_linux(ImageBytes file) {
  constexpr uint16_t kOldest = 0x0202;  // the first with cmd_line_ptr
  if (!is_linux(file) || !inside(file, 0, kHeaderLimit))
    return refuse("the setup header is missing or cut off");
  LinuxImage image;
  image.version = *read_field<uint16_t>(file, kVersion);
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
  image.header_bytes = std::min<uint64_t>(header_end, kHeaderLimit) - kSetupHeader;
  const auto since = [&](uint16_t version, uint64_t offset, auto otherwise) {
    return field_since(file, image.version, version, offset, otherwise);
  };
  image.initrd_last = since(0x0203, kInitrdMax, image.initrd_last);
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
  const uint64_t end = kernel_end(file, image);
  if (end > memory.size()) {
    return refuse(
        fmt::format("the kernel needs memory up to {:#x}, the guest has {:#x} bytes", end, memory.size()));
  }
  const uint64_t cmdline_room = std::min<uint64_t>(image.cmdline_max, kEbda.value - kCmdline.value - 1);
  if (cmdline.size() > cmdline_room) {
    return refuse(
        fmt::format("a command line of {} bytes, this kernel takes {}", cmdline.size(), cmdline_room));
  }
  Gpa initrd_at{0};
  if (!initrd.empty()) {
    const auto placed = place_initrd(file, image, initrd, memory);
    if (!placed) return Failure(placed.error());
    initrd_at = *placed;
  }
  BootParams params(memory);
  params.bytes(kSetupHeader, file.subspan(kSetupHeader, image.header_bytes));
  params.set(kVideoMode, kNormalVideo);
  params.set(kLoaderType, kUnknownLoader);
  params.set(kCode32Start, static_cast<uint32_t>(kHighMemoryStart.value));
  params.set(kInitrdAddress, static_cast<uint32_t>(initrd_at.value));
  params.set(kInitrdBytes, static_cast<uint32_t>(initrd.size()));
  params.set(kCmdlineAddress, static_cast<uint32_t>(kCmdline.value));
  params.set(kRsdpAddress, kAcpiStart.value);
  describe_memory(params, memory.size());
  auto ok =
      params.finish()
          .and_then([&] {
            return memory.write(kCmdline, std::as_bytes(std::span(cmdline.c_str(), cmdline.size() + 1)));
          })
          .and_then([&] { return memory.write(kHighMemoryStart, file.subspan(image.kernel_offset)); });
  if (!ok) return Failure(ok.error());
  return StartState{
      .mode = CpuMode::kProtected, .entry = kHighMemoryStart, .registers = {.rsi = kBootParams.value}};
}

}  // namespace vmm
