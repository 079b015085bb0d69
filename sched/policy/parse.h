// Policies as text: `v2`, `v2,deboost=off,ipi-window=10ms`. The keys are the features below and the tuning
// constants of tuning_fields(); both tables also make the command-line flags.
//
// Pure functions, any thread. Errors are whole sentences that name the bad part and what is accepted.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "sched/policy/policy.h"

namespace sched {

template <class T>
using Parsed = tl::expected<T, std::string>;

// One feature as a key: its accepted words in the order of the underlying enum (off, on for switches).
struct FeatureField {
  std::string_view name;
  std::string_view old_name;  // accepted as well; empty: it was never called otherwise
  std::string_view help;
  std::span<const std::string_view> words;
  // Queues whose run needs no more than `off` of it: there is nothing on them that it could act on.
  bool needs_virtual_time;         // EEVDF only
  bool needs_moves;                // not on `gang`, where every vCPU has its place
  bool whole_run;                  // holds for all VMs of a run: they must agree
  size_t (*get)(const Features&);  // index into words
  void (*set)(Features&, size_t);
};

std::span<const FeatureField> feature_fields();

// "on", "mainline", "v2" …: the word in force.
std::string_view feature_word(const FeatureField& field, const Features& features);

std::string_view queue_name(QueueKind queue);
// A thread per vCPU, none of our run queues.
bool is_host_queue(QueueKind queue);

const Preset* find_preset(std::string_view name);
std::string preset_names(std::string_view separator = ", ");

// Sets one key of a policy; used by policy strings and by the flags of the same names. The policy's name is
// left alone.
[[nodiscard]] Parsed<void> set_policy_key(Policy& policy, std::string_view key, std::string_view value);

// What a key that has been renamed is called now; empty for all others.
std::string_view new_name_of(std::string_view key);

// A policy's text with such keys by their present names, and all else as it is: what the same policy is
// called in results of today. Any text will do.
std::string with_new_names(std::string_view policy);

// The constants of what all VMs of a run share: of queues, moves and groups. Those that hold for the whole
// run, and features that do, must be alike, or the error names two policies that differ; the slice is the
// shortest, so that it does not depend on the VMs' order. At least one policy.
[[nodiscard]] Parsed<Tuning> tuning_of_run(std::span<const Policy* const> policies);

// Refuses a feature that the policy's run queue cannot carry, naming both. Parsed policies are checked; call
// it for one that flags were applied to.
[[nodiscard]] Parsed<void> check_carried(const Policy& policy);

// `preset[,key=value]…`; the policy's name is the text. Host presets take no keys: nothing of ours would act
// on them.
[[nodiscard]] Parsed<Policy> parse_policy(std::string_view text);

// A list: commas separate policies, but a `key=value` binds to the policy before it, so
// `yield,v2,deboost=off,fair` is three policies. A semicolon always starts a new policy; a colon does what a
// comma does, for places where the comma is taken.
[[nodiscard]] Parsed<std::vector<Policy>> parse_policy_list(std::string_view text);

// Every feature and constant in force, as a policy string that parses back to the same policy.
std::string canonical_policy(const Policy& policy);

// All features and constants alike, whatever the names.
bool is_same_policy(const Policy& a, const Policy& b);

}  // namespace sched
