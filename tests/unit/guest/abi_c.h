// The sizes and offsets of guest/abi.h as a C compiler sees them, for comparison with C++.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ABI_FIGURES 36
extern const size_t kAbiOfC[ABI_FIGURES];
uint32_t hist_bucket_of_c(uint64_t ticks);

#ifdef __cplusplus
}
#endif
