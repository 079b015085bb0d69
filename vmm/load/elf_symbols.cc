// Symbols of an ELF file: its symbol table (SHT_SYMTAB) and the strings that belong to it (ELF-64 Object File Format,
// 2.3 and 2.6; System V ABI for ELF32).
#include <elf.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <iterator>

#include "vmm/load/elf.h"
#include "vmm/load/program_headers.h"
#include "vmm/load/symbols.h"

namespace vmm {
namespace {

struct Table {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t names = 0;  // offset of its strings
  uint64_t name_bytes = 0;
};

template <class Header, class Section>
std::optional<Table> find_table(ImageBytes file) {
  const auto header = read_field<Header>(file, 0);
  if (!header || header->e_shentsize != sizeof(Section)) return std::nullopt;
  const auto section = [&](uint64_t i) {
    return read_field<Section>(file, header->e_shoff + i * sizeof(Section));
  };
  for (uint64_t i = 0; i < header->e_shnum; ++i) {
    const auto symbols = section(i);
    if (!symbols) return std::nullopt;
    if (symbols->sh_type != SHT_SYMTAB || symbols->sh_link >= header->e_shnum) continue;
    const auto names = section(symbols->sh_link);
    if (!names || names->sh_type != SHT_STRTAB) return std::nullopt;
    return Table{symbols->sh_offset, symbols->sh_size, names->sh_offset, names->sh_size};
  }
  return std::nullopt;
}

// Printable, and not endless.
std::string name_in(ImageBytes file, uint64_t begin, uint64_t end) {
  constexpr uint64_t kLongest = 80;
  std::string name;
  for (uint64_t at = begin; at < std::min<uint64_t>(end, file.size()) && name.size() < kLongest; ++at) {
    const auto c = static_cast<unsigned char>(file[at]);
    if (c == 0) break;
    name += std::isgraph(c) != 0 ? static_cast<char>(c) : '?';
  }
  return name;
}

// Where several begin at one address the first stays: functions before labels, those that all may call before local
// ones.
int rank_of(unsigned char info) {
  const bool is_function = (info & 0xf) == STT_FUNC;
  const bool is_local = info >> 4 == STB_LOCAL;
  return (is_function ? 0 : 2) + (is_local ? 1 : 0);
}

template <class Header, class Section, class Entry>
SymbolTable symbols_of(ImageBytes file) {
  const auto header = read_field<Header>(file, 0);
  const uint64_t bias = header && header->e_type == ET_DYN ? kImageStart.value : 0;
  const auto table = find_table<Header, Section>(file);
  if (!table) return {};
  std::array<std::vector<Symbol>, 4> by_rank;
  const uint64_t most = std::min<uint64_t>(table->bytes, file.size()) / sizeof(Entry);
  for (uint64_t i = 0; i < most; ++i) {
    const auto symbol = read_field<Entry>(file, table->offset + i * sizeof(Entry));
    if (!symbol) break;
    const unsigned type = symbol->st_info & 0xf;
    const bool is_code = type == STT_FUNC || type == STT_NOTYPE;
    if (!is_code || symbol->st_shndx == SHN_UNDEF || symbol->st_shndx == SHN_ABS || symbol->st_name == 0) continue;
    if (symbol->st_name >= table->name_bytes) continue;
    std::string name = name_in(file, table->names + symbol->st_name, table->names + table->name_bytes);
    if (name.empty()) continue;
    by_rank[static_cast<size_t>(rank_of(symbol->st_info))].push_back(
        {.start = symbol->st_value + bias, .bytes = symbol->st_size, .name = std::move(name)});
  }
  std::vector<Symbol> all = std::move(by_rank[0]);
  for (size_t rank = 1; rank < by_rank.size(); ++rank) {
    all.insert(all.end(), std::make_move_iterator(by_rank[rank].begin()),
               std::make_move_iterator(by_rank[rank].end()));
  }
  return SymbolTable(std::move(all));
}

}  // namespace

SymbolTable elf_symbols(ImageBytes file) {
  if (!is_elf(file) || file.size() < EI_NIDENT) return {};
  switch (static_cast<unsigned char>(file[EI_CLASS])) {
    case ELFCLASS64:
      return symbols_of<Elf64_Ehdr, Elf64_Shdr, Elf64_Sym>(file);
    case ELFCLASS32:
      return symbols_of<Elf32_Ehdr, Elf32_Shdr, Elf32_Sym>(file);
    default:
      return {};
  }
}

}  // namespace vmm
