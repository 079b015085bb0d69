#include "sched/sim/program.h"

#include "sched/sim/mixed_program.h"
#include "sched/sim/programs.h"

namespace sched::sim {

std::unique_ptr<Program> make_program(GuestKind kind, const Workload& workload, uint32_t vcpus, uint64_t seed,
                                      Port& port) {
  switch (kind) {
    case GuestKind::kLock:
      return std::make_unique<LockProgram>(workload, vcpus, seed, port);
    case GuestKind::kIpi:
      return std::make_unique<IpiProgram>(workload, vcpus, seed, port);
    case GuestKind::kMixed:
      return std::make_unique<MixedProgram>(workload, vcpus, seed, port);
    case GuestKind::kPingpong:
      return std::make_unique<PingpongProgram>(workload, vcpus, seed, port);
    case GuestKind::kAbuse:
      return make_abuse(workload, vcpus, seed, port);
    case GuestKind::kCompute:
      break;
  }
  return std::make_unique<ComputeProgram>(workload, vcpus, seed, port);
}

}  // namespace sched::sim
