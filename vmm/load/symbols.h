// The names of a guest's code: of an ELF file's symbol table (a tiny guest, a vmlinux), of a System.map, or of the
// text of /proc/kallsyms.
//
// Files may be hostile: nothing outside them is read, names are cut and printable, and what makes no sense is
// skipped. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/load/image_bytes.h"
#include "vmm/result.h"

namespace vmm {

struct Symbol {
  uint64_t start = 0;  // as the guest has it
  uint64_t bytes = 0;  // 0: the file does not say
  std::string name;
};

class SymbolTable {
 public:
  SymbolTable() = default;
  // In any order. Of those that begin at the same address the first stays.
  explicit SymbolTable(std::vector<Symbol> symbols);

  // Of the function, or other symbol of code, that begins at or nearest before the address: it lies in its size if it
  // has one, else within 1 MiB and before the next one.
  struct Place {
    const Symbol* symbol;
    uint64_t bytes;  // its size, known or guessed
    uint64_t past;   // its beginning
  };
  [[nodiscard]] std::optional<Place> find(uint64_t address) const;
  // "spin_until+0x1c"; empty: none there.
  [[nodiscard]] std::string name_at(uint64_t address) const;

  [[nodiscard]] bool empty() const { return symbols_.empty(); }
  // A kernel's, all in the upper half of the address space: what lies below is user space.
  [[nodiscard]] bool is_upper_half() const { return !empty() && symbols_.front().start >> 63 != 0; }

 private:
  std::vector<Symbol> symbols_;  // ascending, no two at the same address
};

// Functions and labels of an ELF file; empty: it is no ELF, or it has none. ET_DYN images lie at 1 MiB (elf.h).
[[nodiscard]] SymbolTable elf_symbols(ImageBytes file);

// Any of the formats above. Usage errors say what the file is instead, and what is accepted; `name` is the file's.
[[nodiscard]] Result<SymbolTable> parse_symbols(ImageBytes file, const std::string& name);
[[nodiscard]] Result<SymbolTable> read_symbols(const std::string& path);

}  // namespace vmm
