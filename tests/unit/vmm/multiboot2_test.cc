// Multiboot 2: header and tags, places, boot information, hostile images.
#include "vmm/load/multiboot2.h"

#include <doctest/doctest.h>

#include <functional>

#include "tests/unit/vmm/elf_builder.h"
#include "tests/unit/vmm/multiboot2_bytes.h"
#include "vmm/platform/acpi.h"
#include "vmm/platform/firmware.h"

using vmm::BootFormat;
using vmm::Gpa;
using vmm::GuestMemory;
using namespace vmm_test;

namespace {

using Tags = std::vector<Multiboot2Tag>;

enum Tag : uint16_t {
  kRequest = 1,
  kAddress = 2,
  kEntry = 3,
  kConsole = 4,
  kFramebuffer = 5,
  kAlign = 6,
  kEfiServices = 7,
  kEfi32 = 8,
  kEfi64 = 9,
  kRelocatable = 10,
};

// An ELF64 at 2 MiB with a header in its payload.
Bytes mb2_elf(const Tags& tags = {}, const std::function<void(ElfBuilder&)>& change = {}) {
  ElfBuilder elf;
  elf.payload_bytes = 256;
  if (change) change(elf);
  Bytes bytes = elf.bytes();
  const Bytes header = multiboot2_header(tags);
  const uint64_t at = (elf.payload_offset() + 7) / 8 * 8;
  REQUIRE(at + header.size() <= bytes.size());
  std::copy(header.begin(), header.end(), bytes.begin() + static_cast<ptrdiff_t>(at));
  return bytes;
}

// A file of 512 bytes, no ELF, with its header at 16.
Bytes mb2_flat(const Tags& tags) {
  Bytes bytes(512, std::byte{0x90});
  const Bytes header = multiboot2_header(tags);
  REQUIRE(16 + header.size() <= bytes.size());
  std::copy(header.begin(), header.end(), bytes.begin() + 16);
  return bytes;
}

GuestMemory firmware_memory() {
  GuestMemory memory = make_memory();
  REQUIRE(vmm::write_firmware({2, 2}, memory));
  return memory;
}

vmm::Result<vmm::StartState> load(const Bytes& file, const GuestMemory& memory) {
  return vmm::load_boot_image({.file = file, .format = {}}, memory);
}

uint32_t word(const GuestMemory& memory, uint64_t at) { return memory.load<uint32_t>(Gpa{at}).value(); }

}  // namespace

TEST_CASE("Multiboot 2: the header is found in the first 32 KiB, aligned to 8, with a good checksum") {
  const auto at = [](size_t offset) {
    Bytes bytes(40'000);
    const Bytes header = multiboot2_header({});
    std::copy(header.begin(), header.end(), bytes.begin() + static_cast<ptrdiff_t>(offset));
    return bytes;
  };
  REQUIRE(vmm::find_multiboot2(at(32'744)));
  CHECK(vmm::find_multiboot2(at(32'744))->offset == 32'744);
  CHECK(vmm::find_multiboot2(at(32'744))->bytes == 24);
  CHECK(!vmm::find_multiboot2(at(32'768)));
  CHECK(!vmm::find_multiboot2(at(12)));
  Bytes broken = at(8);
  put(broken, 20, 1u);
  CHECK(!vmm::find_multiboot2(broken));
  CHECK(!vmm::find_multiboot2({}));
}

TEST_CASE("Multiboot 2: goes behind Multiboot and PVH, which images that have both have started by so far") {
  CHECK(vmm::detect_format(mb2_elf()) == BootFormat::kMultiboot2);
  Bytes both = mb2_elf();
  put(both, both.size() - 12, std::array<uint32_t, 3>{0x1badb002, 0, 0u - 0x1badb002});
  CHECK(vmm::detect_format(both) == BootFormat::kMultiboot);
  const auto start =
      vmm::load_boot_image({.file = both, .format = BootFormat::kMultiboot2}, firmware_memory());
  REQUIRE(start);
  CHECK(start->registers.rax == 0x36d76289);
}

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

TEST_CASE("Multiboot 2: the entry address tag counts, not the ELF header's entry") {
  const GuestMemory memory = firmware_memory();
  const auto start = load(mb2_elf({{kEntry, 0, {0x200030}}}), memory);
  REQUIRE_MESSAGE(start.has_value(), start.error().text());
  CHECK(start->entry == Gpa{0x200030});
  check_refused(load(mb2_elf({{kEntry, 0, {0x300000}}}), memory), "the entry 0x300000 is in no segment");
}

TEST_CASE("Multiboot 2: an address tag loads any file") {
  const GuestMemory memory = firmware_memory();
  REQUIRE(memory.store(Gpa{0x100fff}, uint8_t{0xee}));
  // Header at 0x100010, from the file's beginning, to its end, bss to 0x101000.
  for (const uint32_t load_address : {0x100000u, 0xffffffffu}) {
    CAPTURE(load_address);
    const auto start = load(
        mb2_flat({{kAddress, 0, {0x100010, load_address, 0, 0x101000}}, {kEntry, 0, {0x100100}}}), memory);
    REQUIRE_MESSAGE(start.has_value(), start.error().text());
    CHECK(start->entry == Gpa{0x100100});
    CHECK(word(memory, 0x100010) == 0xe85250d6);
    CHECK(memory.load<uint8_t>(Gpa{0x1001ff}).value() == 0x90);
    CHECK(memory.load<uint8_t>(Gpa{0x100fff}).value() == 0);
  }
  check_refused(load(mb2_flat({{kAddress, 0, {0x100010, 0x100000, 0, 0}}}), memory),
                "and no entry address tag");
  check_refused(load(mb2_flat({{kEntry, 0, {0x100100}}}), memory), "neither an ELF file, nor an address tag");
  check_refused(load(mb2_flat({{kAddress, 0, {0xf, 0xffffffff, 0, 0}}, {kEntry, 0, {0x100100}}}), memory),
                "would lie 16 bytes before 0xf");
  check_refused(
      load(mb2_flat({{kAddress, 0, {0x100010, 0x100000, 0x100201, 0}}, {kEntry, 0, {0x100100}}}), memory),
      "the load end lies behind the file's end");
  check_refused(load(mb2_flat({{kAddress, 0, {0x100010, 0x100000, 0, 0}}, {kEntry, 0, {0x100200}}}), memory),
                "the entry is outside");
}

TEST_CASE("Multiboot 2: what is required and not here is refused by name, what is optional is ignored") {
  const GuestMemory memory = firmware_memory();
  const std::pair<const char*, Multiboot2Tag> cases[] = {
      {"requires tag 7 (EFI boot services): there is no EFI firmware", {kEfiServices, 0, {}}},
      {"requires tag 8 (EFI i386 entry address): there is no EFI firmware", {kEfi32, 0, {0x200000}}},
      {"requires tag 9 (EFI amd64 entry address): there is no EFI firmware", {kEfi64, 0, {0x200000}}},
      {"requires tag 4 (console flags): there is no screen", {kConsole, 0, {3}}},
      {"requires tag 11: it is not known", {11, 0, {}}},
      {"requires boot information of type 22, known are 1 to 21", {kRequest, 0, {1, 22}}},
  };
  for (const auto& [why, required] : cases) {
    Multiboot2Tag optional = required;
    optional.flags = 1;
    check_refused(load(mb2_elf({required}), memory), why);
    CHECK(load(mb2_elf({optional}), memory));
  }
  // A wish, a console that need not be, and information that is known and does not exist here.
  CHECK(load(mb2_elf({{kFramebuffer, 0, {800, 600, 32}}}), memory));
  CHECK(load(mb2_elf({{kConsole, 0, {2}}}), memory));
  CHECK(load(mb2_elf({{kRequest, 0, {1, 6, 8, 13, 21}}}), memory));
}

TEST_CASE("Multiboot 2: hostile headers are refused, and cut off anywhere do no harm") {
  const GuestMemory memory = firmware_memory();
  const auto changed = [](uint64_t at, uint32_t value) {
    Bytes file = mb2_flat({{kAddress, 0, {0x100010, 0x100000, 0, 0}}, {kEntry, 0, {0x100100}}});
    put(file, 16 + at, value);
    const auto head = [&file](uint64_t i) {
      uint32_t v = 0;
      std::memcpy(&v, file.data() + 16 + i * 4, sizeof(v));
      return v;
    };
    put(file, 28, 0u - head(0) - head(1) - head(2));
    return file;
  };
  check_refused(load(changed(4, 4), memory), "architecture 4, accepted is 0 (i386)");
  check_refused(load(changed(8, 15), memory), "has 15 bytes");
  check_refused(load(changed(8, 497), memory), "has 497 bytes");
  check_refused(load(changed(8, 0xfffffff0), memory), "has 4294967280 bytes");
  check_refused(load(changed(8, 40), memory), "do not end with tag 0");
  check_refused(load(changed(20, 7), memory), "tag 2 (address) of the header has 7 bytes");
  check_refused(load(changed(20, 16), memory), "tag 2 (address) of the header has 16 bytes");
  check_refused(load(changed(20, 0xffffffff), memory), "tag 2 (address) of the header has 4294967295 bytes");
  check_refused(vmm::load_boot_image({.file = Bytes(64), .format = BootFormat::kMultiboot2}, memory),
                "no Multiboot 2 header");
  const Bytes big(uint64_t{7} << 20);
  const Bytes file = mb2_elf();
  const std::vector<vmm::BootModule> modules{{big, "big"}};
  check_refused(vmm::load_boot_image({.file = file, .format = {}, .modules = modules}, memory),
                "'big' of 7340032 bytes");
  check_refused(vmm::load_boot_image(
                    {.file = file, .format = {}, .modules = {}, .cmdline = std::string(70000, 'x')}, memory),
                "there is room for");
  for (size_t size = 0; size < file.size(); ++size) {
    const auto part = std::span(file).first(size);
    const auto header = vmm::find_multiboot2(part);
    if (header) static_cast<void>(vmm::parse_multiboot2(part, *header));
  }
}

TEST_CASE("Multiboot 2: a relocatable kernel goes where its tag says") {
  const GuestMemory memory = firmware_memory();
  struct Case {
    vmm::Relocatable wanted;
    uint64_t base;  // the image, linked at 2 MiB, has 128 bytes
  };
  const Case cases[] = {
      {{0x100000, 0x7fffff, 0x1000, 0}, 0x200000},  // may stay
      {{0x100000, 0x7fffff, 0, 0}, 0x200000},       // no alignment is one of a byte
      {{0x300000, 0x7fffff, 0x1000, 0}, 0x300000},  // must move
      {{0x100000, 0x1fffff, 0x1000, 0}, 0x100000}, {{0x300001, 0x7fffff, 0x10000, 1}, 0x310000},
      {{0, 0xffffffff, 0x1000, 1}, 0x100000},  // 1 MiB is the lowest place of all
      {{0x100000, 0x6fffff, 0x1000, 2}, 0x6ff000}, {{0x100000, 0xffffffff, 0x200000, 2}, 0x600000},
      {{0x300000, 0x30007f, 1, 0}, 0x300000},  // exactly
  };
  for (const Case& c : cases) {
    CAPTURE(c.base);
    const auto& [lowest, highest, align, preference] = c.wanted;
    const auto start = load(mb2_elf({{kRelocatable, 0, {lowest, highest, align, preference}}}), memory);
    REQUIRE_MESSAGE(start.has_value(), start.error().text());
    CHECK(start->entry == Gpa{c.base + 0x10});
    CHECK(word(memory, c.base) == 0xe85250d6);
    const InfoTag base = info_tag(memory, start->registers.rbx, 21);
    REQUIRE(base.bytes == 4);
    CHECK(word(memory, base.at) == c.base);
  }
  const auto refused = [&](vmm::Relocatable wanted, const char* why) {
    check_refused(
        load(mb2_elf({{kRelocatable, 0, {wanted.lowest, wanted.highest, wanted.align, wanted.preference}}}),
             memory),
        why);
  };
  refused({0x300000, 0x30007e, 1, 0}, "no room for 0x80 bytes between 0x300000 and 0x30007f");
  refused({0x800000, 0xffffffff, 1, 0}, "no room");
  refused({0x400000, 0x300000, 1, 0}, "no room");
  refused({0xffffffff, 0xffffffff, 0x80000000, 1}, "no room");
  refused({0x100000, 0x7fffff, 3, 0}, "alignment 0x3 is no power of two");
  refused({0x100000, 0x7fffff, 1, 3}, "preference 3, accepted are 0 to 2");
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
