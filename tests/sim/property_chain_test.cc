// Wait chains end, cycles included: a scan asks "who waits for whom" a bounded number of times and tries a
// bounded number of yields, whatever the answers are, even if they change between two questions.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "property_plan.h"
#include "sched/yield/candidate.h"

using namespace sched_test;

namespace {

// Everybody waits for somebody: a random graph full of cycles, or new answers each time.
class EndlessWaits final : public IpiModel {
 public:
  EndlessWaits(uint32_t vcpus, uint64_t seed) : rng_(seed), fickle_(rng_.below(2) == 0), edges_(vcpus) {
    for (std::vector<bool>& row : edges_) {
      for (uint32_t i = 0; i < vcpus; ++i) row.push_back(rng_.below(3) == 0);
    }
  }

  void sending(const IpiSend&, Nanos) override {}
  void accepted(const IpiSend&, const VcpuSet&, Nanos) override {}
  void forget(uint32_t) override {}
  void eoi(uint32_t, IrqVector, Nanos) override {}
  bool awaits(uint32_t sender, uint32_t receiver, Nanos) const override {
    ++questions;
    return fickle_ ? rng_.below(2) == 0 : edges_[sender][receiver];
  }
  std::optional<uint32_t> next_awaited(uint32_t sender, uint32_t after, Nanos) const override {
    ++questions;
    const uint32_t n = static_cast<uint32_t>(edges_.size());
    if (fickle_) return static_cast<uint32_t>(rng_.below(n));
    for (uint32_t step = 1; step <= n; ++step) {
      if (edges_[sender][(after + step) % n]) return (after + step) % n;
    }
    return std::nullopt;
  }

  mutable uint64_t questions = 0;

 private:
  mutable Rng rng_;
  const bool fickle_;
  std::vector<std::vector<bool>> edges_;
};

// Yields that fail, or come too late.
class NeverDone final : public YieldAttempt {
 public:
  explicit NeverDone(uint64_t seed) : rng_(seed) {}
  Result operator()(uint32_t, YieldReason) override {
    ++attempts;
    return rng_.below(2) == 0 ? Result::kFailed : Result::kNotRunnable;
  }
  uint64_t attempts = 0;

 private:
  Rng rng_;
};

}  // namespace

TEST_CASE("property: wait chains end, also in cycles and with answers that change") {
  for_each_seed(1000, [](uint64_t seed) {
    Rng rng(seed);
    for (const std::string_view name : {"ipi", "v2", "v3", "kvmux"}) {
      Policy policy = preset(name);
      policy.tuning.chain_depth = static_cast<int64_t>(rng.below(65));
      policy.tuning.yield_tries = 1 + static_cast<int64_t>(rng.below(64));
      const uint32_t n = 2 + static_cast<uint32_t>(rng.below(63));
      CAPTURE(name);
      CAPTURE(n);
      const std::unique_ptr<Status[]> status(new Status[n]);
      const std::unique_ptr<Progress[]> progress(new Progress[n]);
      for (uint32_t i = 0; i < n; ++i) {
        status[i].set_queued(WorkerId{0});
        if (rng.below(4) != 0) status[i].set_spinning();
      }
      const std::unique_ptr<std::atomic<bool>[]> after_donation(new std::atomic<bool>[n]());
      const EndlessWaits waits(n, rng.next());
      NeverDone attempt(rng.next());
      const SpinScan scan{.vcpus = {status.get(), n},
                          .progress = {progress.get(), n},
                          .after_donation = {after_donation.get(), n},
                          .me = static_cast<uint32_t>(rng.below(n)),
                          .start_after = static_cast<uint32_t>(rng.below(n)),
                          .in_kernel = false,
                          .ipi = &waits,
                          .handovers = true,
                          .relaxed = true,
                          .spins_before = static_cast<uint32_t>(rng.below(4)),
                          .now = 1ms};
      REQUIRE_FALSE(directed_yield(policy, scan, attempt).has_value());
      // For each awaited vCPU one question and a chain; two rounds, or two tries a vCPU and two guesses.
      const auto depth = static_cast<uint64_t>(policy.tuning.chain_depth);
      REQUIRE(waits.questions <= (n + 1) * (depth + 2));
      REQUIRE(attempt.attempts <= 2 * n + 2);
    }
  });
}
