#include "vmm/cli/linux_guest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <ostream>

#include "sched/base/text.h"
#include "vmm/cli/spec.h"
#include "vmm/linux/guest_image.h"

namespace vmm {
namespace {

constexpr uint64_t kStandardMemory = uint64_t{256} << 20;
constexpr uint64_t kLeastMemory = uint64_t{4} << 20;
constexpr std::array<std::string_view, 5> kKeys{"kernel", "initrd", "load", "cmdline", "memory"};
constexpr std::string_view kMemoryKey = "memory";

Result<void> set_key(const std::string& flag, const std::string& key, const std::string& value, VmSpec& vm) {
  LinuxGuest& guest = *vm.linux_guest;
  if (key == kMemoryKey) {
    const auto bytes = parse_memory(flag, value);
    if (!bytes) return Failure(bytes.error());
    vm.memory_bytes = *bytes;
    return {};
  }
  if (value.empty()) return bad_value(flag, value, "something");
  if (key == "load") {
    if (const std::string why = why_not_load(value); !why.empty()) return bad_value(flag, value, why);
    guest.load = value;
    return {};
  }
  (key == "kernel" ? guest.kernel : key == "initrd" ? guest.initrd : guest.cmdline) = value;
  return {};
}

Result<void> check_file(const std::string& key, const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored)) return {};
  return usage_error("--guest linux," + key, fmt::format("'{}' is not a file", path));
}

}  // namespace

bool is_linux_key(std::string_view key) {
  return key != kMemoryKey && std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
}

Result<void> make_linux_guest(std::string_view flag, const KeyValues& keys, VmSpec& vm) {
  vm.guest = kLinuxGuest;
  if (!vm.linux_guest) vm.linux_guest.emplace();
  for (const auto& [key, value] : keys) {
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
      return usage_error(std::string{flag},
                         fmt::format("unknown key '{}'{}; accepted are {}", key, sched::did_you_mean(key, kKeys),
                                     sched::join(kKeys, ", ")));
    }
    if (auto set = set_key(fmt::format("{},{}", flag, key), key, value, vm); !set) return set;
  }
  if (vm.memory_bytes == 0) vm.memory_bytes = kStandardMemory;
  if (vm.memory_bytes < kLeastMemory) {
    return bad_value(fmt::format("{},memory", flag), std::to_string(vm.memory_bytes), "at least 4M");
  }
  vm.memory_bytes = whole_huge_pages(vm.memory_bytes);
  complete_guest(*vm.linux_guest);
  vm.ring = VmSpec{}.ring;
  vm.args.clear();
  vm.workload = {};
  return {};
}

bool has_linux_guests(const RunSpec& spec) {
  return std::any_of(spec.vms.begin(), spec.vms.end(),
                     [](const VmSpec& vm) { return vm.linux_guest.has_value(); });
}

bool has_linux_guests(const Request& request) {
  return std::any_of(request.setups.begin(), request.setups.end(),
                     [](const Setup& setup) { return has_linux_guests(setup.spec); });
}

Result<void> check_linux_guests(const Request& request, bool force, Services& services) {
  if (!has_linux_guests(request)) return {};
  for (const Setup& setup : request.setups) {
    for (const VmSpec& vm : setup.spec.vms) {
      if (!vm.linux_guest) continue;
      if (vm.linux_guest->kernel.empty()) return usage_error("--guest linux", std::string{kNoImage});
      if (auto ok = check_file("kernel", vm.linux_guest->kernel); !ok) return ok;
      if (vm.linux_guest->initrd.empty()) continue;
      if (auto ok = check_file("initrd", vm.linux_guest->initrd); !ok) return ok;
    }
  }
  if (services.host_facts().has_virtualization) return {};
  constexpr std::string_view kWhy =
      "this host has no hardware virtualization (neither vmx nor svm in /proc/cpuinfo), so KVM interprets the "
      "guest's kernel, at a quarter of a microsecond an instruction: Linux takes hours to boot";
  if (force) {
    services.err << "kvmux: warning: --guest linux: " << kWhy << "\n";
    return {};
  }
  return host_error("--guest linux", 0,
                    fmt::format("{}. Built-in guests run at full speed here (`{} guests`); --force runs Linux "
                                "all the same",
                                kWhy, services.called_as));
}

std::string linux_title(const LinuxGuest& guest) { return guest.load; }

}  // namespace vmm
