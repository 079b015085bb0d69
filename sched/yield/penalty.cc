#include "sched/yield/penalty.h"

#include <algorithm>

#include "sched/base/check.h"
#include "sched/queue/timeline.h"  // Int128

namespace sched {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

int64_t add(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? kMax : sum;
}

int64_t per_cent(int64_t value, int64_t part) {
  int64_t product = 0;
  if (!__builtin_mul_overflow(value, part, &product)) [[likely]]
    return product / 100;
  return static_cast<int64_t>(std::min(Int128{value} * part / 100, Int128{kMax}));
}

// cap · gran. The bands are the shape of the series' table; what holds in each is a constant.
int64_t upper_bound(int64_t gran, uint32_t queued, const Tuning& tuning) {
  if (queued <= 2) return per_cent(gran, tuning.penalty_cap_2);
  if (queued == 3) return per_cent(gran, tuning.penalty_cap_3);
  if (queued <= 6) return per_cent(gran, tuning.penalty_cap_6);
  if (queued <= 8) return per_cent(gran, tuning.penalty_cap_8);
  if (queued <= 12) return per_cent(gran, tuning.penalty_cap_12);
  return gran;
}

}  // namespace

// The series goes on with a table of fractions of gran for need == 0. It is left out: the clamp below has
// already made the penalty at least gran, so the table could never raise it.
Vruntime penalty(const PenaltyInput& input, const Tuning& tuning) {
  SCHED_CHECK(input.gran.ticks > 0 && input.need.ticks >= 0 && input.queued >= 2);
  const int64_t gran = input.gran.ticks;
  const int64_t need = input.need.ticks;
  int64_t value = add(gran, per_cent(need, tuning.penalty_gap));
  if (input.reverse_pair) value = std::min(value, std::max(need, gran));
  return {std::clamp(value, gran, upper_bound(gran, input.queued, tuning))};
}

bool DeboostState::admit(Nanos now, Nanos interval) {
  if (!admissible(now, interval)) return false;
  used_ = true;
  last_use_ = now;
  return true;
}

bool DeboostState::record_pair(VcpuId yielder, VcpuId target, Nanos now, Nanos window) {
  const bool reverse = last_yielder_ == target && last_target_ == yielder && now - last_pair_ <= window;
  last_yielder_ = yielder;
  last_target_ = target;
  last_pair_ = now;
  return reverse;
}

}  // namespace sched
