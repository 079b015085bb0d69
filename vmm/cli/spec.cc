#include "vmm/cli/spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sched/base/text.h"
#include "sched/policy/parse.h"
#include "vmm/cli/carriers.h"
#include "vmm/cli/linux_guest.h"
#include "vmm/cli/setup_name.h"
#include "vmm/run/abuse_kind.h"
#include "vmm/run/os_thread.h"
#include "vmm/run/setup.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 2> kBackendWords{"kvm", "sim"};
constexpr std::array<std::string_view, 2> kIrqchipWords{"user", "split"};
constexpr std::array<std::string_view, 5> kDetectWords{"doorbell", "sample", "both", "off", "auto"};
constexpr std::array<std::string_view, 2> kParavirtWords{"kvm", "none"};
constexpr std::string_view kAuto = "auto";
constexpr Nanos kWarmup = 100ms;
constexpr Nanos kLinuxWarmup = 1s;  // a load's processes start

// A guest of the grid with its workload keys, or those of a Linux guest.
struct GuestChoice {
  std::string name;
  WorkloadFlags workload;
  KeyValues linux_keys;

  bool is_linux() const { return name == kLinuxGuest; }
};

// Reads flag after flag; the first refusal is kept and the rest skipped.
class Reader {
 public:
  template <class T, class U>
  void read(Result<T> result, U& into) {
    if (result) {
      into = static_cast<U>(std::move(*result));
    } else {
      note(result.error());
    }
  }
  void check(const Result<void>& result) {
    if (!result) note(result.error());
  }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  void note(const Error& error) {
    if (!error_) error_ = error;
  }
  std::optional<Error> error_;
};

Nanos read_spin_window(Reader& reader, const std::string& text) {
  Nanos window{0};
  if (text != "auto") reader.read(parse_time_flag("--spin-window", text, 1us, 10s), window);
  return window;
}

Nanos read_rotate(Reader& reader, const std::string& text) {
  if (text == "off") return Nanos{0};
  const auto interval = parse_time_flag("--rotate", text, 1ms, 10s);
  if (!interval) reader.check(bad_value("--rotate", text, "off, or a time from 1ms to 10s"));
  return interval.value_or(Nanos{0});
}

// The simulator's workers have no CPUs.
std::vector<int> read_cpus(Reader& reader, const RunFlags& flags, const HostLimits& limits, Backend backend) {
  std::vector<int> cpus;
  if (flags.cpus.empty()) return cpus;
  if (backend == Backend::kSim) {
    reader.check(
        bad_value("--cpus", flags.cpus, "only with --backend kvm: the simulator uses no CPUs of its own"));
    return cpus;
  }
  reader.read(parse_cpus("--cpus", flags.cpus, limits.cpus), cpus);
  return cpus;
}

RunSpec read_common(Reader& reader, const RunFlags& flags, Nanos default_seconds) {
  RunSpec spec;
  spec.duration = default_seconds;
  size_t backend = 0;
  size_t detect = 0;
  size_t irqchip = 0;
  size_t event_loop = 0;
  size_t paravirt = 0;
  reader.read(parse_word("--paravirt", flags.paravirt, kParavirtWords), paravirt);
  reader.read(parse_seconds("--boot-limit", flags.boot_limit, 1s, std::chrono::hours{24}), spec.boot_limit);
  spec.paravirt = paravirt == 0;
  spec.findings_fail = flags.fail_on_findings;
  reader.read(parse_word("--backend", flags.backend, kBackendWords), backend);
  reader.read(parse_word("--spin-detect", flags.spin_detect, kDetectWords), detect);
  reader.read(parse_word("--irqchip", flags.irqchip, kIrqchipWords), irqchip);
  reader.read(parse_word("--event-loop", flags.event_loop, kEventLoopWords), event_loop);
  reader.read(parse_count("--workers", flags.workers, {1, kMaxWorkers}), spec.workers);
  if (!flags.seconds.empty()) {
    reader.read(parse_seconds("--seconds", flags.seconds, 1ms, std::chrono::hours{24}), spec.duration);
  }
  if (flags.warmup != kAuto) {
    reader.read(parse_seconds("--warmup", flags.warmup, 0s, std::chrono::hours{1}), spec.warmup);
  }
  reader.read(parse_count("--seed", flags.seed, {0, INT64_MAX}), spec.seed);
  spec.backend = static_cast<Backend>(backend);
  if (flags.spin_detect != kAuto) spec.spin_detect = static_cast<SpinDetect>(detect);
  spec.irqchip = static_cast<Irqchip>(irqchip);
  spec.event_loop = static_cast<EventLoopKind>(event_loop);
  spec.spin_window = read_spin_window(reader, flags.spin_window);
  spec.rotate = read_rotate(reader, flags.rotate);
  reader.read(parse_stall(flags.stall), spec.stall);
  reader.read(parse_loses_wakeups(flags.loses_wakeups), spec.loses_wakeups);
  spec.cost_profile = flags.cost_profile;
  if (spec.backend == Backend::kSim && spec.cost_profile.empty()) spec.cost_profile = "laptop-vmx";
  if (spec.backend == Backend::kKvm && !spec.cost_profile.empty()) {
    reader.check(
        bad_value("--cost-profile", flags.cost_profile, "only with --backend sim: the simulator's costs"));
  }
  for (const std::string& group : flags.group) {
    spec.groups.emplace_back();
    reader.read(parse_group(group), spec.groups.back());
  }
  return spec;
}

std::vector<GuestChoice> read_guests(Reader& reader, const RunFlags& flags, const WorkloadFlags& workload) {
  std::vector<NamedItem> items;
  reader.read(parse_items("--guest", flags.guests), items);
  std::vector<GuestChoice> choices;
  for (const NamedItem& item : items) {
    if (item.name == kLinuxGuest) {
      choices.push_back({item.name, {}, item.keys});
      continue;
    }
    reader.check(check_guest("--guest", item.name));
    WorkloadFlags own;
    for (const auto& [key, value] : item.keys) {
      reader.check(set_workload_key(own, fmt::format("--guest {},{}", item.name, key), key, value));
    }
    choices.push_back({item.name, merged(workload, own), {}});
  }
  return choices;
}

std::vector<sched::Policy> read_policies(Reader& reader, const RunFlags& flags) {
  auto policies = sched::parse_policy_list(flags.policies);
  if (!policies) {
    reader.check(usage_error("--policy", policies.error()));
    return {};
  }
  for (sched::Policy& policy : *policies) reader.check(apply_policy_flags(policy, flags.policy_keys));
  return std::move(*policies);
}

VmSpec read_vm_defaults(Reader& reader, const RunFlags& flags) {
  VmSpec vm;
  reader.read(parse_ring("--ring", flags.ring), vm.ring);
  reader.read(parse_memory("--memory", flags.memory), vm.memory_bytes);
  reader.check(check_guest_args("--guest-args", flags.guest_args));
  vm.args = flags.guest_args;
  return vm;
}

std::vector<sched::Weight> read_weights(Reader& reader, const std::string& text) {
  if (text.empty()) return {sched::kDefaultWeight};
  std::vector<uint32_t> values;
  reader.read(parse_counts("--weight", text, {sched::kMinWeight.value, sched::kMaxWeight.value}), values);
  std::vector<sched::Weight> weights;
  for (const uint32_t value : values) weights.push_back({value});
  return weights;
}

// What nobody set: a load's processes need time to start, and only a look finds who busy-waits in Linux.
void settle_for_linux(const RunFlags& flags, RunSpec& spec) {
  if (!has_linux_guests(spec)) return;
  if (flags.warmup == kAuto) spec.warmup = kLinuxWarmup;
  if (flags.spin_detect == kAuto) spec.spin_detect = SpinDetect::kBoth;
}

Result<VmSpec> of_guest(const VmSpec& standard, const GuestChoice& guest) {
  VmSpec vm = standard;
  if (guest.is_linux()) {
    if (auto made = make_linux_guest("--guest linux", guest.linux_keys, vm); !made)
      return Failure(made.error());
    return vm;
  }
  vm.guest = guest.name;
  vm.workload = make_workload(guest.name, guest.workload);
  return vm;
}

Setup grid_setup(const RunSpec& common, VmSpec vm, uint32_t vms, uint32_t vcpus,
                 const std::vector<sched::Weight>& weights) {
  Setup setup{.spec = common, .takes_policy = std::vector<bool>(vms, true), .guest = {}, .size = {}};
  vm.vcpus = vcpus;
  for (uint32_t i = 0; i < vms; ++i) {
    vm.weight = weights[i % weights.size()];
    setup.spec.vms.push_back(vm);
  }
  name_grid(setup, weights);
  setup.vcpus_in_all = vms * vcpus;
  return setup;
}

Setup listed_setup(Reader& reader, const RunSpec& common, const RunFlags& flags, const VmDefaults& standard) {
  Setup setup{.spec = common, .takes_policy = {}, .guest = {}, .size = {}};
  for (const std::string& text : flags.vm) {
    bool takes_policy = true;
    VmSpec vm;
    reader.read(parse_vm(text, standard, &takes_policy), vm);
    setup.vcpus_in_all += vm.vcpus;
    setup.spec.vms.push_back(std::move(vm));
    setup.takes_policy.push_back(takes_policy);
  }
  name_listed(setup);
  return setup;
}

Result<void> check_setup(const Setup& setup) {
  if (setup.vcpus_in_all > kMaxTotalVcpus) {
    return bad_value("--vms, --vcpus", setup.size, fmt::format("at most {} vCPUs in all", kMaxTotalVcpus));
  }
  for (const VmSpec& vm : setup.spec.vms) {
    if (vm.linux_guest) {
      if (setup.spec.backend == Backend::kSim) {
        return bad_value("--guest", vm.guest,
                         "with --backend sim a built-in guest: the simulator runs no code");
      }
      continue;
    }
    const GuestInfo* info = find_guest(vm.guest);
    if (info == nullptr) {
      if (setup.spec.backend == Backend::kSim) {
        return bad_value("--guest", vm.guest,
                         "with --backend sim a built-in guest: the simulator runs no code");
      }
      continue;
    }
    if (vm.vcpus < info->min_vcpus) {
      return bad_value("--vcpus", std::to_string(vm.vcpus),
                       fmt::format("at least {} for guest {}", info->min_vcpus, vm.guest));
    }
    if (vm.guest == "abuse") {
      if (const auto kind = parse_abuse(vm.args, vm.vcpus); !kind) return tl::unexpected(kind.error());
    }
    const kvmux_workload& w = vm.workload;
    if (vm.guest == "ipi" && w.fanout != KVMUX_FANOUT_ALL && w.fanout >= vm.vcpus) {
      return bad_value("--fanout", std::to_string(w.fanout),
                       fmt::format("all, or 1 to {} with {} vCPUs", vm.vcpus - 1, vm.vcpus));
    }
    if (vm.guest == "ipi" && w.senders > vm.vcpus) {
      return bad_value("--senders", std::to_string(w.senders), fmt::format("0 to {} here", vm.vcpus));
    }
  }
  return {};
}

void warn_of_rounding(const RunFlags& flags, uint64_t standard_bytes, Request& request) {
  auto words = rounding_words("--memory", flags.memory, standard_bytes);
  if (words) request.warnings.push_back(std::move(*words));
  if (flags.vm.empty()) return;
  for (const VmSpec& vm : request.setups.front().spec.vms) {
    if (vm.memory_bytes == standard_bytes) continue;
    words = rounding_words("--vm memory", fmt::format("{}K", vm.memory_bytes >> 10), vm.memory_bytes);
    if (words) request.warnings.push_back(std::move(*words));
  }
}

}  // namespace

HostLimits host_limits() { return {allowed_cpus()}; }

Result<Request> interpret(const RunFlags& flags, Nanos default_seconds, HostLimits limits) {
  Reader reader;
  Request request;
  RunSpec common = read_common(reader, flags, default_seconds);
  CarriersAsked carriers;
  reader.read(parse_carriers(flags.carriers), carriers);
  common.carriers = carriers.standard;
  request.cpus = read_cpus(reader, flags, limits, common.backend);
  WorkloadFlags workload;
  for (const auto& [key, value] : flags.workload) {
    reader.check(set_workload_key(workload, "--" + key, key, value));
  }
  const auto choices = read_guests(reader, flags, workload);
  VmSpec standard = read_vm_defaults(reader, flags);
  std::vector<uint32_t> vms;
  std::vector<uint32_t> vcpus;
  reader.read(parse_counts("--vms", flags.vms, {1, kMaxVms}), vms);
  reader.read(parse_counts("--vcpus", flags.vcpus, {1, kMaxVcpusPerVm}), vcpus);
  const auto weights = read_weights(reader, flags.weights);
  request.policies = read_policies(reader, flags);
  reader.read(carriers_by_policy(carriers, request.policies.size()), request.carriers);
  if (reader.error()) return tl::unexpected(*reader.error());

  if (!flags.vm.empty()) {
    reader.read(of_guest(standard, choices.front()), standard);
    standard.vcpus = vcpus.front();
    request.setups.push_back(
        listed_setup(reader, common, flags, {standard, choices.front().workload, flags.policy_keys}));
  } else {
    for (const GuestChoice& guest : choices) {
      VmSpec vm;
      reader.read(of_guest(standard, guest), vm);
      for (const uint32_t vcpu_count : vcpus) {
        for (const uint32_t vm_count : vms) {
          request.setups.push_back(grid_setup(common, vm, vm_count, vcpu_count, weights));
        }
      }
    }
  }
  if (reader.error()) return tl::unexpected(*reader.error());
  for (Setup& setup : request.setups) {
    settle_for_linux(flags, setup.spec);
    reader.check(check_setup(setup));
  }
  if (reader.error()) return tl::unexpected(*reader.error());
  const size_t cpus = request.cpus.empty() ? limits.cpus.size() : request.cpus.size();
  if (common.backend == Backend::kKvm && common.workers > cpus) {
    request.warnings.push_back(fmt::format(
        "--workers {}: only {} CPUs are allowed here, so workers share CPUs", common.workers, cpus));
  }
  warn_of_rounding(flags, standard.memory_bytes, request);
  return request;
}

}  // namespace vmm
