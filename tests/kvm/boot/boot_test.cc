// Formats: what each kind of image finds when it starts.
#include <cstring>

#include "tests/kvm/boot/boot_guest.h"

using kvm_test::boot_guest;
using kvm_test::Booted;
using vmm::BootEnd;

namespace {

std::vector<std::byte> bytes_of(const std::string& text) {
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

void check_multiboot(vmm::Irqchip irqchip) {
  const auto first = bytes_of("hello module");
  const auto second = bytes_of(std::string(5000, 'x'));
  const Booted guest = boot_guest("multiboot.elf", {.vcpus = 4,
                                                    .irqchip = irqchip,
                                                    .cmdline = "root=/dev/none quiet",
                                                    .modules = {{first, "first a=1"}, {second, "second"}}});
  CHECK_MESSAGE(guest.good(), guest.text(), guest.result.failure);
  for (const char* line : {"loader kvmux", "command line [root=/dev/none quiet]",
                           "module 0 [first a=1] of 12 bytes, aligned 1", "its bytes add up to 1210",
                           "module 1 [second] of 5000 bytes, aligned 1", "its bytes add up to 600000",
                           "lower memory 639 KiB, upper memory 31744 KiB", "memory 100000 + 1f00000 type 1",
                           "4 processors", "cpu 1 is here", "cpu 2 is here", "cpu 3 is here"}) {
    CHECK_MESSAGE(guest.has_line(line), line, " is missing in\n", guest.text());
  }
}

}  // namespace

TEST_CASE("a Multiboot image gets command line, modules and memory map, and starts its processors") {
  REQUIRE_KVM(system);
  check_multiboot(vmm::Irqchip::kUser);
}

TEST_CASE("a Multiboot image starts its processors with the LAPICs inside KVM") {
  REQUIRE_KVM(system);
  REQUIRE_OR_SKIP(system.capabilities().has(KVM_CAP_SPLIT_IRQCHIP), "no KVM_CAP_SPLIT_IRQCHIP");
  check_multiboot(vmm::Irqchip::kSplit);
}

TEST_CASE("a boot sector starts in real mode") {
  REQUIRE_KVM(system);
  const Booted guest = boot_guest("flat.bin");
  CHECK(guest.has_line("real mode says hello"));
  CHECK(guest.result.exit_code == 0x81);  // 40H: nothing was wrong
}

TEST_CASE("a Linux image gets correct boot parameters") {
  REQUIRE_KVM(system);
  const auto initrd = bytes_of("0707 is how they begin");
  const Booted guest =
      boot_guest("linux.bin", {.cmdline = "console=ttyS0 panic=-1", .modules = {{initrd, "initrd"}}});
  CHECK(guest.result.end == BootEnd::kExit);
  CHECK(guest.result.exit_code == 0x41);
  for (const char* line :
       {"registers are clear: 00000001", "code segment: 00000010", "protocol: 0000020f", "loader: 000000ff",
        "memory ranges: 00000005", "bytes above 1 MiB: 01f00000", "at the RSDP: 20445352",
        "initrd bytes: 00000016", "initrd begins with: 37303730", "command line: console=ttyS0 panic=-1"}) {
    CHECK_MESSAGE(guest.has_line(line), line, " is missing in\n", guest.text());
  }
}

TEST_CASE("int3, fwait and cmpxchg16b work at CPL 0, cmpxchg16b atomically") {
  REQUIRE_KVM(system);
  const Booted guest = boot_guest("complete.elf", {.vcpus = 2});
  CHECK_MESSAGE(guest.good(), guest.text(), guest.result.failure);
}

TEST_CASE("an instruction that nobody completes ends the guest with its name and place") {
  REQUIRE_KVM(system);
  const Booted guest = boot_guest("unknown.elf");
  if (guest.result.end == BootEnd::kExit) {
    CHECK(guest.result.exit_code == 0x43);  // the processor runs CPL 0 itself, and refused
    return;
  }
  REQUIRE(guest.result.end == BootEnd::kFailed);
  const std::string& failure = guest.result.failure;
  for (const char* part :
       {"vm0/vcpu0: KVM cannot emulate 'xsaves", "(0f c7 ", "at RIP 0x10", "64-bit mode, CPL 0"}) {
    CHECK_MESSAGE(failure.find(part) != std::string::npos, part, " is missing in ", failure);
  }
}
