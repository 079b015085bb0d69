// Names files that are something else than what is wanted, so that they are not started as that: by magic
// numbers, from a table, and kernels by their loaders' own signs. Used by both `boot` and `run`, and for
// Linux's initrd. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/load/image_bytes.h"

namespace vmm {

struct ForeignKind {
  std::string_view name;    // "a gzip file"
  std::string_view advice;  // what to do about it
  bool is_initrd = false;   // Linux takes it for an initrd: an archive or a compressed one, or a file system
};

// Nothing: not known. Kernels that `kvmux boot` starts have a kind too, for those who wanted something else;
// an ELF file that is no kernel of a known protocol has none.
[[nodiscard]] std::optional<ForeignKind> foreign_kind(ImageBytes file);

// "this is a gzip file: unpack it first (gunzip)".
[[nodiscard]] std::string foreign_words(const ForeignKind& kind);

}  // namespace vmm
