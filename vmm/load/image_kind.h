// Names files that are no images which kvmux starts, so that they are not started as something else: by magic
// numbers, from a table. Used by both `boot` and `run`, and for Linux's initrd. Pure; any thread.
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

// Nothing: not known to be anything else than what its loader thinks. Looks at ELF files for notes and
// headers that ask for another way to be started (PVH, Multiboot 2).
[[nodiscard]] std::optional<ForeignKind> foreign_kind(ImageBytes file);

// "this is a gzip file: unpack it first (gunzip)".
[[nodiscard]] std::string foreign_words(const ForeignKind& kind);

}  // namespace vmm
