// The name of a guest's address, by the symbol table of the ELF file that it was loaded from. For messages.
//
// Files may be hostile: nothing outside them is read, and what makes no sense is skipped. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace vmm {

// "spin_until+0x1c": the function, or other symbol of code, that begins at or nearest before the address, in
// its size if it has one. Empty: no ELF file, no symbols, none there. ET_DYN images of tiny guests lie at 1
// MiB.
[[nodiscard]] std::string symbol_at(std::span<const std::byte> file, uint64_t address);

}  // namespace vmm
