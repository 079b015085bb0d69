// The changes of policies in a run's measured window, in the order in which they are made: those of the spec,
// and those that whoever looks on asks for. The thread that drives the engine.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "vmm/run/observer.h"
#include "vmm/run/sections.h"
#include "vmm/run/window.h"

namespace vmm {

class PolicyChanges {
 public:
  // All are outlived by what they point to. `begin`: of the window.
  // `ask_guests`: before each cut, those that have to be asked for their counters.
  PolicyChanges(Engine& engine, const RunVms& vms, Observation& observation, Sections<Snapshot>& sections,
                Nanos begin, std::function<void()> ask_guests)
      : engine_(engine),
        vms_(vms),
        observation_(observation),
        sections_(sections),
        begin_(begin),
        ask_guests_(std::move(ask_guests)) {}

  // At the pause barrier; the window is cut there.
  void make(const PolicyChange& change) {
    cut(change);
    observation_.changed(change.vms);
  }
  void make_those_asked_for() {
    if (auto vms = observation_.take_change()) {
      cut({.at = monotonic_now() - begin_, .vms = std::move(*vms)});
      any_asked_for_ = true;
    }
  }
  // Nothing if all are those of the spec.
  [[nodiscard]] std::vector<PolicyChange> take_made() {
    return any_asked_for_ ? std::move(made_) : std::vector<PolicyChange>{};
  }

 private:
  void cut(const PolicyChange& change) {
    ask_guests_();
    engine_.pause();
    sections_.take({.at = change.at, .change = &change}, take_snapshot(engine_, vms_));
    engine_.reset_peaks();
    engine_.change_policies(change.vms, monotonic_now());
    engine_.resume();
    made_.push_back(change);
  }

  Engine& engine_;
  const RunVms& vms_;
  Observation& observation_;
  Sections<Snapshot>& sections_;
  const Nanos begin_;
  const std::function<void()> ask_guests_;
  std::vector<PolicyChange> made_;
  bool any_asked_for_ = false;
};

}  // namespace vmm
