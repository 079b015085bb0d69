// Every tuning constant of the scheduler in one place: unit, default, accepted range and source. Each one is
// a command-line flag of the same name and a `key=value` of a policy string (sched/policy/parse.h);
// `kvmux policies --constants` prints them as a table.
//
// Plain data; a policy holds one, so two VMs of a run may differ in all of them but those that hold for the
// whole run (TuningField::whole_run).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "sched/base/types.h"

namespace sched {

struct Tuning {
  // Turns.
  Nanos slice{2'800'000};          // service asked for per turn (Linux base_slice at 8 CPUs: 2.8 ms)
  int64_t quantum_multiplier = 1;  // slices a turn, in VMs that nobody waits for to acknowledge
  Nanos latency_target{};          // turns are cut so that a round of all who wait is no longer; 0: never
  Nanos min_slice{2'800'000};      // but not below this (Linux base_slice)
  Nanos ipi_latency{};             // the same while IPIs wait there for vCPUs that wait; turns from 1 ms; 0: never
  int64_t slice_jitter_permille = 200;  // each slice is drawn from slice · (1 ± this): no accidental gangs
  int64_t lag_limit_slices = 2;         // bound of the lag that is kept, in slices (Linux: 2 slices)
  // The series.
  Nanos penalty_interval{6'000'000};  // deboost, credit: at most one per worker in this time (series v2)
  Nanos debounce_window{600'000};     // deboost: reverse pair within this time (series v2)
  Nanos ipi_window{50'000'000};       // how long a sent IPI counts as awaited, at most (series v2)
  // deboost: the penalty is a slice and this much of the gap to the target, in per cent; at most this much of
  // a slice where up to 2, 3, 6, 8, 12 vCPUs are queued, beyond that one slice (series v2).
  int64_t penalty_gap = 110;
  int64_t penalty_cap_2 = 600;
  int64_t penalty_cap_3 = 400;
  int64_t penalty_cap_6 = 250;
  int64_t penalty_cap_8 = 200;
  int64_t penalty_cap_12 = 150;
  int64_t credit_depth = 8;  // credit: a slice of lag where so many are queued, else the same part of one
  // Whom to yield to.
  int64_t yield_tries = 3;          // failed directed-yield attempts per spin exit (kvm_vcpu_on_spin)
  int64_t chain_depth = 4;          // kvmux: longest wait chain followed
  int64_t guesses = 4;              // kvmux: guesses in one wait; then everybody gets a turn
  int64_t wait_gap_windows = 3;     // a spin exit this many spin windows after the last begins another wait
  int64_t handover_range = 8;       // kvmux: bound of the score of yields to waiters, both ways
  int64_t handover_retry = 16;      // kvmux: spin exits; one of them yields to a waiter against the odds
  Nanos nomination_lag{5'600'000};  // kvmux: a nominee may be this far ahead of the average (2 slices)
  // Timeslice donation.
  int64_t donate_windows = 2;     // kvmux: a donated turn's length, in spin windows; none, half, twice are tried too
  int64_t donate_epoch = 128;     // exits in an epoch of these trials
  int64_t donate_try_every = 16;  // epochs; one of them tries another length
  int64_t donate_clearly = 125;   // which takes over if its epoch was this many per cent as long
  int64_t donate_mean_over = 4;   // epochs in the moving mean that it is compared with
  // Past the end of a turn.
  Nanos extend_most{200'000};     // extend, urgent: the longest that a vCPU goes on
  int64_t extend_price = 100;     // extend=asked: charged on top, of the time asked for, in per cent
  Nanos urgent_slice{500'000};    // urgent: a receiver's turn
  // Yield on send.
  int64_t send_sure = 4;          // score at which a sender counts as one that waits
  int64_t send_most = 8;          // where the score saturates
  int64_t send_probe_every = 16;  // foretold waits; one of them is not acted on, to see
  // The IPI model of kvmux.
  Nanos ipi_window_min{1'000'000};  // a sent IPI counts at least so long
  int64_t ipi_window_means = 8;     // and so many mean times from send to EOI
  int64_t ipi_mean_over = 16;       // acknowledgements in that moving mean
  // Places and moves.
  Nanos migration_cost{20'000};        // a queued vCPU that ran more recently than this is not stolen
  Nanos dear_move{1'000'000};          // from this migration cost on every vCPU stays where it began
  Nanos balance_interval{20'000'000};  // how often a worker looks for a fairer spread of load
  int64_t balance_tolerance = 8;       // imbalances of one part in this many are none
  int64_t place_tolerance = 8;         // the same where VMs begin
  int64_t look_at = 8;                 // waiting vCPUs that are considered for a move
  int64_t move_at_once = 64;           // vCPUs of a VM that move with it at once
};

// One constant as a flag: how to name, bound, read and write it.
struct TuningField {
  std::string_view name;
  std::string_view old_name;  // accepted as well; empty: it was never called otherwise
  std::string_view unit;      // "slices"; empty: a time
  std::string_view help;
  std::string_view source;  // where the default comes from
  bool is_time;             // a Nanos field (values like 10ms, 600us, 50000ns), else a plain integer
  bool whole_run;           // holds for all VMs of a run: they must agree
  int64_t min, max;         // accepted range, in nanoseconds for times
  int64_t (*get)(const Tuning&);
  void (*set)(Tuning&, int64_t);
};

std::span<const TuningField> tuning_fields();

// A value as it is written: "2.8ms", "128".
std::string tuning_text(const TuningField& field, int64_t value);

}  // namespace sched
