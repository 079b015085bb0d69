// One VM of a run: the --vm syntax, guests, workload keys and policies.
#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "sched/base/text.h"
#include "sched/policy/parse.h"
#include "vmm/cli/linux_guest.h"
#include "vmm/cli/spec.h"

namespace vmm {
namespace {

constexpr std::string_view kFlag = "--vm";
constexpr uint64_t kMinGuestMemory = uint64_t{2} << 20;  // one page of the kind that guests get
constexpr uint64_t kMaxGuestMemory = uint64_t{3} << 30;

struct VmBuilder {
  VmSpec vm;
  WorkloadFlags workload;
  KeyValues policy_keys;
  KeyValues linux_keys;
  bool has_policy = false;
};

using SetKey = Result<void> (*)(VmBuilder&, const std::string& flag, const std::string& value);
struct VmKey {
  std::string_view name;
  SetKey set;
};

Result<void> set_guest(VmBuilder& builder, const std::string& flag, const std::string& value) {
  builder.vm.guest = value;
  if (value == kLinuxGuest) return {};
  builder.vm.linux_guest.reset();
  return check_guest(flag, value);
}

Result<void> set_vcpus(VmBuilder& builder, const std::string& flag, const std::string& value) {
  return parse_count(flag, value, {1, kMaxVcpusPerVm}).map([&](int64_t count) {
    builder.vm.vcpus = static_cast<uint32_t>(count);
  });
}

Result<void> set_policy(VmBuilder& builder, const std::string& flag, const std::string& value) {
  auto policy = sched::parse_policy(value);
  if (!policy) return usage_error(flag, policy.error());
  builder.vm.policy = std::move(*policy);
  builder.has_policy = true;
  return {};
}

Result<void> set_weight(VmBuilder& builder, const std::string& flag, const std::string& value) {
  return parse_count(flag, value, {sched::kMinWeight.value, sched::kMaxWeight.value})
      .map([&](int64_t weight) { builder.vm.weight = sched::Weight{weight}; });
}

Result<void> set_group(VmBuilder& builder, const std::string& flag, const std::string& value) {
  if (value.empty() || value.starts_with('/') || value.ends_with('/')) {
    return bad_value(flag, value, "a path like prod/web");
  }
  builder.vm.group = value;
  return {};
}

Result<void> set_slice(VmBuilder& builder, const std::string&, const std::string& value) {
  builder.policy_keys.emplace_back("slice", value);
  return {};
}

Result<void> set_ring(VmBuilder& builder, const std::string& flag, const std::string& value) {
  return parse_ring(flag, value).map([&](uint32_t ring) { builder.vm.ring = ring; });
}

Result<void> set_memory(VmBuilder& builder, const std::string& flag, const std::string& value) {
  return parse_memory(flag, value).map([&](uint64_t bytes) { builder.vm.memory_bytes = bytes; });
}

Result<void> set_args(VmBuilder& builder, const std::string& flag, const std::string& value) {
  builder.vm.args = value;
  return check_guest_args(flag, value);
}

Result<void> set_handicap(VmBuilder& builder, const std::string& flag, const std::string& value) {
  return parse_percent(flag, value).map([&](double share) {
    builder.vm.handicap_percent = static_cast<uint32_t>(share * 100 + 0.5);
  });
}

template <size_t kKey>
Result<void> set_linux(VmBuilder& builder, const std::string&, const std::string& value) {
  constexpr std::array<std::string_view, 5> kNames{"kernel", "initrd", "load", "cmdline", "symbols"};
  builder.linux_keys.emplace_back(kNames[kKey], value);
  return {};
}

constexpr VmKey kVmKeys[] = {
    {"guest", set_guest}, {"vcpus", set_vcpus},       {"policy", set_policy}, {"weight", set_weight},
    {"group", set_group}, {"slice", set_slice},       {"ring", set_ring},     {"memory", set_memory},
    {"args", set_args},   {"handicap", set_handicap}, {"kernel", set_linux<0>}, {"initrd", set_linux<1>},
    {"load", set_linux<2>}, {"cmdline", set_linux<3>}, {"symbols", set_linux<4>},
};

std::vector<std::string_view> vm_key_names() {
  std::vector<std::string_view> names;
  for (const VmKey& key : kVmKeys) names.push_back(key.name);
  for (const WorkloadKey& key : workload_keys()) names.push_back(key.name);
  return names;
}

Result<void> set_vm_key(VmBuilder& builder, const std::string& name, const std::string& value) {
  const std::string flag = fmt::format("{} {}", kFlag, name);
  for (const VmKey& key : kVmKeys) {
    if (key.name == name) return key.set(builder, flag, value);
  }
  for (const WorkloadKey& key : workload_keys()) {
    if (key.name == name) return key.set(builder.workload, flag, value);
  }
  const auto names = vm_key_names();
  return usage_error(std::string{kFlag},
                     fmt::format("unknown key '{}'{}; accepted are {}", name,
                                 sched::did_you_mean(name, names), sched::join(names, ", ")));
}

}  // namespace

Result<uint32_t> parse_ring(std::string_view flag, std::string_view value) {
  if (value != "0" && value != "3") return bad_value(flag, value, "0 or 3");
  return value == "0" ? 0 : 3;
}

Result<uint64_t> parse_memory(std::string_view flag, std::string_view value) {
  if (value == "auto") return 0;
  return parse_size(flag, value, {kMinGuestMemory, kMaxGuestMemory});
}

Result<void> check_guest_args(std::string_view flag, std::string_view value) {
  constexpr size_t kMax = sizeof(kvmux_boot_info::args) - 1;
  if (value.size() > kMax) return bad_value(flag, value, fmt::format("at most {} bytes", kMax));
  return {};
}

Result<void> check_guest(std::string_view flag, const std::string& guest) {
  if (find_guest(guest) != nullptr) return {};
  std::error_code ignored;
  if (std::filesystem::is_regular_file(guest, ignored)) return {};
  std::vector<std::string_view> names;
  for (const GuestInfo& info : guests()) names.push_back(info.name);
  names.emplace_back(kLinuxGuest);
  return usage_error(std::string{flag},
                     fmt::format("'{}' is neither a guest nor a file{}; accepted are {}, or "
                                 "the path of an ELF64 image",
                                 guest, sched::did_you_mean(guest, names), sched::join(names, ", ")));
}

Result<void> set_workload_key(WorkloadFlags& workload, std::string_view flag, std::string_view key,
                              std::string_view value) {
  std::vector<std::string_view> names;
  for (const WorkloadKey& known : workload_keys()) {
    if (known.name == key) return known.set(workload, flag, value);
    names.push_back(known.name);
  }
  return usage_error(std::string{flag},
                     fmt::format("unknown workload key '{}'{}; accepted are {}", key,
                                 sched::did_you_mean(key, names), sched::join(names, ", ")));
}

Result<void> apply_policy_flags(sched::Policy& policy, const KeyValues& keys) {
  if (sched::is_host_queue(policy.features.queue)) return {};
  const auto apply = [&policy](std::string_view key, std::string_view value) -> Result<void> {
    if (const auto set = sched::set_policy_key(policy, key, value); !set) {
      return usage_error("--" + std::string{key}, set.error());
    }
    return {};
  };
  for (const auto& [key, value] : keys) {
    if (const auto applied = apply(key, value); !applied) return applied;
  }
  const std::string name = policy.name;
  for (const std::string_view item : sched::split(name, ",")) {
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos) continue;
    if (const auto applied = apply(item.substr(0, equals), item.substr(equals + 1)); !applied) return applied;
  }
  return {};
}

Result<VmSpec> parse_vm(std::string_view text, const VmDefaults& standard, bool* takes_policy) {
  const auto keys = parse_keys(kFlag, text);
  if (!keys) return tl::unexpected(keys.error());
  VmBuilder builder{.vm = standard.vm, .workload = {}, .policy_keys = {}, .linux_keys = {}};
  for (const auto& [key, value] : *keys) {
    if (const auto set = set_vm_key(builder, key, value); !set) return tl::unexpected(set.error());
  }
  if (!builder.policy_keys.empty() && !builder.has_policy) {
    return usage_error("--vm slice", "needs policy= in the same --vm; for all policies use --slice");
  }
  if (builder.has_policy) {
    if (const auto set = apply_policy_flags(builder.vm.policy, standard.policy_keys); !set) {
      return tl::unexpected(set.error());
    }
    if (const auto set = apply_policy_flags(builder.vm.policy, builder.policy_keys); !set) {
      return tl::unexpected(set.error());
    }
  }
  if (builder.vm.guest == kLinuxGuest) {
    if (auto made = make_linux_guest("--vm guest=linux", builder.linux_keys, builder.vm); !made) {
      return Failure(made.error());
    }
    *takes_policy = !builder.has_policy;
    return std::move(builder.vm);
  }
  if (!builder.linux_keys.empty()) {
    return usage_error(fmt::format("{} {}", kFlag, builder.linux_keys.front().first), "needs guest=linux");
  }
  builder.vm.workload = make_workload(builder.vm.guest, merged(standard.workload, builder.workload));
  *takes_policy = !builder.has_policy;
  return std::move(builder.vm);
}

}  // namespace vmm
