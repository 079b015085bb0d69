#include "sched/sim/cost_profile.h"

#include <algorithm>
#include <array>
#include <type_traits>

namespace sched::sim {
namespace {

using namespace std::chrono_literals;

// A host without hardware virtualization: CPL 3 runs natively, CPL 0 is interpreted.
constexpr CostProfile kvm_pvm() {
  CostProfile c;
  c.exit_user = 67us;
  c.exit_kernel = 9us;
  c.preempt_user = 55us;
  c.preempt_kernel = 9us;
  c.handle = 1us;
  c.kick_send = 2us;
  c.kick_latency = 5us;
  c.timer_latency = 3us;
  c.kernel_latency = 150us;
  c.idle_wake = 30us;
  c.inject = 0us;
  c.vcpu_switch = 1us;
  c.vcpu_move = 3us;
  c.carrier_switch = 6us;
  c.host_switch = 8us;
  c.stub = 1'500ns;
  c.trap = 82us;
  c.kernel_slowdown = 1'350;
  c.pauses_per_ms = 21'000;
  c.delay_iters_per_ms = 2'500'000;
  c.noise_interval = 10ms;
  c.noise_length = 60us;
  return c;
}

constexpr std::array kProfiles{
    NamedProfile{"laptop-vmx", "a notebook with hardware virtualization: exits of 2 us", CostProfile{}},
    NamedProfile{"kvm-pvm", "KVM without hardware virtualization: CPL 0 interpreted, exits of 9 to 67 us",
                 kvm_pvm()},
};

template <auto Member>
constexpr CostField field(std::string_view name, std::string_view what, int64_t min = 0) {
  using Value = std::remove_cvref_t<decltype(CostProfile{}.*Member)>;
  return {.name = name,
          .what = what,
          .min = min,
          .get = [](const CostProfile& costs) -> int64_t {
            if constexpr (std::is_same_v<Value, Nanos>) return (costs.*Member).count();
            if constexpr (!std::is_same_v<Value, Nanos>) return costs.*Member;
          },
          .set = [](CostProfile& costs, int64_t value) { costs.*Member = Value{value}; }};
}

using C = CostProfile;
constexpr std::array kFields{
    field<&C::exit_user>("exit_user_ns", "exit to user space from CPL 3, round trip", 1),
    field<&C::exit_kernel>("exit_kernel_ns", "exit to user space from CPL 0, round trip", 1),
    field<&C::preempt_user>("preempt_user_ns", "CPL 3 code taken out by a signal, round trip"),
    field<&C::preempt_kernel>("preempt_kernel_ns", "CPL 0 code taken out by a signal, round trip"),
    field<&C::handle>("handle_ns", "the VMM's own work on an exit"),
    field<&C::kick_send>("kick_send_ns", "kicking another worker, for the one that kicks"),
    field<&C::kick_latency>("kick_latency_ns", "from a kick until the guest is left"),
    field<&C::timer_latency>("timer_latency_ns", "from the timer's instant until the guest is left"),
    field<&C::kernel_latency>("kernel_latency_ns", "on top of these two while CPL 0 code runs"),
    field<&C::idle_wake>("idle_wake_ns", "from a kick until an idle worker picks"),
    field<&C::inject>("inject_ns", "an interrupt at entry"),
    field<&C::vcpu_switch>("vcpu_switch_ns", "entering another vCPU than the last on this worker"),
    field<&C::vcpu_move>("vcpu_move_ns", "on top, if it ran on another worker"),
    field<&C::carrier_switch>("carrier_switch_ns", "on top of a switch where a thread carries each vCPU"),
    field<&C::host_switch>("host_switch_ns", "the host's switch between two vCPU threads"),
    field<&C::host_tick>("host_tick_ns", "distance of the host's ticks, at which it preempts threads", 1),
    field<&C::stub>("stub_ns", "half an interrupt stub"),
    field<&C::trap>("trap_ns", "from CPL 3 to CPL 0 and back by UD2"),
    field<&C::kernel_slowdown>("kernel_slowdown", "CPL 0 code is so many times slower", 1),
    field<&C::pauses_per_ms>("pauses_per_ms", "turns of the spin loop in a millisecond", 1),
    field<&C::delay_iters_per_ms>("delay_iters_per_ms", "turns of the delay loop in a millisecond", 1),
    field<&C::noise_interval>("noise_interval_ns", "mean distance of what the host steals; 0: nothing"),
    field<&C::noise_length>("noise_length_ns", "mean length of what the host steals"),
};

}  // namespace

std::span<const CostField> cost_fields() { return kFields; }

std::span<const NamedProfile> built_in_profiles() { return kProfiles; }

std::optional<CostProfile> find_profile(std::string_view name) {
  const auto found = std::find_if(kProfiles.begin(), kProfiles.end(),
                                  [name](const NamedProfile& profile) { return profile.name == name; });
  if (found == kProfiles.end()) return std::nullopt;
  return found->costs;
}

}  // namespace sched::sim
