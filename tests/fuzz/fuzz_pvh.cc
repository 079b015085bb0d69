// The PVH loader on arbitrary bytes: no crash, no access outside of file or guest, and what it accepts starts
// inside the guest's memory with an hvm_start_info that can be read.
#include <array>
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/guest.h"
#include "vmm/check.h"
#include "vmm/load/pvh.h"
#include "vmm/platform/firmware.h"

namespace {

using fuzz::guest;

void check_promises(const vmm::StartState& start) {
  constexpr uint32_t kMagic = 0x336ec578;
  constexpr uint32_t kModuleCount = 3;
  KVMUX_CHECK(vmm::is_guests(start.entry, 1, guest().size()), "the entry is the guest's");
  const vmm::Gpa info_at{start.registers.rbx};
  KVMUX_CHECK(info_at >= vmm::kHandoverStart && info_at < vmm::kEbda, "the information has its place");
  const auto info = guest().load<std::array<uint32_t, 4>>(info_at).value();
  KVMUX_CHECK(info[0] == kMagic && info[kModuleCount] == 1, "with the module that was given");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const std::array<vmm::BootModule, 1> modules{{{file, "module"}}};
  const auto start = vmm::load_pvh(file, modules, "command line", guest());
  if (start) {
    KVMUX_CHECK(vmm::is_pvh(file), "only files with the note are loaded");
    check_promises(*start);
  } else {
    KVMUX_CHECK(start.error().kind == vmm::ErrorKind::kUsage, "a bad image is the user's to fix");
  }
  return 0;
}
