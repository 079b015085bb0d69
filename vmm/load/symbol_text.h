// Symbols as text: a System.map (what `nm` prints of a vmlinux) or /proc/kallsyms, a line a symbol: address in
// hexadecimal digits, a type letter (t, T, w, W: code), the name, and in kallsyms a module's name in brackets.
// Internal to symbols.h.
#pragma once

#include <string>

#include "vmm/load/symbols.h"

namespace vmm {

struct TextSymbols {
  SymbolTable table;
  std::string what;  // the table is empty although the file looks like one: what is wrong with it
};
// Lines of other kinds are skipped, so that what a serial console showed of kallsyms, prompts included, can be read.
[[nodiscard]] TextSymbols text_symbols(ImageBytes file);

}  // namespace vmm
