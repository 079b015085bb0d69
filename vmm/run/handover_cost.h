// What it costs on this host to hand a worker from one carrier to another (carrier.h): a wake-up and a sleep
// on the same CPU, two timers and the accounts. Nanoseconds of CLOCK_MONOTONIC.
#pragma once

#include "vmm/result.h"
#include "vmm/run/clock.h"

namespace vmm {

// By two threads on one CPU that hand a timer and a word to each other some thousand times: about 20 ms. Any
// thread.
[[nodiscard]] Result<Nanos> measure_handover_cost();

// As move_cost_of_host(): measured once a boot, looked up once a process, 0 if it cannot be measured.
[[nodiscard]] Nanos handover_cost_of_host();

}  // namespace vmm
