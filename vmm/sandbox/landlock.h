// Which files a thread may still open, by Landlock (Linux 5.13 and later), which also holds for what a ring
// opens. Files that are open stay usable.
//
// For good, for the calling thread and what it starts from then on. Any thread.
#pragma once

#include <string>
#include <vector>

#include "vmm/result.h"

namespace vmm::sandbox {

struct Files {
  std::vector<std::string> read;  // files, or folders with all that is below them
  std::vector<std::string>
      write;  // files to create or to write anew; those that are not there yet open their folder
};

// 0: this kernel has no Landlock, or it is switched off.
[[nodiscard]] int landlock_abi();

// Nothing but these; sets no_new_privs. An entry that does not exist is left out. Without Landlock: does
// nothing.
[[nodiscard]] Result<void> restrict_files(const Files& files);

}  // namespace vmm::sandbox
