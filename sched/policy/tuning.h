// Every tuning constant of the scheduler in one place: unit, default, accepted range and source. Each one is
// a command-line flag of the same name and a `key=value` of a policy string (sched/policy/parse.h).
//
// Plain data; a policy holds one, so two VMs of a run may differ in all of them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "sched/base/types.h"

namespace sched {

// Above this cost of a move every vCPU stays on the worker that it started on.
inline constexpr Nanos kDearMove{1'000'000};

struct Tuning {
  Nanos slice{2'800'000};      // service asked for per turn (Linux base_slice at 8 CPUs: 2.8 ms)
  int64_t patience = 1;        // slices a turn, in VMs that nobody waits for to acknowledge
  Nanos latency_target{};      // turns are cut so that a round of all who wait is no longer; 0: never
  Nanos min_slice{2'800'000};  // but not below this (Linux base_slice)
  int64_t slice_jitter_permille = 200;  // each slice is drawn from slice · (1 ± this): no accidental gangs
  int64_t lag_limit_slices = 2;         // bound of the lag that is kept, in slices (Linux: 2 slices)
  Nanos penalty_interval{6'000'000};    // deboost, credit: at most one per worker in this time (series v2)
  Nanos debounce_window{600'000};       // deboost: reverse pair within this time (series v2)
  Nanos ipi_window{50'000'000};         // v2, v3: how long a sent IPI counts as awaited (series v2)
  int64_t yield_tries = 3;              // failed directed-yield attempts per spin exit (kvm_vcpu_on_spin)
  int64_t chain_depth = 4;              // kvmux: longest wait chain followed
  Nanos nomination_lag{5'600'000};      // kvmux: a nominee may be this far ahead of the average (2 slices)
  int64_t loan_windows = 2;             // kvmux: a loan's length, in spin windows
  Nanos migration_cost{20'000};         // a queued vCPU that ran more recently than this is not stolen
  Nanos balance_interval{20'000'000};   // how often a worker looks for a fairer spread of load
};

// One constant as a flag: how to name, bound, read and write it.
struct TuningField {
  std::string_view name;
  std::string_view help;
  bool is_time;      // a Nanos field (values like 10ms, 600us, 50000ns), else a plain integer
  int64_t min, max;  // accepted range, in nanoseconds for times
  int64_t (*get)(const Tuning&);
  void (*set)(Tuning&, int64_t);
};

std::span<const TuningField> tuning_fields();

}  // namespace sched
