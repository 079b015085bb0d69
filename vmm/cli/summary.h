// The answer in plain words, for readers who want no table: a sentence for each guest about the last policy
// of the list, what is still open and how to go on, and where to read more. Pure, any thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vmm/stats/analysis.h"

namespace vmm {

// "kvmux does 2.4 times the work of host-yield on lock, between 1.7 and 3.2."; one a cell, by throughput.
std::string plain_sentences(std::span<const CellFindings> findings, double margin);

// If verdicts are open: how many, what they need, and the command that gives them the time. `command` is the
// command line that measured (its first word is replaced by `called_as`). Empty if none is open.
std::string going_on(std::span<const CellFindings> findings, const std::vector<std::string>& command,
                     const std::string& called_as);

}  // namespace vmm
