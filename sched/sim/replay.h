// What the vCPUs of a recorded VM did, reduced to what does not depend on who ran when: the model guest of
// `kvmux replay`. vmm/replay/ makes it from a trace.
//
// Waits are not in it as times: a vCPU waits for a lock until its owner lets go, for a thing until it is
// there, for the others at a barrier until they are, for acknowledgements until they come. Plain data.
#pragma once

#include <memory>
#include <vector>

#include "sched/base/types.h"
#include "sched/sim/program.h"

namespace sched::sim {

struct ReplayStep {
  enum class Kind : uint8_t {
    kWork,     // computes for `time`
    kBusy,     // the same: a wait of which nobody knows what ended it
    kAcquire,  // lock `what`
    kRelease,
    kPut,        // thing `what`: one more of it is there
    kTake,       // busy-waits until there is one, and takes it
    kSleep,      // the same, in HLT
    kArrive,     // at the VM's barrier
    kSend,       // an IPI to vCPU `what`, or kAllOthers
    kAwaitAcks,  // of all that it has sent
    kOperation,  // a unit of work is done
  };
  Kind kind{};
  uint32_t what = 0;
  Nanos time{};
  friend bool operator==(const ReplayStep&, const ReplayStep&) = default;
};

struct ReplayScript {
  struct Vcpu {
    std::vector<ReplayStep> steps;  // in order, and then again from …
    size_t loop = 0;                // … this one on
  };
  std::vector<Vcpu> vcpus = {};
  LockKind lock = LockKind::kTtas;  // of all its locks
  uint32_t locks = 0;
  std::vector<uint64_t> things = {};  // that are there at first, by number
  IrqVector vector{0x40};
  Nanos handler_work{};  // of an interrupt, outside its stub
};

// `port` must outlive the program.
std::unique_ptr<Program> make_replay(std::shared_ptr<const ReplayScript> script, uint64_t seed, Port& port);

}  // namespace sched::sim
