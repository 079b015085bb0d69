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

}  // namespace

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

TEST_CASE("a PVH image is entered by its note and gets a correct hvm_start_info") {
  REQUIRE_KVM(system);
  const auto initrd = bytes_of("0707 is how they begin");
  const Booted guest = boot_guest("pvh.elf", {.cmdline = "root=none", .modules = {{initrd, "initrd x"}}});
  CHECK(guest.result.end == BootEnd::kExit);
  CHECK(guest.result.exit_code == 0x41);
  for (const char* line : {"magic: 336ec578", "version: 00000001", "paging and protection: 00000001",
                           "at the RSDP: 20445352", "memory ranges: 00000005", "bytes above 1 MiB: 01f00000",
                           "modules: 00000001", "module bytes: 00000016", "module begins with: 37303730",
                           "module text: initrd x", "command line: root=none"}) {
    CHECK_MESSAGE(guest.has_line(line), line, " is missing in\n", guest.text());
  }
}

TEST_CASE("a vmlinux is entered by the 64-bit boot protocol and gets correct boot parameters") {
  REQUIRE_KVM(system);
  const auto initrd = bytes_of("0707 is how they begin");
  const Booted guest =
      boot_guest("vmlinux.elf", {.cmdline = "console=ttyS0 panic=-1", .modules = {{initrd, "initrd"}}});
  CHECK(guest.result.end == BootEnd::kExit);
  CHECK(guest.result.exit_code == 0x41);
  for (const char* line :
       {"interrupts: 00000000", "CS: 00000010", "DS: 00000018", "ES: 00000018", "SS: 00000018",
        "long mode: 00000500", "paging and protection: 80000001", "CS loaded again: 00000010",
        "below 4 GiB: ffffffff", "boot flag: 0000aa55", "magic: 53726448", "protocol: 0000020c",
        "loader: 000000ff", "memory ranges: 00000005", "bytes above 1 MiB: 01f00000", "at the RSDP: 20445352",
        "initrd bytes: 00000016", "initrd begins with: 37303730", "command line: console=ttyS0 panic=-1"}) {
    CHECK_MESSAGE(guest.has_line(line), line, " is missing in\n", guest.text());
  }
}

TEST_CASE("a Multiboot 2 image is entered by its tag and finds all of its boot information") {
  REQUIRE_KVM(system);
  const auto module = bytes_of("abc");
  const Booted guest =
      boot_guest("multiboot2.elf", {.cmdline = "root=none", .modules = {{module, "m.img x"}}});
  CHECK_MESSAGE(guest.good(), guest.text(), guest.result.failure);
  for (const char* line :
       {"command line [root=none]", "loader kvmux", "module [m.img x] of 3 bytes, aligned 1",
        "its bytes add up to 294", "lower memory 639 KiB, upper memory 31744 KiB", "memory 0 + 9fc00 type 1",
        "memory 100000 + 1f00000 type 1", "ok the symbols are loaded",
        "ok the tags end where the information does", "ok ACPI 2 RSDP"}) {
    CHECK_MESSAGE(guest.has_line(line), line, " is missing in\n", guest.text());
  }
}

TEST_CASE(
    "int3, int n, icebp, ud0, ud1, xgetbv, rdtscp, clwb, fwait, rdssp and cmpxchg16b work at CPL 0, the last "
    "atomically") {
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
