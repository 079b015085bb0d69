#include "vmm/load/symbols.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>
#include <string_view>

#include "vmm/load/elf.h"

namespace vmm {
namespace {

using Bytes = std::span<const std::byte>;

constexpr uint64_t kFarthest = 1 << 20;  // from a symbol without a size

template <class T>
std::optional<T> read_at(Bytes file, uint64_t offset) {
  if (offset > file.size() || file.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

struct Table {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t names = 0;  // offset of its strings
  uint64_t name_bytes = 0;
};

struct Best {
  uint64_t start = 0;
  uint64_t name = 0;  // in the file
  uint64_t name_end = 0;
};

template <class Header, class Section>
std::optional<Table> find_table(Bytes file) {
  const auto header = read_at<Header>(file, 0);
  if (!header || header->e_shentsize != sizeof(Section)) return std::nullopt;
  const auto section = [&](uint64_t i) {
    return read_at<Section>(file, header->e_shoff + i * sizeof(Section));
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

template <class Symbol>
std::optional<Best> nearest(Bytes file, const Table& table, uint64_t address) {
  std::optional<Best> best;
  const uint64_t most = std::min<uint64_t>(table.bytes, file.size()) / sizeof(Symbol);
  for (uint64_t i = 0; i < most; ++i) {
    const auto symbol = read_at<Symbol>(file, table.offset + i * sizeof(Symbol));
    if (!symbol) break;
    const unsigned type = symbol->st_info & 0xf;
    const bool is_code = type == STT_FUNC || type == STT_NOTYPE;
    if (!is_code || symbol->st_shndx == SHN_UNDEF || symbol->st_shndx == SHN_ABS || symbol->st_name == 0)
      continue;
    if (symbol->st_value > address || (best && symbol->st_value < best->start)) continue;
    const uint64_t past = address - symbol->st_value;
    if (symbol->st_size > 0 ? past >= symbol->st_size : past >= kFarthest) continue;
    if (symbol->st_name >= table.name_bytes) continue;
    best = Best{symbol->st_value, table.names + symbol->st_name, table.names + table.name_bytes};
  }
  return best;
}

// Printable, and not endless.
std::string name_in(Bytes file, uint64_t begin, uint64_t end) {
  constexpr uint64_t kLongest = 80;
  std::string name;
  for (uint64_t at = begin; at < std::min<uint64_t>(end, file.size()) && name.size() < kLongest; ++at) {
    const auto c = static_cast<unsigned char>(file[at]);
    if (c == 0) break;
    name += std::isgraph(c) != 0 ? static_cast<char>(c) : '?';
  }
  return name;
}

template <class Header, class Section, class Symbol>
std::string find(Bytes file, uint64_t address) {
  const auto header = read_at<Header>(file, 0);
  const uint64_t bias = header && header->e_type == ET_DYN ? kImageStart.value : 0;
  const auto table = find_table<Header, Section>(file);
  if (!table || address < bias) return {};
  const auto best = nearest<Symbol>(file, *table, address - bias);
  if (!best) return {};
  const std::string name = name_in(file, best->name, best->name_end);
  const uint64_t past = address - bias - best->start;
  return name.empty() || past == 0 ? name : fmt::format("{}+{:#x}", name, past);
}

}  // namespace

std::string symbol_at(Bytes file, uint64_t address) {
  if (file.size() < EI_NIDENT || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) return {};
  switch (static_cast<unsigned char>(file[EI_CLASS])) {
    case ELFCLASS64:
      return find<Elf64_Ehdr, Elf64_Shdr, Elf64_Sym>(file, address);
    case ELFCLASS32:
      return find<Elf32_Ehdr, Elf32_Shdr, Elf32_Sym>(file, address);
    default:
      return {};
  }
}

}  // namespace vmm
