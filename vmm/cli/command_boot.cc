// `kvmux boot`: an image that knows nothing of kvmux, on a PC board, its console on this terminal.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <memory>
#include <ostream>

#include "sched/policy/parse.h"
#include "vmm/cli/command.h"
#include "vmm/cli/terminal.h"
#include "vmm/cli/values.h"
#include "vmm/load/elf.h"
#include "vmm/load/layout.h"
#include "vmm/output/standard.h"
#include "vmm/platform/boot.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

struct BootOptions {
  std::string image;
  std::vector<std::string> modules;
  std::string cmdline;
  std::string memory = "128M";
  std::string vcpus = "1";
  std::string workers = "2";
  std::string policy;
  std::string cpu_profile = "host";
  std::string irqchip = "user";
  std::string timeout;
  std::string format = "auto";
  std::string load_at = "0x7c00";
  std::string seed = "1";
  std::string console = "wait";
};

constexpr std::array<std::string_view, 2> kProfiles{"host", "minimal"};
constexpr std::array<std::string_view, 2> kIrqchips{"user", "split"};
constexpr std::array<std::string_view, 2> kConsoles{"wait", "drop"};
constexpr std::array<std::string_view, 5> kFormats{"auto", "flat", "elf", "multiboot", "linux"};

// The files and what is made of them; the spec points into it.
struct Loaded {
  std::vector<std::byte> image;
  std::vector<std::vector<std::byte>> module_files;
  std::vector<BootModule> modules;
  BootSpec spec;
};

Result<uint64_t> parse_address(std::string_view flag, const std::string& value) {
  constexpr uint64_t kMost = 0xffffffff;
  char* end = nullptr;
  errno = 0;
  const uint64_t address = std::strtoull(value.c_str(), &end, 0);
  const bool good = !value.empty() && value.front() != '-' && *end == '\0' && errno == 0 && address <= kMost;
  if (!good) return bad_value(flag, value, "an address below 4 GiB, like 0x7c00");
  return address;
}

// `FILE TEXT…`: the text goes to the guest with the file's name before it.
Result<void> read_modules(const BootOptions& options, Loaded& loaded) {
  for (const std::string& text : options.modules) {
    auto file = read_image_file(text.substr(0, text.find(' ')));
    if (!file) return Failure(file.error());
    loaded.module_files.push_back(std::move(*file));
  }
  for (size_t i = 0; i < options.modules.size(); ++i) {
    loaded.modules.push_back({loaded.module_files[i], options.modules[i]});
  }
  return {};
}

Result<void> read_files(const BootOptions& options, Loaded& loaded) {
  auto image = read_image_file(options.image);
  if (!image) return Failure(image.error());
  loaded.image = std::move(*image);
  if (auto read = read_modules(options, loaded); !read) return read;
  BootImage& boot = loaded.spec.image;
  boot.file = loaded.image;
  boot.modules = loaded.modules;
  boot.cmdline = options.cmdline;
  const auto format = parse_word("--format", options.format, kFormats);
  if (!format) return Failure(format.error());
  if (*format > 0) boot.format = static_cast<BootFormat>(*format - 1);
  const auto address = parse_address("--load-at", options.load_at);
  if (!address) return Failure(address.error());
  boot.flat_address = Gpa{*address};
  return {};
}

Result<void> read_policy(const BootOptions& options, BootSpec& spec) {
  const auto irqchip = parse_word("--irqchip", options.irqchip, kIrqchips);
  if (!irqchip) return Failure(irqchip.error());
  spec.irqchip = static_cast<Irqchip>(*irqchip);
  const std::string standard = spec.irqchip == Irqchip::kSplit ? "host" : "yield";
  auto policy = sched::parse_policy(options.policy.empty() ? standard : options.policy);
  if (!policy) return usage_error("--policy", policy.error());
  spec.policy = std::move(*policy);
  const auto profile = parse_word("--cpu-profile", options.cpu_profile, kProfiles);
  if (!profile) return Failure(profile.error());
  spec.cpu_profile = static_cast<CpuProfile>(*profile);
  return {};
}

Result<void> read_sizes(const BootOptions& options, BootSpec& spec) {
  constexpr uint64_t kLeast = uint64_t{4} << 20;
  constexpr uint64_t kStep = uint64_t{2} << 20;
  const auto memory = parse_size("--mem", options.memory, kMaxMemoryBytes);
  if (!memory) return Failure(memory.error());
  if (*memory < kLeast) return bad_value("--mem", options.memory, "4M to 3G");
  spec.memory_bytes = (*memory + kStep - 1) / kStep * kStep;
  const auto vcpus = parse_count("--vcpus", options.vcpus, {1, kMaxVcpus});
  if (!vcpus) return Failure(vcpus.error());
  spec.vcpus = static_cast<uint32_t>(*vcpus);
  const auto workers = parse_count("--workers", options.workers, {1, kMaxWorkers});
  if (!workers) return Failure(workers.error());
  spec.workers = static_cast<uint32_t>(*workers);
  const auto seed = parse_count("--seed", options.seed, {0, INT64_MAX});
  if (!seed) return Failure(seed.error());
  spec.seed = static_cast<uint64_t>(*seed);
  if (options.timeout.empty()) return {};
  const auto timeout = parse_seconds("--timeout", options.timeout, 1ms, 24h);
  if (!timeout) return Failure(timeout.error());
  spec.timeout = *timeout;
  return {};
}

// What the guest prints goes out in order with what kvmux prints. With drop, what the buffer has no room for
// is counted instead of waited for.
class GuestConsole {
 public:
  explicit GuestConsole(bool drops) : drops_(drops) {}

  // No keys: nobody types.
  BootConsole connect(EscapeKeys* keys) {
    BootConsole console;
    console.output = [this](std::span<const uint8_t> bytes) { write(bytes); };
    console.input = STDIN_FILENO;
    if (!drops_) {
      console.ready = [] { return standard_output().ready(kConsoleBuffer); };
      console.when_ready = [](std::function<void()> call) { standard_output().when_ready(std::move(call)); };
    }
    if (keys != nullptr) {
      console.filter = [keys](std::span<const uint8_t> typed, std::vector<uint8_t>& for_guest) {
        return keys->filter(typed, for_guest);
      };
    }
    return console;
  }
  [[nodiscard]] uint64_t dropped() const { return dropped_; }

 private:
  void write(std::span<const uint8_t> bytes) {
    if (drops_ && !standard_output().ready(kConsoleBuffer)) {
      dropped_ += bytes.size();
      return;
    }
    standard_output().put({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

  const bool drops_;
  uint64_t dropped_ = 0;  // by one caller at a time; read when the guest has ended
};

// The guest has ended or has to: its output may go on until the time-out, unless the user waits.
void finish_console(const BootResult& result, std::optional<Nanos> deadline) {
  if (result.end == BootEnd::kTimeout || result.end == BootEnd::kStopped) hurry_readers();
  (void)wait_for_readers(standard_output(), deadline);
}

Result<BootResult> run_guest(const BootOptions& options, const BootSpec& spec, Services& services) {
  services.out.flush();
  const auto mode = parse_word("--console", options.console, kConsoles);
  if (!mode) return Failure(mode.error());
  GuestConsole guest(*mode == 1);
  std::optional<Nanos> deadline;
  if (spec.timeout) deadline = monotonic_now() + *spec.timeout;
  Result<BootResult> result;
  {
    EscapeKeys keys;
    const RawTerminal terminal(STDIN_FILENO);
    result = boot(spec, guest.connect(terminal.active() ? &keys : nullptr), services.control.stop);
  }
  if (!result) return result;
  finish_console(*result, deadline);
  result->lost.written += guest.dropped();
  return result;
}

void report_losses(const BootResult& result, const BootOptions& options, Services& services) {
  if (const uint64_t count = result.lost.written; count > 0) {
    services.err << fmt::format(
        "kvmux: --console {}: {} bytes that the guest printed are lost: {}\n", options.console, count,
        options.console == "drop" ? "nobody read them in time" : "it did not wait until the line was free");
  }
  if (const uint64_t count = result.lost.typed; count > 0) {
    services.err << fmt::format("kvmux: {} typed bytes are lost: the guest did not read them\n", count);
  }
}

int report(const BootResult& result, const BootSpec& spec, Services& services) {
  if (const uint64_t count = result.unclaimed.total(); count > 0) {
    services.err << fmt::format(
        "kvmux: {} accesses that no device claims: ports {} read, {} written; memory {} read, {} written\n",
        count, result.unclaimed.port_reads, result.unclaimed.port_writes, result.unclaimed.mmio_reads,
        result.unclaimed.mmio_writes);
  }
  switch (result.end) {
    case BootEnd::kExit:
      return result.exit_code;
    case BootEnd::kReset:
      services.err << "kvmux: the guest reset its machine\n";
      return kExitOk;
    case BootEnd::kFailed:
      services.err << "kvmux: " << result.failure << "\n";
      return kExitGuest;
    case BootEnd::kTimeout:
      services.err << fmt::format("kvmux: --timeout: the guest was still running after {} s\n",
                                  std::chrono::duration<double>(*spec.timeout).count());
      return kExitGuest;
    case BootEnd::kStopped:
      break;
  }
  return services.control.stop.load() ? kExitInterrupted : kExitOk;
}

Result<int> execute(const BootOptions& options, Services& services) {
  Loaded loaded;
  if (auto ok = read_policy(options, loaded.spec); !ok) return Failure(ok.error());
  if (auto ok = read_sizes(options, loaded.spec); !ok) return Failure(ok.error());
  if (auto ok = read_files(options, loaded); !ok) return Failure(ok.error());
  const auto result = run_guest(options, loaded.spec, services);
  if (!result) return Failure(result.error());
  report_losses(*result, options, services);
  return report(*result, loaded.spec, services);
}

void add_flags(CLI::App& app, BootOptions& o) {
  app.add_option("image", o.image, "Multiboot image, Linux bzImage, ELF or flat binary")
      ->required()
      ->type_name("IMAGE");
  app.add_option("--initrd,--module", o.modules,
                 "a file to load along: Linux's initrd, or a Multiboot module (a "
                 "text may follow the name, after a space); repeatable")
      ->type_name("FILE");
  app.add_option("--cmdline", o.cmdline, "the kernel's command line")->type_name("TEXT");
  const auto add = [&app](const char* flag, std::string& value, const char* help, const char* type) {
    CLI::Option* option = app.add_option(flag, value, help)->type_name(type);
    if (!value.empty()) option->default_str(value);
  };
  add("--mem", o.memory, "guest memory, 4M to 3G", "SIZE");
  add("--vcpus", o.vcpus, "virtual CPUs", "N");
  add("--workers", o.workers, "host threads that run them", "N");
  add("--policy", o.policy, "scheduling policy, as for `kvmux run`; yield, or host with --irqchip split",
      "POLICY");
  add("--cpu-profile", o.cpu_profile, "host: all that KVM offers; minimal: x86-64 with SSE4 only",
      "host|minimal");
  add("--irqchip", o.irqchip, "user: local APICs in kvmux; split: in KVM, a thread for each vCPU",
      "user|split");
  add("--timeout", o.timeout, "end the guest after this time, with status 1", "TIME");
  add("--format", o.format, "what the image is", "auto|flat|elf|multiboot|linux");
  add("--load-at", o.load_at, "where a flat image goes: real mode below 1 MiB, protected mode above",
      "ADDRESS");
  add("--seed", o.seed, "of the scheduler", "N");
  add("--console", o.console,
      "output that nobody reads is held up to 1 MiB; then the guest waits, or the rest is dropped and "
      "counted",
      "wait|drop");
}

}  // namespace

Command add_boot(CLI::App& parent) {
  const auto options = std::make_shared<BootOptions>();
  CLI::App* app =
      parent.add_subcommand("boot", "boot an image on a PC board, its console here; Ctrl-A X leaves");
  add_flags(*app, *options);
  return {app, [options](Services& services) { return execute(*options, services); }};
}

}  // namespace vmm
