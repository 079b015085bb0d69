#include "vmm/run/pc_course.h"

#include <fmt/format.h>

namespace vmm {
namespace {

constexpr Nanos kAnswerLimit{30'000'000'000};

}  // namespace

Result<void> PcCourse::come_up() {
  if (pcs_ == nullptr) return {};
  const Nanos began = monotonic_now();
  const auto standing_is_known = [this] { return pcs_->standing() != PcGuests::Standing::kBooting; };
  (void)waiting_.until(began + spec_.boot_limit, standing_is_known);
  if (const auto trouble = engine_.trouble().first()) return Failure(*trouble);
  if (control_.stop.load()) return host_error("boot", 0, "interrupted before anything was measured");
  if (pcs_->standing() != PcGuests::Standing::kReady) {
    auto [error, lines] = pcs_->why_not_ready(spec_.boot_limit);
    if (control_.say && !lines.empty()) control_.say(lines);
    return Failure(std::move(error));
  }
  if (control_.say) {
    const std::chrono::duration<double> took = monotonic_now() - began;
    control_.say(fmt::format("kvmux: all Linux guests are ready after {:.1f} s\n", took.count()));
  }
  pcs_->go();
  waiting_.begin_anew();
  return {};
}

void PcCourse::ask() {
  if (pcs_ == nullptr || control_.stop.load()) return;
  pcs_->ask();
  (void)waiting_.until(monotonic_now() + kAnswerLimit, [this] { return pcs_->answered(); });
}

}  // namespace vmm
