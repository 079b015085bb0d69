// The measured window cut at the changes of policies: when something is due, and what lies between. The same
// for real vCPUs and the simulator, which differ in what a snapshot is. One owner.
//
//   Sections<S> sections(spec, difference);   sections.begin(snapshot);
//   for (const Mark& mark : marks_of(spec)) { wait; sections.take(mark, snapshot or peek); }
//   sections.finish(last snapshot, result);
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vmm/run_types.h"

namespace vmm {

struct Mark {
  enum class Kind : uint8_t {
    kCount,   // the wash-out of the turn is over; guests' counters suffice
    kMiddle,  // of what is counted; likewise
    kChange,  // of policies: a whole snapshot, then `change`
  };
  Nanos at{};  // after the beginning of the window
  Kind kind = Kind::kChange;
  const PolicyChange* change = nullptr;  // kChange; into the spec, or one that was asked for meanwhile
};
// In order; none without changes.
std::vector<Mark> marks_of(const RunSpec& spec);

// What a section's figures are of: the run with the policies in force there. `base`: the run without its
// changes, of which there may be thousands.
RunSpec without_changes(const RunSpec& spec);
RunSpec spec_of_section(const RunSpec& base, const std::vector<PolicyChange>& changes, size_t section);

double operations_per_second(const RunResult& result);

template <class Snapshot>
class Sections {
 public:
  // `spec` outlives it. `difference`: what lies between two snapshots, of which the second may be a peek.
  using Difference = std::function<RunResult(const Snapshot&, const Snapshot&)>;
  Sections(const RunSpec& spec, Difference difference) : spec_(spec), difference_(std::move(difference)) {}

  void begin(Snapshot whole) { start_ = std::move(whole); }
  void take(const Mark& mark, Snapshot snapshot) {
    switch (mark.kind) {
      case Mark::Kind::kCount:
        counted_from_ = std::move(snapshot);
        return;
      case Mark::Kind::kMiddle:
        middle_ = std::move(snapshot);
        return;
      case Mark::Kind::kChange:
        close(snapshot);
        begin(std::move(snapshot));
        names_.clear();
        for (const VmChange& vm : mark.change->vms) names_.push_back(vm.policy.name);
    }
  }
  // The window has ended with this snapshot. The longest waits were forgotten at each change.
  void finish(const Snapshot& end, RunResult& result) {
    if (spec_.changes.empty() && done_.empty()) return;
    close(end);
    for (const Section& section : done_) {
      for (size_t v = 0; v < result.vms.size(); ++v) {
        for (size_t i = 0; i < result.vms[v].vcpus.size(); ++i) {
          Nanos& worst = result.vms[v].vcpus[i].sched.worst_wait;
          worst = std::max(worst, section.result.vms[v].vcpus[i].sched.worst_wait);
        }
      }
    }
    result.sections = std::move(done_);
  }

 private:
  void close(const Snapshot& end) {
    Section section;
    section.result = named(difference_(start_, end));
    if (counted_from_ && middle_) {
      section.counted = named(difference_(*counted_from_, end));
      section.first_half = operations_per_second(difference_(*counted_from_, *middle_));
      section.second_half = operations_per_second(difference_(*middle_, end));
    }
    counted_from_.reset();
    middle_.reset();
    done_.push_back(std::move(section));
  }
  RunResult named(RunResult result) const {
    for (size_t i = 0; i < names_.size(); ++i) result.vms[i].policy = names_[i];
    return result;
  }

  const RunSpec& spec_;
  Difference difference_;
  Snapshot start_;
  std::vector<std::string> names_;  // of the policies in force, by VM; empty: the spec's
  std::optional<Snapshot> counted_from_;
  std::optional<Snapshot> middle_;
  std::vector<Section> done_;
};

}  // namespace vmm
