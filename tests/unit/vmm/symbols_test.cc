#include "vmm/load/symbols.h"

#include <doctest/doctest.h>
#include <elf.h>

#include <cstring>
#include <string>
#include <string_view>
#include <tuple>
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
  const SymbolTable symbols = elf_symbols(file.bytes);
  CHECK(symbols.name_at(0x1000) == "first");
  CHECK(symbols.name_at(0x101f) == "first+0x1f");
  CHECK(symbols.name_at(0x1020).empty());  // between two functions
  CHECK(symbols.name_at(0x107f) == "second+0x3f");
  CHECK(symbols.name_at(0x2010) == "label+0x10");
  CHECK(symbols.name_at(0x2000 + (1 << 20)).empty());
  CHECK(symbols.name_at(0xfff).empty());
  CHECK_FALSE(symbols.is_upper_half());
  const File moved(ET_DYN);
  CHECK(elf_symbols(moved.bytes).name_at(0x101000) == "first");
  CHECK(elf_symbols(moved.bytes).name_at(0x1000).empty());
}

TEST_CASE("symbols: a file that is cut off anywhere has none, or the same") {
  const File file;
  for (size_t size = 0; size < file.bytes.size(); ++size) {
    const std::string name = elf_symbols(std::span(file.bytes).first(size)).name_at(0x101f);
    CHECK((name.empty() || std::string("first+0x1f").starts_with(name.substr(0, 1))));
  }
  CHECK(elf_symbols({}).empty());
}

TEST_CASE("symbols: how far a place reaches, and who stays of two at one address") {
  const SymbolTable symbols({{.start = 0x3000, .bytes = 0, .name = "last"},
                             {.start = 0x1000, .bytes = 0, .name = "asm_entry"},
                             {.start = 0x2000, .bytes = 0x800, .name = "outer"},
                             {.start = 0x2000, .bytes = 0, .name = "alias"},
                             {.start = 0x2100, .bytes = 0x10, .name = "inner"}});
  const auto at = [&](uint64_t address) {
    const auto place = symbols.find(address);
    REQUIRE(place);
    return std::tuple(place->symbol->name, place->bytes, place->past);
  };
  CHECK(at(0x1234) == std::tuple("asm_entry", uint64_t{0x1000}, uint64_t{0x234}));  // up to the next
  CHECK(at(0x2000) == std::tuple("outer", uint64_t{0x800}, uint64_t{0}));
  CHECK(at(0x2108) == std::tuple("inner", uint64_t{0x10}, uint64_t{8}));
  CHECK(at(0x2200) == std::tuple("outer", uint64_t{0x800}, uint64_t{0x200}));
  CHECK(at(0x3001) == std::tuple("last", uint64_t{1 << 20}, uint64_t{1}));
  CHECK_FALSE(symbols.find(0x2900));
}

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace

TEST_CASE("symbols: a System.map, and kallsyms as a serial console shows it") {
  const auto map = parse_symbols(bytes_of("ffffffff81000000 T _text\n"
                                          "ffffffff81000000 T startup_64\n"
                                          "ffffffff81000200 t spin_here\n"
                                          "ffffffff81000300 D some_data\n"
                                          "ffffffff81000400 W weak_one\n"),
                                 "System.map");
  REQUIRE(map);
  CHECK(map->name_at(0xffffffff81000000) == "_text");
  CHECK(map->name_at(0xffffffff81000310) == "spin_here+0x110");  // data is no code
  CHECK(map->name_at(0xffffffff81000404) == "weak_one+0x4");
  CHECK(map->is_upper_half());
  const auto console = parse_symbols(bytes_of("[    2.1] Run /bin/sh as init process\r\n"
                                              "~ # cat /proc/kallsyms\r\n"
                                              "ffffffff81000200 t spin_here\r\n"
                                              "ffffffffc0000000 t in_module\t[kvm]\r\n"
                                              "ffffffffc0000100 t odd\tthing\r\n"
                                              "~ # "),
                                     "console.txt");
  REQUIRE(console);
  CHECK(console->name_at(0xffffffff81000208) == "spin_here+0x8");
  CHECK(console->name_at(0xffffffffc0000008) == "in_module [kvm]+0x8");
  CHECK(console->name_at(0xffffffffc0000100) == "in_module [kvm]+0x100");
}

TEST_CASE("symbols: what is something else is named, with what is accepted") {
  const auto refused = [](std::span<const std::byte> file, std::string_view why) {
    const auto symbols = parse_symbols(file, "x.map");
    REQUIRE_FALSE(symbols);
    const std::string text = symbols.error().text();
    CHECK(symbols.error().kind == ErrorKind::kUsage);
    CHECK_MESSAGE(text.find("x.map") != std::string::npos, text);
    CHECK_MESSAGE(text.find(why) != std::string::npos, text);
    CHECK_MESSAGE(text.find("vmlinux") != std::string::npos, text);
    CHECK_MESSAGE(text.find("/proc/kallsyms") != std::string::npos, text);
  };
  refused({}, "an empty file");
  refused(bytes_of("\x1f\x8b\x08 and so on, compressed"), "a gzip file");
  refused(bytes_of("some lines of text, none of which\nis a symbol of anything\n"), "a text file");
  refused(bytes_of("ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n"),
          "-dbg package");
  refused(bytes_of("0000000000000000 T _text\n0000000000000000 t spin_here\n"), "kptr_restrict");
  refused(bytes_of("ffffffff81000300 D only_data\n"), "a text file");
  const File file;
  refused(std::span(file.bytes).first(sizeof(Elf64_Ehdr)), "stripped");
}
