// `kvmux boot` loads Linux.
#include <doctest/doctest.h>

#include "tests/unit/vmm/boot_image_bytes.h"
#include "vmm/load/linux_boot.h"
#include "vmm/platform/firmware.h"

using vmm::CpuMode;
using vmm::Gpa;
using vmm::GuestMemory;
using namespace vmm_test;

TEST_CASE("Linux: boot parameters, command line and initrd") {
  const GuestMemory memory = make_memory();
  const Bytes file = bzimage();
  const Bytes initrd(5000, std::byte{0xf7});
  const std::vector<vmm::BootModule> modules{{initrd, "initrd"}};
  const auto start = vmm::load_boot_image(
      {.file = file, .format = {}, .modules = modules, .cmdline = "console=ttyS0"}, memory);
  REQUIRE(start);
  CHECK(start->mode == CpuMode::kProtected);
  CHECK(start->entry == Gpa{0x100000});
  CHECK(memory.load<uint8_t>(Gpa{0x100000}).value() == 0x90);
  const uint64_t params = start->registers.rsi;
  const auto field32 = [&](uint64_t at) { return memory.load<uint32_t>(Gpa{params + at}).value(); };
  CHECK(field32(0x202) == 0x53726448);
  CHECK(memory.load<uint8_t>(Gpa{params + 0x210}).value() == 0xff);
  CHECK(text_at(memory, field32(0x228)) == "console=ttyS0");
  CHECK(field32(0x21c) == 5000);
  CHECK(field32(0x218) % 4096 == 0);
  CHECK(field32(0x218) + 5000 <= memory.size());
  CHECK(memory.load<uint8_t>(Gpa{field32(0x218) + 4999}).value() == 0xf7);
  CHECK(memory.load<uint64_t>(Gpa{params + 0x70}).value() == vmm::kAcpiStart.value);
  CHECK(memory.load<uint8_t>(Gpa{params + 0x1e8}).value() == 5);
  CHECK(field32(0x1e0) == 7 * 1024);
}

TEST_CASE("Linux: hostile images are refused") {
  const GuestMemory memory = make_memory();
  struct Case {
    const char* why;
    std::function<void(Bytes&)> change;
  };
  const Case cases[] = {
      {"boot protocol 2.01", [](Bytes& b) { put(b, 0x206, uint16_t{0x0201}); }},
      {"zImage", [](Bytes& b) { put(b, 0x211, uint8_t{0}); }},
      {"truncated", [](Bytes& b) { put(b, 0x1f1, uint8_t{255}); }},
      {"cut off", [](Bytes& b) { b.resize(0x210); }},
      {"needs memory up to", [](Bytes& b) { put(b, 0x260, uint32_t{0x10000000}); }},
      {"overflow", [](Bytes& b) { put(b, 0x258, ~uint64_t{0}); }},
  };
  for (const Case& c : cases) {
    CAPTURE(c.why);
    const Bytes file = bzimage(c.change);
    check_refused(vmm::load_boot_image({.file = file, .format = {}}, memory), c.why);
  }
  const Bytes file = bzimage();
  check_refused(vmm::load_boot_image(
                    {.file = file, .format = {}, .modules = {}, .cmdline = std::string(65, 'x')}, memory),
                "this kernel takes 64");
  const Bytes big(uint64_t{7} << 20);
  const std::vector<vmm::BootModule> one{{big, "big"}};
  check_refused(vmm::load_boot_image({.file = file, .format = {}, .modules = one}, memory), "does not fit");
  const std::vector<vmm::BootModule> two{{file, "a"}, {file, "b"}};
  check_refused(vmm::load_boot_image({.file = file, .format = {}, .modules = two}, memory), "one initrd");
}

TEST_CASE("Linux: an initrd stays below what the kernel can reach") {
  const GuestMemory memory = make_memory();
  const Bytes file = bzimage([](Bytes& b) { put(b, 0x22c, uint32_t{0x2fffff}); });
  const Bytes initrd(100);
  const std::vector<vmm::BootModule> modules{{initrd, "initrd"}};
  const auto start = vmm::load_boot_image({.file = file, .format = {}, .modules = modules}, memory);
  REQUIRE(start);
  CHECK(memory.load<uint32_t>(Gpa{start->registers.rsi + 0x218}).value() == 0x2ff000);
}
