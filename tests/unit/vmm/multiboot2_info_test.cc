// Multiboot 2: what a kernel is handed, and where its modules and sections lie.
#include <doctest/doctest.h>

#include "tests/unit/vmm/multiboot2_bytes.h"
#include "vmm/platform/acpi.h"
#include "vmm/platform/firmware.h"

using vmm::Gpa;
using vmm::GuestMemory;
using Tags = vmm_test::Multiboot2TagList;
using namespace vmm_test;

TEST_CASE("Multiboot 2: machine state and boot information") {
  const GuestMemory memory = firmware_memory();
  const Bytes file = mb2_elf({{kAlign, 0, {}}});
  const Bytes first(100, std::byte{7});
  const Bytes second(5000, std::byte{8});
  const std::vector<vmm::BootModule> modules{{first, "one x"}, {second, "two"}};
  const auto start =
      vmm::load_boot_image({.file = file, .format = {}, .modules = modules, .cmdline = "a b=c"}, memory);
  REQUIRE_MESSAGE(start.has_value(), start.error().text());
  CHECK(start->mode == vmm::CpuMode::kProtected);
  CHECK(start->entry == Gpa{0x200010});
  CHECK(start->registers.rax == 0x36d76289);
  const uint64_t info = start->registers.rbx;
  CHECK(info % 8 == 0);
  CHECK(info >= vmm::kHandoverStart.value);
  CHECK(word(memory, info + 4) == 0);
  CHECK(text_at(memory, info_tag(memory, info, 1).at) == "a b=c");
  CHECK(info_tag(memory, info, 1).bytes == 6);
  CHECK(text_at(memory, info_tag(memory, info, 2).at) == "kvmux");
  const InfoTag one = info_tag(memory, info, 3);
  const InfoTag two = info_tag(memory, info, 3, 1);
  REQUIRE(two.found);
  CHECK(word(memory, one.at) == 0x201000);
  CHECK(word(memory, one.at + 4) == 0x201000 + 100);
  CHECK(text_at(memory, one.at + 8) == "one x");
  CHECK(word(memory, two.at) == 0x202000);
  CHECK(word(memory, two.at + 4) == 0x202000 + 5000);
  CHECK(text_at(memory, two.at + 8) == "two");
  CHECK(memory.load<uint8_t>(Gpa{0x202000 + 4999}).value() == 8);
  CHECK(!info_tag(memory, info, 3, 2).found);
  CHECK(word(memory, info_tag(memory, info, 4).at) == 639);
  CHECK(word(memory, info_tag(memory, info, 4).at + 4) == 7 * 1024);
  const InfoTag map = info_tag(memory, info, 6);
  const auto expected = vmm::memory_map(memory.size());
  REQUIRE(map.bytes == 8 + 24 * expected.size());
  CHECK(word(memory, map.at) == 24);
  CHECK(word(memory, map.at + 4) == 0);
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto range = memory.load<std::array<uint64_t, 3>>(Gpa{map.at + 8 + i * 24}).value();
    CHECK(range[0] == expected[i].start.value);
    CHECK(range[1] == expected[i].bytes);
    CHECK(range[2] == static_cast<uint64_t>(expected[i].type));
  }
  CHECK(info_tag(memory, info, 14).bytes == 20);
  const InfoTag rsdp = info_tag(memory, info, 15);
  REQUIRE(rsdp.bytes == vmm::kRsdpBytes);
  using Rsdp = std::array<uint8_t, vmm::kRsdpBytes>;
  CHECK(memory.load<Rsdp>(Gpa{rsdp.at}).value() == memory.load<Rsdp>(vmm::kAcpiStart).value());
  CHECK(memory.load<uint64_t>(Gpa{info_tag(memory, info, 14).at}).value() ==
        0x2052545020445352);                 // "RSD PTR "
  CHECK(!info_tag(memory, info, 9).found);   // the file has no sections
  CHECK(!info_tag(memory, info, 21).found);  // and is not relocatable
}

TEST_CASE("Multiboot 2: sections are handed over, and loaded where no segment holds them") {
  const GuestMemory memory = firmware_memory();
  Bytes file = mb2_elf({}, [](ElfBuilder& e) { e.payload_bytes = 512; });
  const uint64_t names = file.size() - 64;
  std::memcpy(file.data() + names, "\0.text\0.names\0", 14);
  std::array<Elf64_Shdr, 4> sections{};
  sections[1].sh_type = SHT_PROGBITS;  // in a segment: keeps its address
  sections[1].sh_addr = 0x200000;
  sections[1].sh_size = 64;
  sections[2].sh_type = SHT_STRTAB;
  sections[2].sh_offset = names;
  sections[2].sh_size = 14;
  sections[3].sh_type = SHT_NOBITS;  // nothing to load
  sections[3].sh_size = 1 << 20;
  auto header = ElfBuilder().header;
  std::memcpy(&header, file.data(), sizeof(header));
  header.e_shoff = file.size();
  header.e_shnum = sections.size();
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shstrndx = 2;
  put(file, 0, header);
  put(file, file.size(), sections);
  const Bytes module(10, std::byte{7});
  const std::vector<vmm::BootModule> modules{{module, "m"}};
  const auto start = vmm::load_boot_image({.file = file, .format = {}, .modules = modules}, memory);
  REQUIRE_MESSAGE(start.has_value(), start.error().text());
  const InfoTag tag = info_tag(memory, start->registers.rbx, 9);
  REQUIRE(tag.bytes == 12 + sizeof(sections));
  CHECK(word(memory, tag.at) == 4);
  CHECK(word(memory, tag.at + 4) == sizeof(Elf64_Shdr));
  CHECK(word(memory, tag.at + 8) == 2);
  const auto given = memory.load<std::array<Elf64_Shdr, 4>>(Gpa{tag.at + 12}).value();
  CHECK(given[1].sh_addr == 0x200000);
  CHECK(given[2].sh_addr == 0x201000);
  CHECK(given[3].sh_addr == 0);
  CHECK(text_at(memory, given[2].sh_addr + 7) == ".names");
  CHECK(word(memory, info_tag(memory, start->registers.rbx, 3).at) == 0x202000);  // behind them

  header.e_shentsize = 40;
  put(file, 0, header);
  check_refused(load(file, memory), "section headers of 40 bytes, must be 64");
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shoff += 1;
  put(file, 0, header);
  check_refused(load(file, memory), "4 section headers at offset");
  header.e_shoff -= 1;
  put(file, 0, header);
  sections[2].sh_size = 10'000;
  put(file, header.e_shoff, sections);
  check_refused(load(file, memory), "section 2, 0x2710 bytes at offset");
  header.e_shnum = 513;  // too many to hand over: none
  put(file, 0, header);
  const auto many = load(file, memory);
  REQUIRE(many);
  CHECK(!info_tag(memory, many->registers.rbx, 9).found);
}

TEST_CASE("Multiboot 2: where a kernel lies at the end of memory its modules go below") {
  const GuestMemory memory = firmware_memory();
  const Bytes file = mb2_elf({{kRelocatable, 0, {0x100000, 0xffffffff, 0x1000, 2}}});
  const Bytes module(5000, std::byte{8});
  const std::vector<vmm::BootModule> modules{{module, "m"}};
  const auto start = vmm::load_boot_image({.file = file, .format = {}, .modules = modules}, memory);
  REQUIRE_MESSAGE(start.has_value(), start.error().text());
  CHECK(start->entry == Gpa{0x7ff010});
  CHECK(word(memory, info_tag(memory, start->registers.rbx, 3).at) == 0x100000);
}
