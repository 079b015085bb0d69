#include "vmm/cli/boot_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>

#include "sched/policy/parse.h"
#include "vmm/cli/changes.h"
#include "vmm/cli/empty_values.h"
#include "vmm/cli/flags.h"
#include "vmm/cli/spec.h"
#include "vmm/cli/values.h"
#include "vmm/load/layout.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 2> kProfiles{"host", "minimal"};
constexpr std::array<std::string_view, 2> kParavirts{"none", "kvm"};
constexpr std::array<std::string_view, 2> kIrqchips{"user", "split"};
constexpr std::array<std::string_view, 2> kConsoles{"wait", "drop"};
// Behind auto in the order of BootFormat.
constexpr std::array<std::string_view, 8> kFormats{"auto",  "flat", "elf",        "multiboot",
                                                   "linux", "pvh",  "multiboot2", "vmlinux"};

Result<void> read_image_flags(const BootOptions& options, BootImage& boot) {
  constexpr uint64_t kMostAddress = 0xffffffff;
  boot.cmdline = options.cmdline;
  const auto format = parse_word("--format", options.format, kFormats);
  if (!format) return Failure(format.error());
  if (*format > 0) boot.format = static_cast<BootFormat>(*format - 1);
  const auto address = parse_address("--load-at", options.load_at, kMostAddress);
  if (!address) return Failure(address.error());
  boot.flat_address = Gpa{*address};
  for (const std::string& module : options.modules) {
    if (const auto name = module_file(module); !name) return Failure(name.error());
  }
  return {};
}

Result<void> read_policy(const BootOptions& options, BootSpec& spec) {
  const auto irqchip = parse_word("--irqchip", options.irqchip, kIrqchips);
  if (!irqchip) return Failure(irqchip.error());
  spec.irqchip = static_cast<Irqchip>(*irqchip);
  const auto event_loop = parse_word("--event-loop", options.event_loop, kEventLoopWords);
  if (!event_loop) return Failure(event_loop.error());
  spec.event_loop = static_cast<EventLoopKind>(*event_loop);
  const auto carriers = parse_word("--carriers", options.carriers, kCarrierWords);
  if (!carriers) return Failure(carriers.error());
  spec.carriers = static_cast<Carriers>(*carriers);
  const std::string standard = spec.irqchip == Irqchip::kSplit ? "host" : "yield";
  auto policy = sched::parse_policy(options.policy.empty() ? standard : options.policy);
  if (!policy) return usage_error("--policy", policy.error());
  spec.policy = std::move(*policy);
  if (auto applied = apply_policy_flags(spec.policy, options.policy_keys); !applied) return applied;
  if (const auto carried = sched::check_carried(spec.policy); !carried) return usage_error("--policy", carried.error());
  const auto profile = parse_word("--cpu-profile", options.cpu_profile, kProfiles);
  if (!profile) return Failure(profile.error());
  spec.cpu_profile = static_cast<CpuProfile>(*profile);
  const auto paravirt = parse_word("--paravirt", options.paravirt, kParavirts);
  if (!paravirt) return Failure(paravirt.error());
  spec.paravirt = static_cast<Paravirt>(*paravirt);
  return {};
}

Result<void> read_sizes(const BootOptions& options, const HostLimits& limits, BootSetup& setup) {
  BootSpec& spec = setup.spec;
  constexpr uint64_t kLeast = uint64_t{4} << 20;
  const auto memory = parse_size("--mem", options.memory, {kLeast, kMaxMemoryBytes});
  if (!memory) return Failure(memory.error());
  spec.memory_bytes = whole_huge_pages(*memory);
  if (auto words = rounding_words("--mem", options.memory, *memory)) {
    setup.warnings.push_back(std::move(*words));
  }
  const auto vcpus = parse_count("--vcpus", options.vcpus, {1, kMaxVcpus});
  if (!vcpus) return Failure(vcpus.error());
  spec.vcpus = static_cast<uint32_t>(*vcpus);
  const auto workers = parse_count("--workers", options.workers, {1, kMaxWorkers});
  if (!workers) return Failure(workers.error());
  spec.workers = static_cast<uint32_t>(*workers);
  if (!options.cpus.empty()) {
    auto cpus = parse_cpus("--cpus", options.cpus, limits.cpus);
    if (!cpus) return Failure(cpus.error());
    setup.cpus = std::move(*cpus);
  }
  const auto seed = parse_count("--seed", options.seed, {0, INT64_MAX});
  if (!seed) return Failure(seed.error());
  spec.seed = static_cast<uint64_t>(*seed);
  const auto stall = parse_stall(options.stall);
  if (!stall) return Failure(stall.error());
  spec.stall = *stall;
  const auto every = parse_loses_wakeups(options.loses_wakeups);
  if (!every) return Failure(every.error());
  spec.loses_wakeups = *every;
  if (options.timeout.empty()) return {};
  const auto timeout = parse_seconds("--timeout", options.timeout, 1ms, 24h);
  if (!timeout) return Failure(timeout.error());
  spec.timeout = *timeout;
  return {};
}

}  // namespace

Result<BootSetup> read_boot_options(const BootOptions& options, const HostLimits& limits) {
  BootSetup setup;
  if (auto ok = read_policy(options, setup.spec); !ok) return Failure(ok.error());
  if (auto ok = read_sizes(options, limits, setup); !ok) return Failure(ok.error());
  const auto console = parse_word("--console", options.console, kConsoles);
  if (!console) return Failure(console.error());
  setup.drop_console = *console == 1;
  VmSpec vm;
  vm.policy = setup.spec.policy;
  auto changes = parse_changes(options.at, {vm}, options.policy_keys);
  if (!changes) return Failure(changes.error());
  setup.spec.changes = std::move(*changes);
  if (auto ok = read_image_flags(options, setup.spec.image); !ok) return Failure(ok.error());
  return setup;
}

Result<std::string> module_file(const std::string& text) {
  constexpr std::string_view kAccepted = "FILE, or FILE and a text after a space; \"a name\" in quotes";
  const char quote = text.empty() ? '\0' : text.front();
  if (quote != '"' && quote != '\'') {
    std::string name = text.substr(0, text.find(' '));
    if (name.empty()) return bad_value("--module", text, kAccepted);
    return name;
  }
  std::string name;
  for (size_t at = 1; at < text.size(); ++at) {
    if (text[at] == quote) {
      const bool ends = at + 1 == text.size() || text[at + 1] == ' ';
      if (!ends || name.empty()) break;
      return name;
    }
    const bool escapes = quote == '"' && text[at] == '\\' && at + 1 < text.size() &&
                         (text[at + 1] == '"' || text[at + 1] == '\\');
    if (escapes) ++at;
    name += text[at];
  }
  return bad_value("--module", text, kAccepted);
}

void add_boot_flags(CLI::App& app, BootOptions& o) {
  app.add_option("image", o.image,
                 "Multiboot (1 or 2) or PVH image, Linux bzImage or vmlinux, ELF or flat binary")
      ->required()
      ->type_name("IMAGE");
  app.add_option("--initrd,--module", o.modules,
                 "a file to load along: Linux's initrd, or a Multiboot module (a text may follow the name, "
                 "after a space; quote a name that has spaces); repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--cmdline", o.cmdline, "the kernel's command line")->type_name(kTextType);
  app.add_option("--symbols", o.symbols,
                 "names of the kernel's code: a vmlinux, a System.map or the text of /proc/kallsyms; says at the end "
                 "where vCPUs were found spinning and taken off, and names places in dumps")
      ->type_name("FILE");
  const auto add = [&app](const char* flag, std::string& value, const char* help, const char* type) {
    CLI::Option* option = app.add_option(flag, value, help)->type_name(type);
    if (!value.empty()) option->default_str(value);
  };
  add("--mem", o.memory, "guest memory, 4M to 3G, in steps of 2M", "SIZE");
  add("--vcpus", o.vcpus, "virtual CPUs", "N");
  add("--workers", o.workers, "host threads that run them", "N");
  add("--cpus", o.cpus, kCpusHelp, kCpusType);
  add("--policy", o.policy, "scheduling policy, as for `kvmux run`; yield, or host with --irqchip split",
      "POLICY");
  add_at_flag(app, o.at);
  add("--cpu-profile", o.cpu_profile, "host: all that KVM offers; minimal: x86-64 with SSE4 only",
      "host|minimal");
  add("--paravirt", o.paravirt,
      "kvm: CPUID says KVM, with KVM's clock and with steal time; none: it says kvmux and offers nothing",
      "kvm|none");
  add("--irqchip", o.irqchip, "user: local APICs in kvmux; split: in KVM, a thread for each vCPU",
      "user|split");
  add("--event-loop", o.event_loop,
      "what workers without a vCPU sleep on; auto: io_uring, or epoll where the host forbids it",
      "auto|io_uring|epoll");
  add("--carriers", o.carriers, kCarriersHelp, "auto|on|off");
  add("--timeout", o.timeout, "end the guest after this time, with status 1", "TIME");
  add("--stall", o.stall, kStallHelp, kStallType);
  app.add_option(kLosesWakeups, o.loses_wakeups)->group("");  // not in --help
  add("--format", o.format, "what the image is", "auto|flat|elf|multiboot|multiboot2|linux|vmlinux|pvh");
  add("--load-at", o.load_at, "where a flat image goes: real mode below 1 MiB, protected mode above",
      "ADDRESS");
  add("--seed", o.seed, "of the scheduler", "N");
  add("--console", o.console,
      "output that nobody reads is held up to 1 MiB; then the guest waits, or the rest is dropped and "
      "counted",
      "wait|drop");
  add_trace_flags(app, o.trace);
  add_live_flag(app, o.live);
  add_policy_keys(app, o.policy_keys);
}

}  // namespace vmm
