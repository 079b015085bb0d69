// What a run's policies promise its runnable vCPUs, as the watchdog asks for it. Any thread.
#pragma once

#include <functional>

#include "vmm/run_types.h"

namespace vmm::watch {

// The longest wait where so many are runnable on a worker, under all policies that the run will have. Empty:
// the host has the queues, and promises nothing.
[[nodiscard]] std::function<Nanos(uint32_t)> promised_wait(const RunSpec& spec);

}  // namespace vmm::watch
