#include "vmm/cli/linux_guest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <ostream>

#include "sched/base/text.h"
#include "vmm/cli/spec.h"
#include "vmm/linux/guest_image.h"
#include "vmm/linux/loads.h"
#include "vmm/load/symbols.h"
#include "vmm/run/setup.h"

namespace vmm {
namespace {

constexpr uint64_t kStandardMemory = uint64_t{256} << 20;
constexpr uint64_t kLeastMemory = uint64_t{4} << 20;
constexpr std::array<std::string_view, 6> kKeys{"kernel", "initrd", "load", "cmdline", "symbols", "memory"};
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
    const auto load = linux_guest::parse_load(flag, value);
    if (!load) return Failure(load.error());
    guest.load = load->text();
    return {};
  }
  std::string& text = key == "kernel"    ? guest.kernel
                      : key == "initrd"  ? guest.initrd
                      : key == "symbols" ? guest.symbols
                                         : guest.cmdline;
  text = value;
  return {};
}

Result<void> check_files(const LinuxGuest& guest) {
  for (const auto& [key, path] : {std::pair{"kernel", guest.kernel}, {"initrd", guest.initrd}, {"symbols", guest.symbols}}) {
    std::error_code ignored;
    if (path.empty() || std::filesystem::is_regular_file(path, ignored)) continue;
    return usage_error(fmt::format("--guest linux,{}", key), fmt::format("'{}' is not a file", path));
  }
  if (guest.symbols.empty()) return {};
  const auto symbols = read_symbols(guest.symbols);
  if (!symbols) return usage_error("--guest linux,symbols", symbols.error().text());
  return {};
}

std::vector<LinuxGuest*> linux_guests(Request& request) {
  std::vector<LinuxGuest*> guests;
  for (Setup& setup : request.setups) {
    for (VmSpec& vm : setup.spec.vms) {
      if (vm.linux_guest) guests.push_back(&*vm.linux_guest);
    }
  }
  return guests;
}

Result<void> check_host(bool force, Services& services) {
  if (services.host_facts().has_virtualization) return {};
  constexpr std::string_view kWhy =
      "this host has no hardware virtualization (neither vmx nor svm in /proc/cpuinfo), so KVM interprets "
      "the "
      "guest's kernel, at a quarter of a microsecond an instruction: Linux takes hours to boot";
  if (force) {
    services.err << "kvmux: warning: --guest linux: " << kWhy << "\n";
    return {};
  }
  return host_error(
      "--guest linux", 0,
      fmt::format("{}. Built-in guests run at full speed here (`{} guests`); --force runs Linux "
                  "all the same",
                  kWhy, services.called_as));
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
                         fmt::format("unknown key '{}'{}; accepted are {}", key,
                                     sched::did_you_mean(key, kKeys), sched::join(kKeys, ", ")));
    }
    if (auto set = set_key(fmt::format("{},{}", flag, key), key, value, vm); !set) return set;
  }
  if (vm.memory_bytes == 0) vm.memory_bytes = kStandardMemory;
  if (vm.memory_bytes < kLeastMemory) {
    return bad_value(fmt::format("{},memory", flag), std::to_string(vm.memory_bytes), "at least 4M");
  }
  vm.memory_bytes = whole_huge_pages(vm.memory_bytes);
  if (vm.linux_guest->load.empty()) vm.linux_guest->load = kStandardLoad;
  vm.ring = VmSpec{}.ring;
  vm.args.clear();
  vm.workload = {};
  return {};
}

bool has_linux_guests(const Request& request) {
  return std::any_of(request.setups.begin(), request.setups.end(),
                     [](const Setup& setup) { return has_linux_guests(setup.spec); });
}

Result<void> prepare_linux_guests(Request& request, bool force, Services& services) {
  if (!has_linux_guests(request)) return {};
  if (auto able = check_host(force, services); !able) return able;
  const std::vector<LinuxGuest*> guests = linux_guests(request);
  std::vector<linux_guest::Load> loads;
  for (const LinuxGuest* guest : guests) {
    if (auto ok = check_files(*guest); !ok) return ok;
    if (!guest->kernel.empty()) continue;
    auto load = linux_guest::parse_load("--guest linux,load", guest->load);
    if (!load) return Failure(load.error());
    loads.push_back(std::move(*load));
  }
  if (loads.empty()) return {};
  if (!services.linux_image) {
    return usage_error("--guest linux",
                       "this program has no image of its own; accepted is kernel=FILE,initrd=FILE");
  }
  const auto image = services.linux_image(
      loads, [&services](std::string_view line) { services.err << "kvmux: " << line << "\n"; });
  if (!image) return Failure(image.error());
  for (LinuxGuest* guest : guests) {
    if (!guest->kernel.empty()) continue;
    guest->kernel = image->kernel;
    if (guest->initrd.empty()) guest->initrd = image->initrd;
  }
  return {};
}

}  // namespace vmm
