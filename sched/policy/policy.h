// What a policy is: data. A preset is a set of features plus tuning constants; every feature has a flag, so
// that any ablation can be run. The strategies that give a feature its meaning live in one file each:
//   yield/candidates/*  whom a spinning vCPU yields to        (features: spin, candidates, relaxed)
//   place/steal/*       from whom an idle worker takes work   (steal)
//   yield/effect.cc     what the yield does to the run queue  (buddy, forfeit, hier, deboost, credit)
//   yield/extension.cc  who goes on past the end of its turn  (extend, urgent)
//   ipi/*.cc            what is remembered of IPIs            (ipi)
//
// Plain data, any thread; built before a run and constant during it. Source of the presets: Linux 6.19, the
// v2 and v3 series for oversubscribed KVM and its review thread (see docs/published.md).
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sched/base/vm_share.h"
#include "sched/ipi/kind.h"
#include "sched/policy/rules.h"
#include "sched/policy/tuning.h"

namespace sched {

// The run queue; holds for a whole run.
enum class QueueKind : uint8_t {
  kEevdf,
  kRoundRobin,
  kGang,
  kHost,       // no M:N: a thread per vCPU, the host's scheduler decides
  kHostYield,  // the same with sched_yield() on a spin exit
  kHostKvm,    // the same with KVM's own LAPIC and PAUSE-loop handling
};

// Of an EEVDF run queue; holds for a whole run.
enum class QueueLevels : uint8_t {
  kNested,  // a timeline a group: a VM competes with VMs, its vCPUs with each other
  kFlat,    // one timeline of vCPUs, whose weights follow from their groups' (Linux 7.3)
};

// Which groups vCPUs are in, as cgroups are for a host's threads; holds for a whole run.
enum class Cgroups : uint8_t {
  kVm,    // a VM's vCPUs in one
  kNone,  // all side by side; a VM has as much as it has vCPUs
  kVcpu,  // in the VM's, each in one of its own, as libvirt puts them
};

// The vruntime penalty of a yielder.
enum class Deboost : uint8_t {
  kOff,
  kOn,    // the series': a part of its slice and of the gap to its target, capped, at most one in an interval
  kPast,  // just past its target, every time (Ishiguro et al. 2021)
};

// Who goes on for a while when its turn is over.
enum class Extend : uint8_t {
  kOff,
  kCritical,  // who is inside a critical section, as its guest publishes
  kAsked,     // who has asked for it: at a price
};

struct Features {
  QueueKind queue = QueueKind::kEevdf;
  QueueLevels levels = QueueLevels::kNested;
  VmShare vm_share = VmShare::kSmp;
  Cgroups cgroups = Cgroups::kVm;
  bool spin = false;  // a spin exit leads to a directed yield
  CandidateRule candidates = CandidateRule::kMainline;
  IpiModelKind ipi = IpiModelKind::kNone;
  bool relaxed = false;           // second round gated by 'preempted' alone
  bool reset_tries = true;        // the second round gets its tries back (v2 does not)
  bool buddy = false;             // nominate the target as next on its queue
  bool forfeit = false;           // the yielder gives up the rest of its request
  bool hier = false;              // proportional forfeit up the hierarchy
  Deboost deboost = Deboost::kOff;  // vruntime penalty on the yielder at the lowest common ancestor
  bool rate_limit_first = false;  // count rejected attempts against the penalty interval (v2 does)
  bool credit = false;            // lag credit to the target's chain
  bool pull = false;         // bring the target to the yielder's worker and run it there at once
  bool switch_back = false;  // a sender that yielded runs again as soon as all have acknowledged
  bool yield_on_send = false;  // a sender known to wait yields at the send, without busy-waiting first
  bool pack = false;           // a VM's vCPUs begin on as few workers as an even load allows
  bool affinity = false;       // with `pack`: VMs of equal weight stay on one worker each and move as a whole
  bool running_hint =
      false;            // a guest is told how many of its vCPUs run: one that is alone need not busy-wait
  bool donate = false;  // a likely lock holder gets a short turn, then the yielder again
  Extend extend = Extend::kOff;
  bool urgent = false;  // an IPI's receivers run first and shortly, and its sender until they have
  bool tell_preempted = false;  // a guest is told which of its vCPUs are off a CPU though runnable
  bool tell_turn_end = false;   // a vCPU is told when its turn will end
  StealRule steal = StealRule::kNext;
};

// What a VM of so many runnable vCPUs is entitled to, as a multiple of its weight.
constexpr int64_t entitlement_factor(const Features& features, int64_t vcpus, int64_t workers) {
  return features.cgroups == Cgroups::kNone ? vcpus : entitlement_factor(features.vm_share, vcpus, workers);
}

// Does the policy look at whether a vCPU spins or was preempted at CPL 0?
inline bool needs_cpl(const Features& features) {
  return features.spin && looks_at_cpl(features.candidates);
}

struct Policy {
  std::string name;  // as given, e.g. "v2" or "v2,deboost=off"
  Features features;
  Tuning tuning;
  std::vector<std::string_view> constants_given{};  // names of the keys that set one, even to its default

  // Was it set by a key? Then what the host was measured to be does not replace it.
  bool gives(std::string_view constant) const {
    return std::find(constants_given.begin(), constants_given.end(), constant) != constants_given.end();
  }
};

struct Preset {
  std::string_view name;
  std::string_view summary;
  Features features;
  Tuning tuning{};
};

std::span<const Preset> presets();

}  // namespace sched
