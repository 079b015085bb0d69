#include "vmm/load/boot_params.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/platform/firmware.h"

namespace vmm {
namespace {

// Those outside of the setup header.
enum Offset : uint64_t {
  kExtendedMemoryKib = 0x002,
  kRsdpAddress = 0x070,
  kAlternativeMemoryKib = 0x1e0,
  kE820Entries = 0x1e8,
  kE820Table = 0x2d0,
};

constexpr uint8_t kUnknownLoader = 0xff;
constexpr uint16_t kNormalVideo = 0xffff;
constexpr uint64_t kPage = 4096;
constexpr uint64_t kKiB = 1024;

constexpr Gpa kBootParams = kHandoverStart;
constexpr Gpa kCmdline = kHandoverStart + kPage;

Failure refuse(std::string why) { return usage_error("load Linux image", std::move(why)); }

Result<void> check_room(const LinuxKernel& kernel, const std::string& cmdline, const GuestMemory& memory) {
  if (kernel.end > memory.size()) {
    return refuse(fmt::format("the kernel needs memory up to {:#x}, the guest has {:#x} bytes", kernel.end,
                              memory.size()));
  }
  const uint64_t room = std::min(kernel.cmdline_max, kEbda.value - kCmdline.value - 1);
  if (cmdline.size() > room) {
    return refuse(fmt::format("a command line of {} bytes, this kernel takes {}", cmdline.size(), room));
  }
  return {};
}

Result<Gpa> place_initrd(const LinuxKernel& kernel, ImageBytes initrd, const GuestMemory& memory) {
  if (initrd.empty()) return Gpa{0};
  const uint64_t top = std::min(memory.size(), kernel.initrd_last + 1);
  const uint64_t at = initrd.size() <= top ? (top - initrd.size()) / kPage * kPage : 0;
  if (at < kernel.end) {
    return refuse(
        fmt::format("an initrd of {} bytes does not fit between the kernel's end {:#x} and {:#x}: give "
                    "the guest more memory",
                    initrd.size(), kernel.end, top));
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

Result<Gpa> write_boot_params(const LinuxKernel& kernel, ImageBytes initrd, const std::string& cmdline,
                              const GuestMemory& memory) {
  if (auto ok = check_room(kernel, cmdline, memory); !ok) return Failure(ok.error());
  const auto initrd_at = place_initrd(kernel, initrd, memory);
  if (!initrd_at) return Failure(initrd_at.error());
  BootParams params(memory);
  params.bytes(kSetupHeader, kernel.setup_header);
  params.set(kVideoMode, kNormalVideo);
  params.set(kLoaderType, kUnknownLoader);
  params.set(kInitrdAddress, static_cast<uint32_t>(initrd_at->value));
  params.set(kInitrdBytes, static_cast<uint32_t>(initrd.size()));
  params.set(kCmdlineAddress, static_cast<uint32_t>(kCmdline.value));
  params.set(kRsdpAddress, kAcpiStart.value);
  describe_memory(params, memory.size());
  auto ok = params.finish().and_then(
      [&] { return memory.write(kCmdline, std::as_bytes(std::span(cmdline.c_str(), cmdline.size() + 1))); });
  if (!ok) return Failure(ok.error());
  return kBootParams;
}

}  // namespace vmm
