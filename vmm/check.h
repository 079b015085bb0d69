// Always-on invariants of the host side. A broken one is a bug of kvmux itself, never the guest's doing: the
// process ends at once, before it can report wrong figures or touch foreign memory. Any thread.
#pragma once

#include "vmm/last_words.h"

// The message says which invariant it is, in words: KVMUX_CHECK(fd >= 0, "a vCPU outlived its VM").
#define KVMUX_CHECK(condition, message)                                 \
  do {                                                                  \
    if (!(condition)) [[unlikely]]                                      \
      ::vmm::broken_invariant(__FILE__, __LINE__, message, #condition); \
  } while (false)
