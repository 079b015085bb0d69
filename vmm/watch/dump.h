// A dossier as text. Pure.
#pragma once

#include <span>
#include <string>

#include "vmm/watch/dossier.h"

namespace vmm::watch {

// Lines, each begun by "kvmux: "; `title` is the first: why there is a dump.
[[nodiscard]] std::string dump(const Dossier& dossier, const std::string& title,
                               std::span<const Finding> findings);

}  // namespace vmm::watch
