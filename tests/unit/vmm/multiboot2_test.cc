// Multiboot 2: header and tags, places, hostile images.
#include "vmm/load/multiboot2.h"

#include <doctest/doctest.h>

#include "tests/unit/vmm/multiboot2_bytes.h"

using vmm::BootFormat;
using vmm::Gpa;
using vmm::GuestMemory;
using Tags = vmm_test::Multiboot2TagList;
using namespace vmm_test;

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
