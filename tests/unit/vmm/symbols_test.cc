#include "vmm/load/symbols.h"

#include <doctest/doctest.h>
#include <elf.h>

#include <cstring>
#include <vector>

using namespace vmm;

namespace {

// A file of nothing but a symbol table: two functions, a label and an absolute number.
struct File {
  explicit File(uint16_t type = ET_EXEC) {
    const char names[] = "\0first\0second\0label\0number";
    const auto at = [&](const char* name) {
      for (size_t i = 0; i < sizeof(names); ++i)
        if (std::strcmp(names + i, name) == 0 && (i == 0 || names[i - 1] == 0))
          return static_cast<Elf64_Word>(i);
      return Elf64_Word{0};
    };
    const std::vector<Elf64_Sym> symbols{
        {},
        {at("first"), ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, 0x1000, 0x20},
        {at("second"), ELF64_ST_INFO(STB_LOCAL, STT_FUNC), 0, 1, 0x1040, 0x40},
        {at("label"), ELF64_ST_INFO(STB_LOCAL, STT_NOTYPE), 0, 1, 0x2000, 0},
        {at("number"), ELF64_ST_INFO(STB_LOCAL, STT_NOTYPE), 0, SHN_ABS, 0x1010, 0}};
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_type = type;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = 3;
    header.e_shoff = sizeof(Elf64_Ehdr);
    std::vector<Elf64_Shdr> sections(3);
    sections[1].sh_type = SHT_SYMTAB;
    sections[1].sh_link = 2;
    sections[1].sh_offset = sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Shdr);
    sections[1].sh_size = symbols.size() * sizeof(Elf64_Sym);
    sections[2].sh_type = SHT_STRTAB;
    sections[2].sh_offset = sections[1].sh_offset + sections[1].sh_size;
    sections[2].sh_size = sizeof(names);
    put(&header, sizeof(header));
    put(sections.data(), 3 * sizeof(Elf64_Shdr));
    put(symbols.data(), symbols.size() * sizeof(Elf64_Sym));
    put(names, sizeof(names));
  }
  void put(const void* from, size_t size) {
    const auto* first = static_cast<const std::byte*>(from);
    bytes.insert(bytes.end(), first, first + size);
  }
  std::vector<std::byte> bytes;
};

}  // namespace

TEST_CASE("symbols: the function that an address lies in, or the label before it") {
  const File file;
  CHECK(symbol_at(file.bytes, 0x1000) == "first");
  CHECK(symbol_at(file.bytes, 0x101f) == "first+0x1f");
  CHECK(symbol_at(file.bytes, 0x1020).empty());  // between two functions
  CHECK(symbol_at(file.bytes, 0x107f) == "second+0x3f");
  CHECK(symbol_at(file.bytes, 0x2010) == "label+0x10");
  CHECK(symbol_at(file.bytes, 0x2000 + (1 << 20)).empty());
  CHECK(symbol_at(file.bytes, 0xfff).empty());
  const File moved(ET_DYN);
  CHECK(symbol_at(moved.bytes, 0x101000) == "first");
  CHECK(symbol_at(moved.bytes, 0x1000).empty());
}

TEST_CASE("symbols: a file that is cut off anywhere has none, or the same") {
  const File file;
  for (size_t size = 0; size < file.bytes.size(); ++size) {
    const std::string name = symbol_at(std::span(file.bytes).first(size), 0x101f);
    CHECK((name.empty() || std::string("first+0x1f").starts_with(name.substr(0, 1))));
  }
  CHECK(symbol_at({}, 0).empty());
}
