// Where a directed yield takes place, and what is handed over: here, if the target waits on the yielder's
// worker; else there, or it is pulled here.
//
// One yield in progress, on the yielder's worker. It holds one queue's lock at a time, and looks at each
// candidate again under the lock of the queue that it waits on, because it may have left since the scan saw
// it.
#pragma once

#include <optional>

#include "sched/policy/setup.h"
#include "sched/workers/workers.h"
#include "sched/yield/candidate.h"
#include "sched/yield/effect.h"
#include "sched/yield/memory.h"
#include "sched/yield/needed.h"

namespace sched {

class HandoverAttempt final : public YieldAttempt {
 public:
  HandoverAttempt(Workers& workers, YieldMemory& memory, const VmInfo& vm, Worker& here, Nanos now)
      SCHED_REQUIRES(here.self);
  // Nobody else is runnable on the yielder's worker.
  void yielder_is_alone() { alone_ = true; }
  // A likely lock holder gets a turn of this length, then the yielder goes on.
  void donate(Nanos length) { donation_ = length; }
  // These wait for a worker, and the yielder needs one of them: counts whether it is yielded to.
  void judge_by(const VcpuBits& right) {
    right_ = &right;
    ++me_.stats.right_possible;
  }

  Result operator()(uint32_t index, YieldReason reason) override;
  // To nobody in particular: whoever is next by its lag runs.
  void yield_to_anyone();
  // The yielder leaves its worker.
  bool take_off() const { return take_off_; }

 private:
  bool still_waits(const Vcpu& target, WorkerId where) const;
  bool computes(const Vcpu& vcpu) const;
  bool only_one_missing() const;
  Handover hand_over(const Vcpu& target, YieldReason reason) const;
  Handover lend(Handover::Kind kind, Nanos length = {}) const;
  Result yield_here(Vcpu& target);
  Result yield_there(Vcpu& target, WorkerId where);
  Result pull(Vcpu& target, WorkerId where);
  void prefer_there(Worker& there, Vcpu& target) SCHED_REQUIRES(there.mutex);
  void count(const YieldEffects& effects, const Vcpu& target);
  void say(TraceKind kind, const Vcpu& target, uint8_t why, uint64_t value) const;
  void note_done(const Vcpu& target, YieldReason reason);

  Workers& workers_;
  YieldMemory& memory_;
  const VmInfo& vm_;
  Worker& here_;
  Vcpu& me_;
  VcpuYields& mine_;
  const Nanos now_;
  bool alone_ = false;
  std::optional<Nanos> donation_;
  const VcpuBits* right_ = nullptr;
  bool take_off_ = false;
  TraceYield how_ = TraceYield::kHere;   // the attempt that is done
  bool sure_ = false;                    // the target of this attempt is likely to be what is waited for
  Handover hands_;                       // what the attempt gives
  std::optional<WorkerId> pulled_from_;  // where the target of this attempt waited until now
};

}  // namespace sched
