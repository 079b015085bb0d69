// Watches for VMs that have fallen silent: all of their vCPUs asleep with nothing in sight that wakes them. What
// is suspected from outside is judged with the engine paused; a VM that will certainly never run again ends with
// a failure that says where each of its vCPUs sleeps. One that may be woken (by a device, a timer) is left alone,
// and judged again after twice the time.
//
// The thread that drives the engine.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vmm/run/engine.h"

namespace vmm {

// When to judge one VM, by what is seen of it from outside.
class Suspicion {
 public:
  static constexpr Nanos kFirst{100'000'000};
  static constexpr Nanos kMost{1'600'000'000};

  // A look: each vCPU's sleep mark (Engine::sleep_mark()). True: judge it.
  [[nodiscard]] bool look(Nanos now, std::vector<std::optional<uint64_t>> marks);
  // It was judged, and may run again.
  void cleared(Nanos now);
  // Since when it has not run, as far as looks tell; nothing: it has, between the last two.
  [[nodiscard]] std::optional<Nanos> silent_since() const { return silent_since_; }

 private:
  std::vector<std::optional<uint64_t>> marks_;
  std::optional<Nanos> silent_since_;
  Nanos patience_ = kFirst;
  Nanos not_before_{};
};

class SilenceWatch {
 public:
  // All VMs are added; the engine has not started.
  explicit SilenceWatch(Engine& engine) : engine_(engine), suspicions_(engine.vms().size()) {}

  // Told of each VM that ends so, and why, while the engine is paused. May be empty.
  void on_death(std::function<void(VmId, const std::string&)> told) { on_death_ = std::move(told); }

  [[nodiscard]] Nanos next_look() const { return next_; }
  // No sooner than next_look() it looks at all VMs, and pauses the engine where one is to be judged.
  void look(Nanos now);
  // The engine is paused: judges every VM that sleeps.
  void judge_paused(Nanos now);
  // See Suspicion.
  [[nodiscard]] std::optional<Nanos> silent_since(VmId vm) const {
    return suspicions_[index_of(vm)].silent_since();
  }

 private:
  void judge(const RunningVm& running, Suspicion& suspicion, Nanos now);
  std::vector<std::optional<uint64_t>> marks(const RunningVm& running) const;

  Engine& engine_;
  std::vector<Suspicion> suspicions_;  // by VmId
  std::function<void(VmId, const std::string&)> on_death_;
  Nanos next_{};
};

}  // namespace vmm
