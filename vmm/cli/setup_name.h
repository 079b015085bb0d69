// What a configuration is called in tables and result files: its guest and its size. Cells of one guest whose
// machines differ have different sizes. Pure, any thread.
#pragma once

#include <span>

#include "vmm/cli/spec.h"

namespace vmm {

// VMs that are alike but for weights that they have in turn: "4 × 2", or "4 × 2, weights 1:4".
void name_grid(Setup& setup, std::span<const sched::Weight> weights);

// VMs that are listed one by one. If all run one guest they are named like a grid's, "1 × 16 + 8 × 2", so
// that they stand beside it in a table.
void name_listed(Setup& setup);

}  // namespace vmm
