// Loaders of `kvmux boot`: ELF by physical address, Multiboot, flat. Linux: linux_image_test.cc.
#include "vmm/load/boot_image.h"

#include <doctest/doctest.h>

#include <cstring>
#include <functional>

#include "tests/unit/vmm/boot_image_bytes.h"
#include "tests/unit/vmm/elf_builder.h"
#include "vmm/load/elf.h"
#include "vmm/load/multiboot.h"

using vmm::BootFormat;
using vmm::BootImage;
using vmm::CpuMode;
using vmm::Gpa;
using vmm::GuestMemory;
using namespace vmm_test;

namespace {

constexpr uint32_t kMagic = 0x1badb002;

// A Multiboot header at `at`.
void put_header(Bytes& bytes, uint64_t at, uint32_t flags) {
  put(bytes, at, kMagic);
  put(bytes, at + 4, flags);
  put(bytes, at + 8, 0u - kMagic - flags);
}

// An ELF64 at 2 MiB with a Multiboot header in its payload.
Bytes multiboot_elf(uint32_t flags = 3) {
  const ElfBuilder elf;
  Bytes bytes = elf.bytes();
  put_header(bytes, elf.payload_offset() + 8, flags);
  return bytes;
}

// A kernel with address fields: header at offset 16 of 256 bytes, loaded at 1 MiB.
struct Kludge {
  uint32_t header = 0x100010, load = 0x100000, load_end = 0x100100, bss_end = 0x101000, entry = 0x100020;
  Bytes bytes() const {
    Bytes b(256);
    put_header(b, 16, 0x10000);
    put(b, 28, std::array{header, load, load_end, bss_end, entry});
    return b;
  }
};

}  // namespace

TEST_CASE("formats are told apart") {
  CHECK(vmm::detect_format(multiboot_elf()) == BootFormat::kMultiboot);
  CHECK(vmm::detect_format(ElfBuilder().bytes()) == BootFormat::kElf);
  CHECK(vmm::detect_format(bzimage()) == BootFormat::kLinux);
  const Bytes whole = ElfBuilder().bytes();
  for (size_t size = 4; size < 80; ++size) {  // broken, and no flat image
    CHECK(vmm::detect_format(std::span(whole).first(size)) == BootFormat::kElf);
  }
  CHECK(vmm::detect_format(Bytes(3)) == BootFormat::kFlat);
  CHECK(vmm::detect_format({}) == BootFormat::kFlat);
}

TEST_CASE("Multiboot: the header is found in the first 8 KiB, aligned, with a good checksum") {
  Bytes b(9000);
  CHECK(!vmm::find_multiboot(b));
  put_header(b, 8180, 0);
  REQUIRE(vmm::find_multiboot(b));
  CHECK(vmm::find_multiboot(b)->offset == 8180);
  Bytes late(9000);
  put_header(late, 8184, 0);
  CHECK(!vmm::find_multiboot(late));
  Bytes odd(100);
  put_header(odd, 6, 0);
  CHECK(!vmm::find_multiboot(odd));
  put(b, 8188, 1u);
  CHECK(!vmm::find_multiboot(b));
}

TEST_CASE("Multiboot: the boot information") {
  const GuestMemory memory = make_memory();
  const Bytes file = multiboot_elf();
  const Bytes first(100, std::byte{7});
  const Bytes second(5000, std::byte{8});
  const std::vector<vmm::BootModule> modules{{first, "one x"}, {second, "two"}};
  const auto start =
      vmm::load_boot_image({.file = file, .format = {}, .modules = modules, .cmdline = "a b=c"}, memory);
  REQUIRE(start);
  CHECK(start->mode == CpuMode::kProtected);
  CHECK(start->entry == Gpa{0x200010});
  CHECK(start->registers.rax == 0x2badb002);
  const auto info = memory.load<std::array<uint32_t, 22>>(Gpa{start->registers.rbx}).value();
  CHECK((info[0] & 0x24d) == 0x24d);
  CHECK(info[1] == 639);
  CHECK(info[2] == 7 * 1024);
  CHECK(text_at(memory, info[4]) == "a b=c");
  CHECK(text_at(memory, info[16]) == "kvmux");
  REQUIRE(info[5] == 2);
  const auto mods = memory.load<std::array<uint32_t, 8>>(Gpa{info[6]}).value();
  CHECK(mods[0] == 0x201000);
  CHECK(mods[1] == 0x201000 + 100);
  CHECK(text_at(memory, mods[2]) == "one x");
  CHECK(mods[4] == 0x202000);
  CHECK(text_at(memory, mods[6]) == "two");
  CHECK(memory.load<uint8_t>(Gpa{mods[4] + 4999}).value() == 8);
  CHECK(info[11] == 5 * 24);
  CHECK(memory.load<uint32_t>(Gpa{info[12]}).value() == 20);
}

TEST_CASE("Multiboot: address fields load any file") {
  const GuestMemory memory = make_memory();
  const uint8_t dirt = 0xee;
  REQUIRE(memory.store(Gpa{0x100fff}, dirt));
  const Bytes file = Kludge().bytes();
  const auto start = vmm::load_boot_image({.file = file, .format = {}}, memory);
  REQUIRE(start);
  CHECK(start->entry == Gpa{0x100020});
  CHECK(memory.load<uint32_t>(Gpa{0x100010}).value() == kMagic);
  CHECK(memory.load<uint8_t>(Gpa{0x100fff}).value() == 0);
}

TEST_CASE("Multiboot: hostile images are refused") {
  const GuestMemory memory = make_memory();
  const auto load = [&](const Bytes& file) {
    return vmm::load_boot_image({.file = file, .format = {}}, memory);
  };
  check_refused(load(multiboot_elf(0x8)), "unknown features: flags 0x8");
  struct Case {
    const char* why;
    Kludge kludge;
  };
  for (const Case& c :
       {Case{"above the header's", {.load = 0x200000}},
        Case{"before the file's beginning", {.load = 0xff000}},
        Case{"below the load address", {.load_end = 0xfffff}},
        Case{"behind the file's end", {.load_end = 0x100101}},
        Case{"the bss ends inside", {.bss_end = 0x100001}}, Case{"entry is outside", {.entry = 0x101000}},
        Case{"not in the guest's memory", {.bss_end = 0xf0000000}},
        Case{"not in the guest's memory",
             {.header = 0xa0010, .load = 0xa0000, .load_end = 0xa0100, .bss_end = 0, .entry = 0xa0000}}}) {
    CAPTURE(c.why);
    check_refused(load(c.kludge.bytes()), c.why);
  }
  const Bytes big(uint64_t{7} << 20);
  const Bytes file = multiboot_elf();
  const std::vector<vmm::BootModule> modules{{big, "big"}};
  check_refused(vmm::load_boot_image({.file = file, .format = {}, .modules = modules}, memory),
                "'big' of 7340032 bytes");
  check_refused(vmm::load_boot_image(
                    {.file = file, .format = {}, .modules = {}, .cmdline = std::string(70000, 'x')}, memory),
                "there is room for");
}

TEST_CASE("ELF: loaded by physical address, entered by virtual or physical one") {
  const GuestMemory memory = make_memory();
  ElfBuilder elf;
  elf.programs[0].p_vaddr = 0xffffffff80200000;
  for (const uint64_t entry : {uint64_t{0xffffffff80200010}, uint64_t{0x200010}}) {
    elf.header.e_entry = entry;
    const Bytes file = elf.bytes();
    const auto start = vmm::load_boot_image({.file = file, .format = {}}, memory);
    REQUIRE(start);
    CHECK(start->entry == Gpa{0x200010});
    CHECK(start->mode == CpuMode::kLong);
    CHECK(start->registers.rdi == start->registers.rbx);
  }
}

TEST_CASE("ELF: hostile images are refused") {
  const GuestMemory memory = make_memory();
  struct Case {
    const char* why;
    std::function<void(ElfBuilder&)> change;
  };
  const Case cases[] = {
      {"unknown class", [](ElfBuilder& e) { e.header.e_ident[EI_CLASS] = 7; }},
      {"foreign machine", [](ElfBuilder& e) { e.header.e_machine = EM_ARM; }},
      {"type 1 is an object file", [](ElfBuilder& e) { e.header.e_type = ET_REL; }},
      {"0 program headers", [](ElfBuilder& e) { e.header.e_phnum = 0; }},
      {"program headers of 8 bytes", [](ElfBuilder& e) { e.header.e_phentsize = 8; }},
      {"lies beyond the file", [](ElfBuilder& e) { e.header.e_phoff = ~uint64_t{0} - 3; }},
      {"lies beyond the file", [](ElfBuilder& e) { e.header.e_phoff = 10000; }},
      {"cannot hold", [](ElfBuilder& e) { e.programs[0].p_memsz = 1; }},
      {"reach beyond the file", [](ElfBuilder& e) { e.programs[0].p_offset = ~uint64_t{0} - 1; }},
      {"overflow", [](ElfBuilder& e) { e.programs[0].p_paddr = ~uint64_t{0} - 1; }},
      {"is in no segment", [](ElfBuilder& e) { e.header.e_entry = 5; }},
      {"no loadable segment", [](ElfBuilder& e) { e.programs[0].p_type = PT_NOTE; }},
      {"segments at 0x200000 and 0x200040 overlap", [](ElfBuilder& e) { e.add(0x200040, 1, 1); }},
      {"not in the guest's memory", [](ElfBuilder& e) { e.programs[0].p_paddr = 0x400; }},
      {"not in the guest's memory", [](ElfBuilder& e) { e.programs[0].p_memsz = uint64_t{1} << 40; }},
  };
  for (const Case& c : cases) {
    CAPTURE(c.why);
    ElfBuilder elf;
    c.change(elf);
    const Bytes file = elf.bytes();
    check_refused(vmm::load_boot_image({.file = file, .format = {}}, memory), c.why);
  }
  const Bytes whole = ElfBuilder().bytes();
  for (size_t size = 0; size + 1 < ElfBuilder().payload_offset(); ++size) {
    CHECK(!vmm::parse_elf_physical(std::span(whole).first(size)));
  }
}

TEST_CASE("ELF: what one loader refuses the other refuses too") {
  const std::pair<const char*, std::function<void(ElfBuilder&)>> cases[] = {
      {"foreign machine 3 (x86-32), accepted is 62", [](ElfBuilder& e) { e.header.e_machine = EM_386; }},
      {"foreign machine 183 (ARM64)", [](ElfBuilder& e) { e.header.e_machine = EM_AARCH64; }},
      {"unknown ELF version 1/0", [](ElfBuilder& e) { e.header.e_version = 0; }},
      {"unknown ELF version 0/1", [](ElfBuilder& e) { e.header.e_ident[EI_VERSION] = 0; }},
      {"0x0 bytes in memory cannot hold 0x40", [](ElfBuilder& e) { e.add(0x300000, 64, 0); }},
      {"an object file: link it", [](ElfBuilder& e) { e.header.e_type = ET_REL; }},
      {"a core dump", [](ElfBuilder& e) { e.header.e_type = ET_CORE; }},
      {"not little-endian", [](ElfBuilder& e) { e.header.e_ident[EI_DATA] = ELFDATA2MSB; }},
  };
  for (const auto& [why, change] : cases) {
    const std::string part = why;
    CAPTURE(part);
    ElfBuilder elf;
    change(elf);
    const Bytes file = elf.bytes();
    const auto run = vmm::parse_elf64(file);
    const auto boot = vmm::parse_elf_physical(file);
    REQUIRE(!run);
    REQUIRE(!boot);
    CHECK_MESSAGE(run.error().text().find(part) != std::string::npos, run.error().text());
    CHECK_MESSAGE(boot.error().text().find(part) != std::string::npos, boot.error().text());
  }
}

TEST_CASE("an over-long command line is named as such, whatever the format") {
  const GuestMemory memory = make_memory();
  const std::string cmdline(100'000, 'x');
  const Bytes flat(600, std::byte{0xf4});
  const Bytes elf = ElfBuilder().bytes();
  const Bytes multiboot = multiboot_elf();
  for (const Bytes* file : {&flat, &elf, &multiboot}) {
    check_refused(
        vmm::load_boot_image({.file = *file, .format = {}, .modules = {}, .cmdline = cmdline}, memory),
        "--cmdline, --module: the texts and their tables have");
  }
}

TEST_CASE("flat: real mode below 1 MiB, protected mode above") {
  const GuestMemory memory = make_memory();
  const Bytes file(600, std::byte{0xf4});
  const auto low = vmm::load_boot_image({.file = file, .format = {}}, memory);
  REQUIRE(low);
  CHECK(low->mode == CpuMode::kReal);
  CHECK(low->entry == Gpa{0x7c00});
  CHECK(low->registers.rdx == 0x80);
  const auto high = vmm::load_boot_image({.file = file, .format = {}, .flat_address = Gpa{0x200000}}, memory);
  REQUIRE(high);
  CHECK(high->mode == CpuMode::kProtected);
  CHECK(memory.load<uint8_t>(Gpa{0x200000 + 599}).value() == 0xf4);
  check_refused(vmm::load_boot_image({.file = file, .format = {}, .flat_address = Gpa{0x9ff00}}, memory),
                "not in the guest's memory");
  check_refused(vmm::load_boot_image({.file = {}, .format = {}}, memory), "empty");
}
