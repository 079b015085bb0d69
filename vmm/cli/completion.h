// Completion scripts for shells, made of the catalog. They ask nobody when they run: all words are in them.
// Pure, any thread.
#pragma once

#include <span>
#include <string>

#include "vmm/cli/catalog.h"

namespace vmm {

// To be sourced, or to lie in bash-completion's folder as `kvmux`. Bash 4.4 or later; bash-completion is not
// needed.
std::string bash_completion(std::span<const CommandInfo> commands);
// To lie in a folder of zsh's fpath as `_kvmux`.
std::string zsh_completion(std::span<const CommandInfo> commands);

}  // namespace vmm
