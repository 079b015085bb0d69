// What a dynamic ELF64 program or library asks of the loader: its interpreter and the libraries by name
// (DT_NEEDED, System V gABI chapter 5). Pure, any thread; the file is not believed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmm::linux_guest {

struct ElfNeeds {
  std::string interpreter;             // empty: none
  std::vector<std::string> libraries;  // in the order of the file
};
// Nothing: no ELF64 file, or a damaged one.
[[nodiscard]] std::optional<ElfNeeds> elf_needs(std::string_view file);

}  // namespace vmm::linux_guest
