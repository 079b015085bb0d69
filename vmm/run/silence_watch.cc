#include "vmm/run/silence_watch.h"

#include <algorithm>
#include <utility>

#include "vmm/run/sleep_state.h"

namespace vmm {
namespace {

bool all_asleep(const std::vector<std::optional<uint64_t>>& marks) {
  return std::all_of(marks.begin(), marks.end(), [](const auto& mark) { return mark.has_value(); });
}

}  // namespace

bool Suspicion::look(Nanos now, std::vector<std::optional<uint64_t>> marks) {
  const bool still = all_asleep(marks) && marks == marks_;
  marks_ = std::move(marks);
  if (!still) {
    silent_since_.reset();
    if (all_asleep(marks_)) silent_since_ = now;
    return false;
  }
  return now >= not_before_;
}

void Suspicion::cleared(Nanos now) {
  not_before_ = now + patience_;
  patience_ = std::min(kMost, 2 * patience_);
}

std::vector<std::optional<uint64_t>> SilenceWatch::marks(const RunningVm& running) const {
  std::vector<std::optional<uint64_t>> marks;
  for (uint32_t i = 0; i < running.vm->vcpu_count(); ++i) {
    marks.push_back(engine_.sleep_mark(running.vm->vcpu(VcpuIndex{i})));
  }
  return marks;
}

void SilenceWatch::look(Nanos now) {
  if (now < next_) return;
  next_ = now + Suspicion::kFirst;
  std::vector<size_t> suspected;
  const auto& vms = engine_.vms();
  for (size_t i = 0; i < vms.size(); ++i) {
    if (!vms[i].vm->ended() && suspicions_[i].look(now, marks(vms[i]))) suspected.push_back(i);
  }
  if (suspected.empty()) return;
  engine_.pause();
  for (const size_t i : suspected) judge(vms[i], suspicions_[i], now);
  engine_.resume();
}

void SilenceWatch::judge_paused(Nanos now) {
  const auto& vms = engine_.vms();
  for (size_t i = 0; i < vms.size(); ++i) {
    if (!vms[i].vm->ended() && all_asleep(marks(vms[i]))) judge(vms[i], suspicions_[i], now);
  }
}

void SilenceWatch::judge(const RunningVm& running, Suspicion& suspicion, Nanos now) {
  const std::vector<SleepState> states = sleep_states(*running.vm, now);
  if (!never_again(states, running.board->may_wake())) return suspicion.cleared(now);
  const std::string why = "no vCPU will ever run again: " + describe(states);
  if (!running.vm->end_with_failure(why)) return;
  if (on_death_) on_death_(running.vm->id(), why);
  engine_.vm_ended(running.vm->id());
}

}  // namespace vmm
