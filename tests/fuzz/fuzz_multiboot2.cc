// The Multiboot 2 loader on arbitrary bytes: no crash, no access outside of file or guest, and what it
// accepts starts inside the guest's memory with boot information that can be walked to its end.
#include <array>
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/guest.h"
#include "vmm/check.h"
#include "vmm/load/multiboot2.h"
#include "vmm/platform/firmware.h"

namespace {

using fuzz::guest;

// How many tags are of each type up to 21.
std::array<unsigned, 22> count_tags(vmm::Gpa info) {
  std::array<unsigned, 22> count{};
  const vmm::Gpa end = info + guest().load<uint32_t>(info).value();
  KVMUX_CHECK(end <= vmm::kEbda, "the information has its place");
  for (vmm::Gpa at = info + 8;;) {
    const auto head = guest().load<std::array<uint32_t, 2>>(at).value();
    KVMUX_CHECK(head[0] < count.size() && head[1] >= 8, "tags are known");
    ++count[head[0]];
    at = vmm::Gpa{at.value + (head[1] + 7) / 8 * 8};
    KVMUX_CHECK(at <= end, "tags end before the information");
    if (head[0] == 0) break;
  }
  return count;
}

void check_promises(const vmm::StartState& start) {
  constexpr unsigned kModule = 3;
  KVMUX_CHECK(vmm::is_guests(start.entry, 1, guest().size()), "the entry is the guest's");
  const vmm::Gpa info{start.registers.rbx};
  KVMUX_CHECK(info >= vmm::kHandoverStart && info < vmm::kEbda, "the information has its place");
  const auto count = count_tags(info);
  for (const unsigned type : {0u, 1u, 2u, kModule, 4u, 6u, 14u, 15u}) {
    KVMUX_CHECK(count[type] == 1, "each once, and the module that was given");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const auto header = vmm::find_multiboot2(file);
  if (!header) return 0;
  const std::array<vmm::BootModule, 1> modules{{{file, "module"}}};
  const auto start = vmm::load_multiboot2(file, *header, modules, "command line", guest());
  if (start) {
    check_promises(*start);
  } else {
    KVMUX_CHECK(start.error().kind == vmm::ErrorKind::kUsage, "a bad image is the user's to fix");
  }
  return 0;
}
