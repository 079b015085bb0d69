#include "vmm/cli/flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "sched/base/text.h"
#include "sched/policy/latency_key.h"
#include "sched/policy/parse.h"
#include "vmm/cli/empty_values.h"

namespace vmm {
namespace {

void add(CLI::App& app, const std::string& name, std::string& value, const std::string& syntax,
         const std::string& help, const std::string& group) {
  CLI::Option* option = app.add_option(name, value, help)->type_name(syntax)->group(group);
  if (!value.empty()) option->default_str(value);
}

// A flag that goes to a list of key=value pairs.
// `old_key`: accepted as well, if it is not empty.
void add_key(CLI::App& app, std::string_view key, KeyValues& keys, std::string_view syntax,
             std::string_view help, const std::string& group, std::string_view old_key = {}) {
  const auto collect = [&keys, name = std::string{key}](const std::string& value) {
    keys.emplace_back(name, value);
  };
  app.add_option_function<std::string>("--" + std::string{key}, collect, std::string{help})
      ->type_name(std::string{syntax})
      ->group(group);
  if (old_key.empty()) return;
  app.add_option_function<std::string>("--" + std::string{old_key}, collect)->group("");  // not in --help
}

void add_machine_flags(CLI::App& app, RunFlags& flags, FlagSet set) {
  const std::string group = "What runs";
  const bool lists = set != FlagSet::kSingle;
  const std::string more = lists ? "[,…]" : "";
  add(app, "--guest", flags.guests, "NAME|FILE[,key=value]" + more,
      "guest: see `kvmux guests`, or an ELF64 file; workload keys may follow. linux: keys kernel, initrd, "
      "memory, load, cmdline, symbols",
      group);
  if (set != FlagSet::kSweep) add(app, "--vms", flags.vms, "N" + more, "number of VMs", group);
  add(app, "--vcpus", flags.vcpus, "N" + more, "vCPUs of each VM, at most 1024", group);
  add(app, "--workers", flags.workers, "N", "worker threads, each on a CPU of its own", group);
  add(app, "--cpus", flags.cpus, kCpusType, kCpusHelp, group);
  app.add_option(
         "--vm", flags.vm,
         "one VM; repeat it. Keys: guest, vcpus, policy (its keys after colons: v2:deboost=off), "
         "weight, group, slice, ring, memory, args, handicap, kernel, initrd, load, cmdline, symbols and the "
         "workload keys")
      ->type_name("key=value,…")
      ->group(group)
      ->allow_extra_args(false);
  app.add_option("--group", flags.group, "weight of a group named in --vm, e.g. prod/web:weight=2048")
      ->type_name("PATH:weight=N")
      ->group(group)
      ->allow_extra_args(false);
  add(app, "--weight", flags.weights, "W[,…]", "scheduling weights of the VMs in turn, default 1024", group);
  add(app, "--memory", flags.memory, "SIZE", "memory of each VM", group);
  add(app, "--ring", flags.ring, "0|3", "privilege level that guests work at", group);
  add(app, "--guest-args", flags.guest_args, kTextType, "handed to the guest", group);
}

void add_run_time_flags(CLI::App& app, RunFlags& flags, FlagSet set) {
  const std::string group = "How it runs";
  add(app, "--seconds", flags.seconds, "S", "measured time", group);
  add(app, "--warmup", flags.warmup, "S|auto", "time before, not measured; auto: 0.1, or 1 with Linux guests",
      group);
  add(app, "--seed", flags.seed, "N", "seed of everything random", group);
  add(app, "--spin-window", flags.spin_window, "TIME|auto", "busy-waiting this long makes a spin exit",
      group);
  add(app, "--spin-detect", flags.spin_detect, "doorbell|sample|both|off|auto",
      "how busy-waiting is noticed; auto: doorbell, or both with Linux guests", group);
  add(app, "--rotate", flags.rotate, "TIME|off",
      "workers move on by one CPU so often, because CPUs are not equally fast (real guests, policies of "
      "ours)",
      group);
  add(app, "--stall", flags.stall, kStallType, kStallHelp, group);
  app.add_option(kLosesWakeups, flags.loses_wakeups)->group("");  // not in --help
  add(app, "--irqchip", flags.irqchip, "user|split", "local APIC in kvmux, or in KVM (host policies only)",
      group);
  add(app, "--event-loop", flags.event_loop, "auto|io_uring|epoll",
      "what workers without a vCPU sleep on; auto: io_uring, or epoll where the host forbids it", group);
  const bool lists = set != FlagSet::kSingle;
  add(app, "--carriers", flags.carriers, lists ? "auto|on|off[,N=…]" : "auto|on|off",
      std::string(kCarriersHelp) + (lists ? "; N=on, N=off: for the Nth policy alone" : ""), group);
  add(app, "--backend", flags.backend, "kvm|sim", "real guests, or the simulator", group);
  add(app, "--cost-profile", flags.cost_profile, "NAME|FILE",
      "simulator: laptop-vmx, kvm-pvm, or a file from `kvmux doctor --json`", group);
}

void add_linux_flags(CLI::App& app, RunFlags& flags) {
  const std::string group = "Linux guests";
  add(app, "--boot-limit", flags.boot_limit, "S", "all of them must be ready by then, or the run fails",
      group);
  add(app, "--paravirt", flags.paravirt, "kvm|none",
      "kvm: they see KVM's clock and steal time; none: no paravirtual features", group);
  app.add_flag("--fail-on-findings", flags.fail_on_findings,
               "a panic, an OOM kill or a stall report on a console fails the run")
      ->group(group);
  app.add_flag("--force", flags.force, "run them also where KVM would interpret their kernels")->group(group);
}

void add_policy_flags(CLI::App& app, RunFlags& flags, FlagSet set) {
  const std::string group = "Policy";
  const std::string help = "see `kvmux policies`; PRESET[,key=value]… makes a variant";
  const bool lists = set != FlagSet::kSingle;
  CLI::Option* option = app.add_option(lists ? "--policies,--policy" : "--policy", flags.policies, help);
  option->type_name(lists ? "P,P,…" : "P")->group(group)->default_str(flags.policies);

  add_policy_keys(app, flags.policy_keys);
}

}  // namespace

void add_policy_keys(CLI::App& app, KeyValues& keys) {
  const std::string features = "Policy features, applied to every policy (a policy's own keys win)";
  for (const sched::FeatureField& feature : sched::feature_fields()) {
    add_key(app, feature.name, keys, sched::join(feature.words, "|"), feature.help, features,
            feature.old_name);
  }
  for (const sched::TuningField& tuning : sched::tuning_fields()) {
    const std::string standard = sched::tuning_text(tuning, tuning.get(sched::Tuning{}));
    add_key(app, tuning.name, keys, tuning.is_time ? "TIME" : "N",
            fmt::format("{} [{}]", tuning.help, standard), "Policy constants, likewise", tuning.old_name);
  }
  add_key(app, sched::kLatencyKey, keys, "TIME", sched::kLatencyHelp, "Policy constants, likewise");
}

void add_run_flags(CLI::App& app, RunFlags& flags, FlagSet set) {
  add_machine_flags(app, flags, set);
  add_run_time_flags(app, flags, set);
  add_linux_flags(app, flags);
  for (const WorkloadKey& key : workload_keys()) {
    add_key(app, key.name, flags.workload, key.syntax, key.help, "Workload of the built-in guests");
  }
  add_policy_flags(app, flags, set);
}

Result<Nanos> parse_stall(std::string_view text) {
  if (text == "off") return Nanos{};
  const auto stall = parse_time_flag("--stall", text, std::chrono::milliseconds{100}, std::chrono::hours{1});
  if (!stall) return bad_value("--stall", text, "off, or a time from 100ms to 1h");
  return *stall;
}

Result<uint32_t> parse_loses_wakeups(std::string_view text) {
  const auto every = parse_count(kLosesWakeups, text, {0, 1'000'000'000});
  if (!every) return Failure(every.error());
  return static_cast<uint32_t>(*every);
}

namespace {

// A Linux guest's values have colons of their own (load=dbench:8), so that only commas and semicolons
// separate them.
std::vector<std::string_view> split_items(std::string_view list) {
  std::vector<std::string_view> parts;
  bool in_linux = false;
  for (const std::string_view piece : sched::split(list, ",;")) {
    if (in_linux && piece.find('=') != std::string_view::npos) {
      parts.push_back(piece);
      continue;
    }
    for (const std::string_view part : sched::split(piece, ":")) {
      parts.push_back(part);
      if (part.find('=') == std::string_view::npos) in_linux = part == kLinuxGuest;
    }
  }
  return parts;
}

}  // namespace

Result<std::vector<NamedItem>> parse_items(std::string_view flag, std::string_view list) {
  std::vector<NamedItem> items;
  for (const std::string_view part : split_items(list)) {
    const size_t equals = part.find('=');
    if (part.empty()) return bad_value(flag, list, "a list like NAME[,key=value],NAME without empty parts");
    if (equals == std::string_view::npos) {
      items.push_back({std::string{part}, {}});
    } else if (items.empty()) {
      return bad_value(flag, part, "a name before the first key=value");
    } else {
      items.back().keys.emplace_back(part.substr(0, equals), part.substr(equals + 1));
    }
  }
  return items;
}

Result<KeyValues> parse_keys(std::string_view flag, std::string_view text) {
  KeyValues keys;
  for (const std::string_view part : sched::split(text, ",")) {
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return bad_value(flag, part, "key=value, as in guest=ipi,vcpus=4,policy=v2:deboost=off");
    }
    keys.emplace_back(part.substr(0, equals), part.substr(equals + 1));
  }
  return keys;
}

Result<GroupSpec> parse_group(std::string_view text) {
  const size_t colon = text.find(":weight=");
  const std::string_view path = text.substr(0, colon);
  const bool has_empty_part = path.empty() || path.starts_with('/') || path.ends_with('/') ||
                              path.find("//") != std::string_view::npos;
  if (colon == std::string_view::npos || has_empty_part) {
    return bad_value("--group", text, "PATH:weight=N, as in prod/web:weight=2048");
  }
  const auto weight = parse_count("--group " + std::string{path}, text.substr(colon + 8),
                                  {sched::kMinWeight.value, sched::kMaxWeight.value});
  if (!weight) return tl::unexpected(weight.error());
  return GroupSpec{std::string{path}, sched::Weight{*weight}};
}

void add_live_flag(CLI::App& app, bool& live) {
  app.add_flag("--live", live,
               "show workers, vCPUs and decisions on the terminal while guests run; needs a terminal");
}

}  // namespace vmm
