// The vmlinux loader on arbitrary bytes, which it is asked about and then loads all the same; the input's
// second half is the initrd.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/guest.h"
#include "vmm/check.h"
#include "vmm/load/vmlinux.h"
#include "vmm/platform/firmware.h"

namespace {

using fuzz::guest;

void check_promises(const vmm::StartState& start, size_t initrd_bytes) {
  constexpr uint64_t kInitrdAddress = 0x218;
  constexpr uint64_t kInitrdBytes = 0x21c;
  constexpr uint64_t kCmdlineAddress = 0x228;
  KVMUX_CHECK(start.mode == vmm::CpuMode::kLong, "entered in 64-bit mode");
  KVMUX_CHECK(vmm::is_guests(start.entry, 1, guest().size()), "the entry is the guest's");
  const vmm::Gpa params{start.registers.rsi};
  const vmm::Gpa initrd{guest().load<uint32_t>(params + kInitrdAddress).value()};
  KVMUX_CHECK(guest().load<uint32_t>(params + kInitrdBytes).value() == initrd_bytes, "the initrd is whole");
  KVMUX_CHECK(initrd_bytes == 0 || vmm::is_guests(initrd, initrd_bytes, guest().size()), "and the guest's");
  const vmm::Gpa cmdline{guest().load<uint32_t>(params + kCmdlineAddress).value()};
  KVMUX_CHECK(guest().load<char>(cmdline).value() == 'q', "the command line is where it says");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const bool known = vmm::is_vmlinux(file);
  KVMUX_CHECK(!known || size > sizeof("Linux version "), "what is too short for the banner is no kernel");
  const auto initrd = file.subspan(size / 2);
  const auto start = vmm::load_vmlinux(file, initrd, "quiet", guest());
  if (start) {
    check_promises(*start, initrd.size());
  } else {
    KVMUX_CHECK(start.error().kind == vmm::ErrorKind::kUsage, "a bad image is the user's to fix");
  }
  return 0;
}
