// The model guest that does what a recorded one did (replay.h).
#pragma once

#include <memory>
#include <optional>

#include "sched/sim/parts.h"
#include "sched/sim/replay.h"

namespace sched::sim {

class ReplayProgram final : public Program {
 public:
  ReplayProgram(std::shared_ptr<const ReplayScript> script, uint64_t seed, Port& port);
  Action next(uint32_t vcpu, Nanos now) override;
  bool poll(uint32_t vcpu, Nanos now) override;
  bool sleeps(uint32_t vcpu) override;
  void handled(uint32_t vcpu, Nanos) override { acks_.handled(vcpu, handler_work > Nanos::zero()); }
  void handler_begins(uint32_t vcpu) override { acks_.begins(vcpu); }
  void handler_ends(uint32_t vcpu, Nanos) override { acks_.ends(vcpu); }
  bool handler_wanted(uint32_t vcpu) override { return acks_.wanted(vcpu); }

 private:
  using Kind = ReplayStep::Kind;
  struct Place {
    size_t next = 0;                 // its next step
    const ReplayStep* on = nullptr;  // what it waits or sleeps for
  };

  // The step, done at once; or what takes time before it is.
  std::optional<Action> begin(uint32_t vcpu, const ReplayStep& step, Nanos now);
  std::optional<Action> wait(uint32_t vcpu, const ReplayStep& step);
  bool take(uint32_t thing);
  void put(uint32_t thing);
  Action send(uint32_t vcpu, uint32_t receiver, Nanos now);

  Port& port_;
  const std::shared_ptr<const ReplayScript> script_;
  Locks locks_;
  Barrier barrier_;
  Acknowledgements acks_;
  std::vector<uint64_t> things_;
  std::vector<Place> places_;
  Bits watching_;  // wait for a thing
};

}  // namespace sched::sim
