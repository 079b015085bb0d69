// Result files of several machines into one: the shards of a grid, or the same grid on several hosts. Pure,
// any thread.
#pragma once

#include <span>
#include <string>

#include "vmm/stats/journal.h"

namespace vmm {

struct NamedContents {
  std::string name;  // of the file
  JournalContents contents;
};

// Cells are in the order of the uncut grid, each run is there once. Refused are:
// - files of several versions of kvmux, or real runs on several hosts: unless `mixed`, which makes the host
//   (and the version, if those differ) a factor: cells of different hosts stay apart, each with its name;
// - the same run with two results, if neither version nor host tells them apart.
[[nodiscard]] Result<JournalContents> merge(std::span<const NamedContents> files, bool mixed);

// The lines of a result file.
std::string journal_text(const JournalContents& contents);

}  // namespace vmm
