// The features of a policy as keys, a line each.
#include <array>
#include <type_traits>

#include "sched/policy/parse.h"

namespace sched {
namespace {

constexpr std::array<std::string_view, 2> kSwitch{"off", "on"};
constexpr std::array<std::string_view, 3> kDeboostWords{"off", "on", "past"};
constexpr std::array<std::string_view, 3> kExtendWords{"off", "critical", "asked"};
constexpr std::array<std::string_view, 4> kIpiWords{"none", "v2", "v3", "kvmux"};
constexpr std::array<std::string_view, 2> kLevelWords{"nested", "flat"};
constexpr std::array<std::string_view, 3> kCgroupWords{"vm", "none", "vcpu"};
constexpr std::array<std::string_view, 5> kShareWords{"smp", "up", "concur", "max", "tasks"};

// What a feature needs of the run queue.
enum class Needs : uint8_t { kNothing, kMoves, kVirtualTime };

template <auto Member>
constexpr FeatureField field(std::string_view name, std::span<const std::string_view> words,
                             std::string_view help, Needs needs = Needs::kNothing,
                             std::string_view old_name = {}) {
  using Value = std::remove_cvref_t<decltype(Features{}.*Member)>;
  return {.name = name,
          .old_name = old_name,
          .help = help,
          .words = words,
          .needs_virtual_time = needs == Needs::kVirtualTime,
          .needs_moves = needs == Needs::kMoves,
          .whole_run = std::is_same_v<Value, StealRule> || std::is_same_v<Value, QueueLevels> ||
                       std::is_same_v<Value, VmShare> || std::is_same_v<Value, Cgroups>,
          .get = [](const Features& features) { return static_cast<size_t>(features.*Member); },
          .set = [](Features& features, size_t index) { features.*Member = static_cast<Value>(index); }};
}

constexpr std::array kFeatures{
    field<&Features::spin>("spin", kSwitch, "a spin exit leads to a directed yield", Needs::kVirtualTime),
    field<&Features::candidates>("candidates", kCandidateRuleNames, "who may be yielded to"),
    field<&Features::ipi>("ipi", kIpiWords, "which sent IPIs are remembered as awaited"),
    field<&Features::relaxed>("relaxed", kSwitch, "second round for any preempted vCPU"),
    field<&Features::reset_tries>("reset-tries", kSwitch, "the second round gets its tries back"),
    field<&Features::buddy>("buddy", kSwitch, "the target is nominated as next on its queue",
                            Needs::kVirtualTime),
    field<&Features::forfeit>("forfeit", kSwitch, "the yielder gives up the rest of its request",
                              Needs::kVirtualTime),
    field<&Features::hier>("hier", kSwitch, "proportional forfeit up the hierarchy", Needs::kVirtualTime),
    field<&Features::deboost>("deboost", kDeboostWords,
                              "vruntime penalty on the yielder: the series', or past its target every time",
                              Needs::kVirtualTime),
    field<&Features::rate_limit_first>("rate-limit-first", kSwitch,
                                       "rejected attempts use up the penalty interval too"),
    field<&Features::credit>("credit", kSwitch, "lag credit to the target's chain", Needs::kVirtualTime),
    field<&Features::pull>("pull", kSwitch, "the target is brought here and runs at once",
                           Needs::kVirtualTime),
    field<&Features::switch_back>("switch-back", kSwitch,
                                  "a sender that yielded runs next once all have acknowledged",
                                  Needs::kVirtualTime, "resume"),
    field<&Features::yield_on_send>("yield-on-send", kSwitch,
                                    "a sender known to wait yields at the send, without a spin exit",
                                    Needs::kVirtualTime, "eager"),
    field<&Features::pack>("pack", kSwitch, "a VM's vCPUs begin on as few workers as an even load allows",
                           Needs::kMoves),
    field<&Features::affinity>("affinity", kSwitch,
                               "VMs of equal weight stay on one worker each, and move as a whole",
                               Needs::kVirtualTime, "whole"),
    field<&Features::running_hint>(
        "running-hint", kSwitch,
        "guests are told how many of their vCPUs run: one that is alone does not busy-wait", Needs::kNothing,
        "hint"),
    field<&Features::donate>("donate", kSwitch, "a likely lock holder runs briefly, then the yielder again",
                             Needs::kVirtualTime, "loan"),
    field<&Features::extend>("extend", kExtendWords,
                             "who goes on at the end of its turn: inside a critical section, or having asked",
                             Needs::kVirtualTime),
    field<&Features::urgent>("urgent", kSwitch,
                             "an IPI's receivers run first and shortly, and its sender until they have",
                             Needs::kVirtualTime),
    field<&Features::tell_preempted>("tell-preempted", kSwitch,
                                     "guests are told which of their vCPUs wait for a CPU"),
    field<&Features::tell_turn_end>("tell-turn-end", kSwitch, "a vCPU is told when its turn will end"),
    field<&Features::steal>("steal", kStealRuleNames, "from whom an idle worker takes work", Needs::kMoves),
    field<&Features::levels>("queue", kLevelWords, "a timeline a group, or one of vCPUs alone (Linux 7.3)",
                             Needs::kVirtualTime),
    field<&Features::vm_share>("vm-share", kShareWords,
                               "what a VM weighs: its weight; that on each worker; times the vCPUs that can run "
                               "at once, times workers, times runnable vCPUs",
                               Needs::kVirtualTime),
    field<&Features::cgroups>("cgroups", kCgroupWords,
                              "a group a VM, none at all, or in it one a vCPU as libvirt makes them",
                              Needs::kVirtualTime),
};

}  // namespace

std::span<const FeatureField> feature_fields() { return kFeatures; }

std::string_view feature_word(const FeatureField& field, const Features& features) {
  return field.words[field.get(features)];
}

}  // namespace sched
