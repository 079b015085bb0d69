#include "abi_c.h"

#include "guest/abi.h"

const size_t kAbiOfC[ABI_FIGURES] = {
#include "abi_figures.inc"
};

uint32_t hist_bucket_of_c(uint64_t ticks) { return kvmux_hist_bucket(ticks); }
