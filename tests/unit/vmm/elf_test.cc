#include "vmm/load/elf.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "tests/unit/vmm/elf_builder.h"

using vmm::ErrorKind;
using vmm::Gpa;
using vmm::GuestMemory;
using vmm::parse_elf64;
using vmm::Prefault;
using vmm_test::ElfBuilder;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

// The image with `change` applied must be refused with a usage error that contains `why`.
struct Hostile {
  const char* name;
  const char* why;
  std::function<void(ElfBuilder&)> change;
};

const Hostile kHostile[] = {
    {"wrong magic", "not an ELF file", [](ElfBuilder& e) { e.header.e_ident[0] = 0; }},
    {"32-bit", "not a 64-bit image: class 1", [](ElfBuilder& e) { e.header.e_ident[EI_CLASS] = ELFCLASS32; }},
    {"big-endian", "not little-endian", [](ElfBuilder& e) { e.header.e_ident[EI_DATA] = ELFDATA2MSB; }},
    {"foreign machine", "foreign machine 183", [](ElfBuilder& e) { e.header.e_machine = EM_AARCH64; }},
    {"object file", "type 1 is an object file: link it", [](ElfBuilder& e) { e.header.e_type = ET_REL; }},
    {"core file", "type 4 is a core dump", [](ElfBuilder& e) { e.header.e_type = ET_CORE; }},
    {"ident version", "unknown ELF version", [](ElfBuilder& e) { e.header.e_ident[EI_VERSION] = 9; }},
    {"file version", "unknown ELF version", [](ElfBuilder& e) { e.header.e_version = 0; }},
    {"no program headers", "no program headers", [](ElfBuilder& e) { e.header.e_phnum = 0; }},
    {"many program headers", "65535 program headers", [](ElfBuilder& e) { e.header.e_phnum = 0xffff; }},
    {"one too many", "65 program headers, at most 64", [](ElfBuilder& e) { e.header.e_phnum = 65; }},
    {"entry size", "program headers of 32 bytes", [](ElfBuilder& e) { e.header.e_phentsize = 32; }},
    {"table beyond the file", "truncated", [](ElfBuilder& e) { e.header.e_phoff = 1 << 20; }},
    {"table half inside", "truncated", [](ElfBuilder& e) { e.header.e_phoff = e.bytes().size() - 8; }},
    {"table offset overflows", "truncated", [](ElfBuilder& e) { e.header.e_phoff = ~uint64_t{0} - 8; }},
    {"table over the header", "overlap the ELF header", [](ElfBuilder& e) { e.header.e_phoff = 8; }},
    {"sections beyond the file", "section headers at offset 0x5000 reach beyond",
     [](ElfBuilder& e) {
       e.header.e_shoff = 0x5000;
       e.header.e_shnum = 1;
       e.header.e_shentsize = sizeof(Elf64_Shdr);
     }},
    {"sections over program headers", "section headers at offset 0x40 overlap",
     [](ElfBuilder& e) {
       e.header.e_shoff = 64;
       e.header.e_shnum = 1;
       e.header.e_shentsize = sizeof(Elf64_Shdr);
     }},
    {"sections over the header", "section headers at offset 0x4 overlap",
     [](ElfBuilder& e) {
       e.header.e_shoff = 4;
       e.header.e_shnum = 1;
       e.header.e_shentsize = 16;
     }},
    {"segment beyond the file", "program header 0 (at offset 0x40): 0x41 bytes at offset 0x78 reach beyond",
     [](ElfBuilder& e) { e.programs[0].p_filesz = 65; }},
    {"segment offset overflows", "reach beyond the file",
     [](ElfBuilder& e) { e.programs[0].p_offset = ~uint64_t{0} - 3; }},
    {"less memory than file", "cannot hold 0x40 from the file",
     [](ElfBuilder& e) { e.programs[0].p_memsz = 63; }},
    {"address overflows", "overflow", [](ElfBuilder& e) { e.programs[0].p_vaddr = ~uint64_t{0} - 16; }},
    {"memory size overflows", "overflow", [](ElfBuilder& e) { e.programs[0].p_memsz = ~uint64_t{0}; }},
    {"alignment no power of two", "alignment 0x3", [](ElfBuilder& e) { e.programs[0].p_align = 3; }},
    {"address off alignment", "do not fit alignment 0x1000",
     [](ElfBuilder& e) { e.programs[0].p_align = 0x1000; }},
    {"interpreter", "needs a dynamic linker", [](ElfBuilder& e) { e.add(0, 8, 8).p_type = PT_INTERP; }},
    {"nothing to load", "no loadable segment", [](ElfBuilder& e) { e.programs[0].p_type = PT_NOTE; }},
    {"only empty segments", "no loadable segment",
     [](ElfBuilder& e) { e.programs[0].p_memsz = e.programs[0].p_filesz = 0; }},
    {"overlapping segments", "segments at 0x200000 and 0x20007f overlap",
     [](ElfBuilder& e) { e.add(0x20007f, 8, 8); }},
    {"entry below", "entry 0x1fffff is in no executable", [](ElfBuilder& e) { e.header.e_entry = 0x1fffff; }},
    {"entry at the end", "entry 0x200080 is in no", [](ElfBuilder& e) { e.header.e_entry = 0x200080; }},
    {"entry in data", "in no executable segment", [](ElfBuilder& e) { e.programs[0].p_flags = PF_R | PF_W; }},
};

void check_refused(const vmm::Result<vmm::ElfImage>& image, const std::string& why) {
  REQUIRE(!image);
  CHECK(image.error().kind == ErrorKind::kUsage);
  CHECK_MESSAGE(image.error().text().find(why) != std::string::npos, image.error().text());
}

void use_dynamic_section(ElfBuilder& e, std::vector<std::byte>& file, Elf64_Sxword tag, uint64_t value) {
  Elf64_Dyn entry{};
  entry.d_tag = tag;
  entry.d_un.d_val = value;
  std::memcpy(file.data() + e.payload_offset(), &entry, sizeof(entry));
}

}  // namespace

TEST_CASE("hostile ELF images are refused with what and where") {
  for (const Hostile& hostile : kHostile) {
    CAPTURE(hostile.name);
    ElfBuilder elf;
    hostile.change(elf);
    check_refused(parse_elf64(elf.bytes()), hostile.why);
  }
}

TEST_CASE("an image cut off anywhere is refused") {
  const auto whole = ElfBuilder().bytes();
  REQUIRE(parse_elf64(whole));
  for (size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(!parse_elf64(std::span(whole).first(size)));
  }
}

TEST_CASE("segments come out in ascending order with the image's end") {
  ElfBuilder elf;
  elf.add(0x100000, 16, 16).p_flags = PF_R;
  elf.add(0x300000, 0, 0x5001).p_flags = PF_R | PF_W;
  const auto image = parse_elf64(elf.bytes());
  REQUIRE(image);
  REQUIRE(image->segments.size() == 3);
  CHECK(image->segments[0].start == Gpa{0x100000});
  CHECK(!image->segments[0].executable);
  CHECK(image->segments[1].executable);
  CHECK(image->end == Gpa{0x305001});
  CHECK(image->entry == Gpa{0x200010});
}

TEST_CASE("a position-independent image goes to 1 MiB") {
  ElfBuilder elf;
  elf.header.e_type = ET_DYN;
  elf.header.e_entry = 0x10;
  elf.programs[0].p_vaddr = 0;
  const auto image = parse_elf64(elf.bytes());
  REQUIRE(image);
  CHECK(image->entry == Gpa{vmm::kImageStart.value + 0x10});
  CHECK(image->segments[0].start == vmm::kImageStart);
}

TEST_CASE("a position-independent image keeps its alignment when moved") {
  ElfBuilder elf;
  elf.header.e_type = ET_DYN;
  elf.header.e_entry = elf.payload_offset();
  elf.programs[0].p_vaddr = elf.payload_offset();
  elf.programs[0].p_align = 4 * kMiB;
  const auto image = parse_elf64(elf.bytes());
  REQUIRE(image);
  CHECK(image->segments[0].start == Gpa{4 * kMiB + elf.payload_offset()});
  elf.programs[0].p_align = uint64_t{1} << 62;
  check_refused(parse_elf64(elf.bytes()), "alignment 0x4000000000000000 is beyond");
}

TEST_CASE("a position-independent image that wants relocation is refused") {
  ElfBuilder elf;
  elf.header.e_type = ET_DYN;
  elf.header.e_entry = 0x10;
  elf.programs[0].p_vaddr = 0;
  elf.add(0, 32, 32).p_type = PT_DYNAMIC;
  auto file = elf.bytes();
  use_dynamic_section(elf, file, DT_NULL, 0);
  CHECK(parse_elf64(file));
  use_dynamic_section(elf, file, DT_RELASZ, 24);
  check_refused(parse_elf64(file), "program header 1 (at offset 0x78): the image needs a dynamic linker");
  use_dynamic_section(elf, file, DT_NEEDED, 1);
  check_refused(parse_elf64(file), "-static -no-pie");
  elf.programs[1].p_filesz = 1000;
  check_refused(parse_elf64(elf.bytes()), "the dynamic section reaches beyond the file");
}

TEST_CASE("loading copies the file's bytes and zeroes the rest") {
  const ElfBuilder elf;
  const auto file = elf.bytes();
  const auto image = parse_elf64(file);
  REQUIRE(image);
  const auto memory = GuestMemory::allocate(4 * kMiB, Prefault::kNo);
  REQUIRE(memory);
  const uint8_t dirt = 0xee;
  for (const uint64_t at : {0x1fffffu, 0x200040u, 0x20007fu, 0x200080u})
    REQUIRE(memory->store(Gpa{at}, dirt));
  REQUIRE(vmm::load_elf64(file, *image, *memory, Gpa{4 * kMiB}));
  CHECK(*memory->load<uint8_t>(Gpa{0x200000}) == static_cast<uint8_t>(elf.payload_offset()));
  CHECK(*memory->load<uint8_t>(Gpa{0x20003f}) == static_cast<uint8_t>(elf.payload_offset() + 63));
  CHECK(*memory->load<uint8_t>(Gpa{0x200040}) == 0);
  CHECK(*memory->load<uint8_t>(Gpa{0x20007f}) == 0);
  CHECK(*memory->load<uint8_t>(Gpa{0x1fffff}) == dirt);
  CHECK(*memory->load<uint8_t>(Gpa{0x200080}) == dirt);
}

TEST_CASE("segments outside of the guest's part are refused before anything is copied") {
  const auto memory = GuestMemory::allocate(4 * kMiB, Prefault::kNo);
  REQUIRE(memory);
  const auto load = [&](uint64_t address, Gpa limit) {
    ElfBuilder elf;
    elf.add(address, 8, 16);
    const auto file = elf.bytes();
    const auto image = parse_elf64(file);
    REQUIRE(image);
    return vmm::load_elf64(file, *image, *memory, limit);
  };
  const auto low = load(kMiB - 8, Gpa{4 * kMiB});
  REQUIRE(!low);
  CHECK(low.error().text().find("0xffff8 … 0x100008 is outside of 0x100000 … 0x400000") != std::string::npos);
  CHECK(low.error().text().find("link it at 1 MiB or above") != std::string::npos);
  const auto high = load(3 * kMiB - 8, Gpa{3 * kMiB});
  REQUIRE(!high);
  CHECK(high.error().kind == ErrorKind::kUsage);
  CHECK(high.error().text().find("more memory") != std::string::npos);
  CHECK(!load(uint64_t{1} << 40, Gpa{3 * kMiB}));
  CHECK(*memory->load<uint8_t>(Gpa{0x200000}) == 0);
  CHECK(load(3 * kMiB - 16, Gpa{3 * kMiB}));
}

TEST_CASE("image files that cannot be read are named") {
  const auto missing = vmm::read_image_file("no/such/guest.elf");
  REQUIRE(!missing);
  CHECK(missing.error().kind == ErrorKind::kUsage);
  CHECK(missing.error().text() == "read no/such/guest.elf: No such file or directory (ENOENT)");
  const auto directory = vmm::read_image_file(".");
  REQUIRE(!directory);
  CHECK(directory.error().text() == "read .: not a regular file");
  const auto large = vmm::read_image_file("/proc/self/exe", 16);
  REQUIRE(!large);
  CHECK(large.error().text().find("at most 0 MiB") != std::string::npos);
  const auto self = vmm::read_image_file("/proc/self/exe");
  REQUIRE(self);
  CHECK(self->size() > 1000);
}
