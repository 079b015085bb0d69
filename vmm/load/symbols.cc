#include "vmm/load/symbols.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "vmm/load/elf.h"
#include "vmm/load/image_kind.h"
#include "vmm/load/linux_boot.h"
#include "vmm/load/program_headers.h"
#include "vmm/load/symbol_text.h"

namespace vmm {
namespace {

constexpr uint64_t kFarthest = 1 << 20;  // from a symbol without a size

// What a file is that has no symbols.
std::string other_kind(ImageBytes file) {
  if (file.empty()) return "an empty file";
  if (is_elf(file)) return "an ELF file without a symbol table (it is stripped)";
  if (is_linux(file)) return "a Linux bzImage, which has no symbols";
  if (const auto foreign = foreign_kind(file)) return std::string{foreign->name};
  return "something else";
}

}  // namespace

SymbolTable::SymbolTable(std::vector<Symbol> symbols) : symbols_(std::move(symbols)) {
  std::stable_sort(symbols_.begin(), symbols_.end(),
                   [](const Symbol& a, const Symbol& b) { return a.start < b.start; });
  symbols_.erase(std::unique(symbols_.begin(), symbols_.end(),
                             [](const Symbol& a, const Symbol& b) { return a.start == b.start; }),
                 symbols_.end());
}

std::optional<SymbolTable::Place> SymbolTable::find(uint64_t address) const {
  auto next = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                               [](uint64_t value, const Symbol& symbol) { return value < symbol.start; });
  // Behind the end of the nearest one an earlier, larger one may go on.
  for (auto at = next; at != symbols_.begin();) {
    --at;
    const uint64_t past = address - at->start;
    if (past >= kFarthest) return std::nullopt;
    if (at->bytes > 0 && past < at->bytes) return Place{.symbol = &*at, .bytes = at->bytes, .past = past};
    if (at->bytes > 0 || std::next(at) != next) continue;
    const uint64_t end = next == symbols_.end() ? kFarthest : next->start - at->start;
    return Place{.symbol = &*at, .bytes = std::min(end, kFarthest), .past = past};
  }
  return std::nullopt;
}

std::string SymbolTable::name_at(uint64_t address) const {
  const auto place = find(address);
  if (!place) return {};
  return place->past == 0 ? place->symbol->name : fmt::format("{}+{:#x}", place->symbol->name, place->past);
}

Result<SymbolTable> parse_symbols(ImageBytes file, const std::string& name) {
  if (SymbolTable symbols = elf_symbols(file); !symbols.empty()) return symbols;
  auto text = text_symbols(file);
  if (!text.table.empty()) return std::move(text.table);
  return usage_error(name, fmt::format("this is {}; accepted are an ELF file with its symbol table (vmlinux), a "
                                       "System.map and the text of /proc/kallsyms",
                                       text.what.empty() ? other_kind(file) : text.what));
}

Result<SymbolTable> read_symbols(const std::string& path) {
  const auto file = read_image_file(path);
  if (!file) return Failure(file.error());
  return parse_symbols(*file, path);
}

}  // namespace vmm
