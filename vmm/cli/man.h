// Man pages in roff, made of the catalog: kvmux.1 and one a command (kvmux-run.1, kvmux-sim-run.1). Pure, any
// thread.
#pragma once

#include <span>
#include <string>

#include "vmm/cli/catalog.h"

namespace vmm {

// "kvmux-sim-run"; "kvmux" for the program itself.
std::string man_name(const CommandInfo& command);

// The page of commands[which]. `ends` says with which statuses commands end.
std::string man_page(std::span<const CommandInfo> commands, size_t which, const std::string& ends);

// Text of a page: nothing in it is taken for a request, and what ASCII lacks is written in groff's names.
std::string roff(std::string_view text);

}  // namespace vmm
