// Keys of policies that are called otherwise today: each that is met is named once, with its present name.
#pragma once

#include <iosfwd>
#include <span>
#include <string>
#include <string_view>

#include "vmm/stats/plan.h"

namespace vmm {

// Of a command line's words: flags, and texts of policies.
void note_renamed(std::span<const std::string> words, std::ostream& err);
// Of the policies in a result file.
void note_renamed(std::span<const CellInfo> cells, std::string_view file, std::ostream& err);

}  // namespace vmm
