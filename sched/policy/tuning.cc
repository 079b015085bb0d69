#include "sched/policy/tuning.h"

#include <array>
#include <type_traits>

#include "sched/base/text.h"

namespace sched {
namespace {

// Who must agree on a constant.
enum class Of : uint8_t { kVm, kRun };

template <auto Member>
constexpr TuningField field(std::string_view name, std::string_view unit, int64_t min, int64_t max,
                            std::string_view source, std::string_view help, Of of = Of::kVm,
                            std::string_view old_name = {}) {
  using Value = std::remove_cvref_t<decltype(Tuning{}.*Member)>;
  constexpr bool kIsTime = std::is_same_v<Value, Nanos>;
  return {.name = name,
          .old_name = old_name,
          .unit = unit,
          .help = help,
          .source = source,
          .is_time = kIsTime,
          .whole_run = of == Of::kRun,
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
constexpr int64_t kMany = 1'000'000;

constexpr std::string_view kLinux = "Linux 6.19";
constexpr std::string_view kSeries = "the v2 series";
constexpr std::string_view kMeasured = "our choice, by trial";
constexpr std::string_view kBound = "a bound";

constexpr std::array kFields{
    field<&Tuning::slice>("slice", "", 100 * kUs, kSecond, "Linux 6.19: base_slice at 8 CPUs",
                          "service asked for per turn"),
    field<&Tuning::quantum_multiplier>(
        "quantum-multiplier", "slices", 1, 16, kMeasured,
        "slices a turn, in VMs of which no vCPU waits for acknowledgements of its IPIs", Of::kVm, "patience"),
    field<&Tuning::latency_target>(
        "latency-target", "", 0, 10 * kSecond, kMeasured,
        "turns shrink so that a round of all vCPUs of a worker lasts no longer; 0: they never do"),
    field<&Tuning::min_slice>("min-slice", "", 100 * kUs, kSecond, "Linux 6.19: base_slice at 8 CPUs",
                              "no turn shrinks below this for that"),
    field<&Tuning::ipi_latency>(
        "ipi-latency", "", 0, 10 * kSecond, kMeasured,
        "the same, down to turns of 1 ms, while IPIs wait for vCPUs that wait on that worker; 0: they never do"),
    field<&Tuning::slice_jitter_permille>("slice-jitter", "permille", 0, 900, kMeasured,
                                          "each slice varies by ± this many permille", Of::kRun),
    field<&Tuning::lag_limit_slices>("lag-limit", "slices", 1, 64, kLinux,
                                     "bound of the lag kept over sleep and moves, in slices", Of::kRun),
    field<&Tuning::penalty_interval>("penalty-interval", "", 0, kSecond, kSeries,
                                     "at most one penalty or forced reschedule per worker in this time"),
    field<&Tuning::debounce_window>("debounce-window", "", 0, kSecond, kSeries,
                                    "a reverse yield within this time gets the small penalty"),
    field<&Tuning::penalty_gap>("penalty-gap", "per cent", 0, 1000, kSeries,
                                "deboost: so much of the gap to the target is added to a slice"),
    field<&Tuning::penalty_cap_2>("penalty-cap-2", "per cent", 100, 10'000, kSeries,
                                  "deboost: the most, of a slice, where two vCPUs are queued"),
    field<&Tuning::penalty_cap_3>("penalty-cap-3", "per cent", 100, 10'000, kSeries, "the same for three"),
    field<&Tuning::penalty_cap_6>("penalty-cap-6", "per cent", 100, 10'000, kSeries,
                                  "the same for four to six"),
    field<&Tuning::penalty_cap_8>("penalty-cap-8", "per cent", 100, 10'000, kSeries,
                                  "the same for seven and eight"),
    field<&Tuning::penalty_cap_12>("penalty-cap-12", "per cent", 100, 10'000, kSeries,
                                   "the same for nine to twelve; beyond that it is one slice"),
    field<&Tuning::credit_depth>(
        "credit-depth", "vCPUs", 1, 1024, kMeasured,
        "credit: a slice of lag where so many are queued, else the same part of one"),
    field<&Tuning::ipi_window>("ipi-window", "", 0, 10 * kSecond, kSeries,
                               "how long a sent IPI counts as awaited, at most"),
    field<&Tuning::yield_tries>("yield-tries", "attempts", 1, 1024, "Linux 6.19: kvm_vcpu_on_spin",
                                "failed directed-yield attempts per spin exit"),
    field<&Tuning::chain_depth>("chain-depth", "vCPUs", 0, 64, kBound,
                                "kvmux: longest wait chain followed, 0 follows none"),
    field<&Tuning::guesses>("guesses", "spin exits", 0, kMany, kMeasured,
                            "kvmux: guesses in one wait; then everybody gets a turn"),
    field<&Tuning::wait_gap_windows>("wait-gap", "spin windows", 1, 1000, kMeasured,
                                     "a spin exit so long after the last one begins another wait"),
    field<&Tuning::handover_range>("handover-range", "yields", 1, 1000, kMeasured,
                                   "kvmux: bound of the score of yields to waiters, both ways"),
    field<&Tuning::handover_retry>("handover-retry", "spin exits", 1, kMany, kMeasured,
                                   "kvmux: one in so many yields to a waiter against the odds"),
    field<&Tuning::nomination_lag>("nomination-lag", "", 0, kSecond, "two slices",
                                   "kvmux: how far a nominee may be ahead of its queue's average"),
    field<&Tuning::donate_windows>("donate-windows", "spin windows", 1, 1000, kMeasured,
                                   "kvmux: length of the turn donated to a likely lock holder; none, half and twice are tried", Of::kVm,
                                   "loan-windows"),
    field<&Tuning::donate_epoch>("donate-epoch", "exits", 2, kMany, kMeasured,
                                 "kvmux: an epoch of the trial which length pays in a VM"),
    field<&Tuning::donate_try_every>("donate-try-every", "epochs", 2, kMany, kMeasured,
                                     "kvmux: one in so many epochs tries another length"),
    field<&Tuning::donate_clearly>(
        "donate-clearly", "per cent", 100, 1000, kMeasured,
        "kvmux: which takes over if its epoch was so long, of the usual one's length"),
    field<&Tuning::donate_mean_over>("donate-mean-over", "epochs", 1, 1000, kMeasured,
                                     "kvmux: epochs in the moving mean of the usual one's length"),
    field<&Tuning::extend_most>("extend-most", "", 0, kSecond, kMeasured,
                                "extend, urgent: the longest that a vCPU goes on when its turn is over"),
    field<&Tuning::extend_price>("extend-price", "per cent", 0, 1000, kMeasured,
                                 "extend=asked: so much of the time asked for is charged on top"),
    field<&Tuning::urgent_slice>("urgent-slice", "", 50 * kUs, kSecond, "Kim et al. 2013, in order of magnitude",
                                 "urgent: how long a receiver's turn lasts"),
    field<&Tuning::send_sure>("send-sure", "waits", 1, 1000, kMeasured,
                              "kvmux: score at which a sender counts as one that waits for its receivers"),
    field<&Tuning::send_most>("send-most", "waits", 1, 1000, kMeasured, "kvmux: where that score saturates"),
    field<&Tuning::send_probe_every>("send-probe-every", "waits", 1, kMany, kMeasured,
                                     "kvmux: one in so many foretold waits is not acted on, to see"),
    field<&Tuning::ipi_window_min>("ipi-window-min", "", 0, kSecond, kMeasured,
                                   "kvmux: a sent IPI counts as awaited at least so long"),
    field<&Tuning::ipi_window_means>("ipi-window-means", "mean times", 1, 1000, kMeasured,
                                     "kvmux: and so many mean times from send to EOI"),
    field<&Tuning::ipi_mean_over>("ipi-mean-over", "EOIs", 1, 1000, "as TCP's RTT estimate, twice as slow",
                                  "kvmux: acknowledgements in that moving mean"),
    field<&Tuning::migration_cost>("migration-cost", "", 0, kSecond, "the host's moves; more where they are measured to be dear",
                                   "a queued vCPU that ran more recently than this is not stolen", Of::kRun),
    field<&Tuning::dear_move>("dear-move", "", 0, kSecond, "a grace period before Linux 6.13",
                              "from this migration cost on every vCPU stays on the worker where it began",
                              Of::kRun),
    field<&Tuning::balance_interval>("balance-interval", "", 100 * kUs, 10 * kSecond, kMeasured,
                                     "how often a worker looks for a fairer spread of load", Of::kRun),
    field<&Tuning::balance_tolerance>("balance-tolerance", "parts", 1, kMany, kMeasured,
                                      "imbalances of one part in so many are none", Of::kRun),
    field<&Tuning::place_tolerance>("place-tolerance", "parts", 1, kMany, "as balance-tolerance",
                                    "the same where VMs begin side by side", Of::kRun),
    field<&Tuning::look_at>("look-at", "vCPUs", 1, 64, kBound, "waiting vCPUs that are considered for a move",
                            Of::kRun),
    field<&Tuning::move_at_once>("move-at-once", "vCPUs", 1, 64, kBound,
                                 "vCPUs of a VM that move with it at once; the others follow", Of::kRun),
};

}  // namespace

std::span<const TuningField> tuning_fields() { return kFields; }

std::string tuning_text(const TuningField& field, int64_t value) {
  return field.is_time ? format_time(Nanos{value}) : std::to_string(value);
}

}  // namespace sched
