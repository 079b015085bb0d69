// The Linux loader on arbitrary bytes; the input's second half is the initrd.
#include <cstddef>
#include <cstdint>

#include "vmm/check.h"
#include "vmm/load/linux_boot.h"
#include "vmm/platform/firmware.h"

namespace {

const vmm::GuestMemory& guest() {
  static const vmm::GuestMemory memory =
      vmm::GuestMemory::allocate(uint64_t{4} << 20, vmm::Prefault::kNo).value();
  return memory;
}

void check_promises(const vmm::StartState& start, size_t initrd_bytes) {
  constexpr uint64_t kInitrdAddress = 0x218;
  constexpr uint64_t kCmdlineAddress = 0x228;
  const vmm::Gpa params{start.registers.rsi};
  const auto initrd = guest().load<uint32_t>(params + kInitrdAddress).value();
  const auto cmdline = guest().load<uint32_t>(params + kCmdlineAddress).value();
  KVMUX_CHECK(guest().contains(vmm::Gpa{initrd}, initrd_bytes), "the initrd is in memory");
  KVMUX_CHECK(initrd_bytes == 0 || vmm::Gpa{initrd} >= vmm::kHighMemoryStart, "and above 1 MiB");
  KVMUX_CHECK(guest().load<char>(vmm::Gpa{cmdline}).value() == 'q', "the command line is where it says");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const auto image = vmm::parse_linux(file);
  if (!image) {
    KVMUX_CHECK(image.error().kind == vmm::ErrorKind::kUsage, "a bad image is the user's to fix");
    return 0;
  }
  const auto initrd = file.subspan(size / 2);
  const auto start = vmm::load_linux(file, *image, initrd, "quiet", guest());
  if (start) check_promises(*start, initrd.size());
  return 0;
}
