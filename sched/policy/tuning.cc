#include "sched/policy/tuning.h"

#include <array>
#include <type_traits>

namespace sched {
namespace {

template <auto Member>
constexpr TuningField field(std::string_view name, int64_t min, int64_t max, std::string_view help) {
  using Value = std::remove_cvref_t<decltype(Tuning{}.*Member)>;
  constexpr bool kIsTime = std::is_same_v<Value, Nanos>;
  return {.name = name,
          .help = help,
          .is_time = kIsTime,
          .min = min,
          .max = max,
          .get = [](const Tuning& tuning) -> int64_t {
            if constexpr (kIsTime) return (tuning.*Member).count();
            if constexpr (!kIsTime) return tuning.*Member;
          },
          .set = [](Tuning& tuning, int64_t value) { tuning.*Member = Value{value}; }};
}

constexpr int64_t kUs = 1'000;
constexpr int64_t kSecond = 1'000'000'000;

constexpr std::array kFields{
    field<&Tuning::slice>("slice", 100 * kUs, kSecond, "service asked for per turn"),
    field<&Tuning::patience>("patience", 1, 16,
                             "slices a turn, in VMs of which no vCPU waits for acknowledgements of its IPIs"),
    field<&Tuning::latency_target>(
        "latency-target", 0, 10 * kSecond,
        "turns shrink so that a round of all vCPUs of a worker lasts no longer; 0: they never do"),
    field<&Tuning::min_slice>("min-slice", 100 * kUs, kSecond, "no turn shrinks below this for that"),
    field<&Tuning::slice_jitter_permille>("slice-jitter", 0, 900,
                                          "each slice varies by ± this many permille"),
    field<&Tuning::lag_limit_slices>("lag-limit", 1, 64,
                                     "bound of the lag kept over sleep and moves, in slices"),
    field<&Tuning::penalty_interval>("penalty-interval", 0, kSecond,
                                     "at most one penalty or forced reschedule per worker in this time"),
    field<&Tuning::debounce_window>("debounce-window", 0, kSecond,
                                    "a reverse yield within this time gets the small penalty"),
    field<&Tuning::ipi_window>("ipi-window", 0, 10 * kSecond,
                               "v2, v3: how long a sent IPI counts as awaited"),
    field<&Tuning::yield_tries>("yield-tries", 1, 1024, "failed directed-yield attempts per spin exit"),
    field<&Tuning::chain_depth>("chain-depth", 0, 64, "kvmux: longest wait chain followed, 0 follows none"),
    field<&Tuning::loan_windows>("loan-windows", 1, 1000,
                                 "kvmux: a loan to a likely lock holder, in spin windows"),
    field<&Tuning::nomination_lag>("nomination-lag", 0, kSecond,
                                   "kvmux: how far a nominee may be ahead of its queue's average"),
    field<&Tuning::migration_cost>("migration-cost", 0, kSecond,
                                   "a queued vCPU that ran more recently than this is not stolen"),
    field<&Tuning::balance_interval>("balance-interval", 100 * kUs, 10 * kSecond,
                                     "how often a worker looks for a fairer spread of load"),
};

}  // namespace

std::span<const TuningField> tuning_fields() { return kFields; }

}  // namespace sched
