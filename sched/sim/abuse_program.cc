// abuse: guest/workloads/abuse.c.
#include "sched/sim/programs.h"

namespace sched::sim {
namespace {

// A CPUID with its exit, which never leaves the host's kernel.
constexpr Nanos kCpuid{1'000};

// All kinds but halt, which is pingpong without thinking.
class AbuseProgram final : public Program {
 public:
  AbuseProgram(AbuseKind kind, uint32_t vcpus, Port& port)
      : port_(port), kind_(kind), vcpus_(vcpus), barrier_(vcpus, port), steps_(vcpus, Step::kStart) {}

  bool poll(uint32_t vcpu, Nanos) override { return barrier_.over(vcpu); }

  Action next(uint32_t vcpu, Nanos) override {
    switch (steps_[vcpu]) {
      case Step::kStart:
        steps_[vcpu] = Step::kFirst;
        if (!barrier_.arrive(vcpu)) return Action::spin();
        [[fallthrough]];
      case Step::kFirst:
        steps_[vcpu] = Step::kAgain;
        return act(vcpu);
      case Step::kAgain:
        break;
    }
    port_.count_operation(vcpu);
    return act(vcpu);
  }

 private:
  enum class Step : uint8_t { kStart, kFirst, kAgain };

  Action act(uint32_t vcpu) const {
    switch (kind_) {
      case AbuseKind::kIpiOne:
        return Action::send((vcpu + 1) % vcpus_);
      case AbuseKind::kIpiAll:
        return Action::send(kAllOthers);
      case AbuseKind::kTimer:
        return Action::arm();
      case AbuseKind::kCpuid:
        return Action::idle(kCpuid);
      case AbuseKind::kBell:
      case AbuseKind::kHalt:
        break;
    }
    return Action::ring(Wait::kBegins);
  }

  Port& port_;
  const AbuseKind kind_;
  const uint32_t vcpus_;
  Barrier barrier_;
  std::vector<Step> steps_;
};

}  // namespace

std::unique_ptr<Program> make_abuse(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port) {
  if (workload.abuse != AbuseKind::kHalt) return std::make_unique<AbuseProgram>(workload.abuse, vcpus, port);
  Workload tight = workload;
  tight.think = Nanos::zero();
  return std::make_unique<PingpongProgram>(tight, vcpus, seed, port);
}

}  // namespace sched::sim
