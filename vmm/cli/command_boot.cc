// `kvmux boot`: an image that knows nothing of kvmux, on a PC board, its console on this terminal.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <memory>
#include <ostream>

#include "vmm/cli/boot_options.h"
#include "vmm/cli/command.h"
#include "vmm/cli/table.h"
#include "vmm/cli/terminal.h"
#include "vmm/live/view.h"
#include "vmm/load/elf.h"
#include "vmm/output/standard.h"
#include "vmm/platform/boot.h"
#include "vmm/platform/boot_engine.h"
#include "vmm/run/moves.h"
#include "vmm/run/setup.h"
#include "vmm/stats/site_figures.h"

namespace vmm {
namespace {

// The files and what is made of them; the spec points into it.
struct Loaded {
  std::vector<std::byte> image;
  std::vector<std::vector<std::byte>> module_files;
  std::vector<BootModule> modules;
  BootSpec spec;
};

// A module's name may have spaces, which is not what it says unquoted.
Result<void> read_modules(const BootOptions& options, Loaded& loaded) {
  for (const std::string& text : options.modules) {
    const auto name = module_file(text);
    if (!name) return Failure(name.error());
    auto file = read_image_file(*name);
    if (!file && text.size() > name->size() && text.front() == name->front()) {
      Error error = file.error();
      error.message += error.message.empty() ? "" : ": ";
      error.message += "a name with spaces must be quoted: --module '\"my file\" text'";
      return Failure(std::move(error));
    }
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
  if (!options.symbols.empty()) {
    auto symbols = read_symbols(options.symbols);
    if (!symbols) return usage_error("--symbols", symbols.error().text());
    loaded.spec.symbols = std::move(*symbols);
  }
  loaded.spec.image.file = loaded.image;
  loaded.spec.image.modules = loaded.modules;
  return {};
}

// What the guest prints goes out in order with what kvmux prints. With drop, what the buffer has no room for
// is counted instead of waited for. With a view it is shown there, and goes out only if that is another
// place.
class GuestConsole {
 public:
  GuestConsole(bool drops, LiveView* view)
      : drops_(drops), view_(view), goes_out_(view == nullptr || !view->has_output()) {}

  // No keys: nobody types.
  BootConsole connect(EscapeKeys* keys) {
    BootConsole console;
    console.output = [this](std::span<const uint8_t> bytes) { write(bytes); };
    console.input = STDIN_FILENO;
    if (!drops_ && goes_out_) {
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
    if (view_ != nullptr) view_->print(bytes);
    if (!goes_out_) return;
    if (drops_ && !standard_output().ready(kConsoleBuffer)) {
      dropped_ += bytes.size();
      return;
    }
    standard_output().put({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

  const bool drops_;
  LiveView* const view_;
  const bool goes_out_;
  uint64_t dropped_ = 0;  // by one caller at a time; read when the guest has ended
};

// The guest has ended or has to: its output may go on until the time-out, unless the user waits.
void finish_console(const BootResult& result, std::optional<Nanos> deadline) {
  if (result.end == BootEnd::kTimeout || result.end == BootEnd::kStopped) hurry_readers();
  (void)wait_for_readers(standard_output(), deadline);
}

Result<BootResult> run_guest(bool drop_console, const BootSpec& spec, LiveView* view, Services& services) {
  services.out.flush();
  GuestConsole guest(drop_console, view);
  std::optional<Nanos> deadline;
  if (spec.timeout) deadline = monotonic_now() + *spec.timeout;
  Result<BootResult> result;
  {
    EscapeKeys keys(view == nullptr ? std::function<void(uint8_t)>()
                                    : [view](uint8_t key) { view->type(key); });
    std::optional<RawTerminal> terminal;  // a view has it already
    if (view == nullptr) terminal.emplace(STDIN_FILENO);
    BootConsole console = guest.connect(view != nullptr || terminal->active() ? &keys : nullptr);
    console.say = services.control.say;
    console.keep_trace = services.control.keep_trace;
    console.input_lost = [&](const std::string& why) { services.err << "kvmux: " << why << std::endl; };
    result = boot(spec, console, services.control.stop);
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

// Where the vCPUs' time went between the changes of the policy.
void report_sections(const BootResult& result, Services& services) {
  if (result.sections.empty()) return;
  std::vector<std::string> titles{"<from", "<policy"};
  for (const LedgerColumn& column : ledger_columns()) titles.emplace_back(column.name);
  titles.insert(titles.end(), {"spin exits", "switches"});
  Table table(titles);
  for (const BootSection& section : result.sections) {
    std::vector<std::string> row{human_time(section.from), section.policy};
    const auto whole = static_cast<double>(section.ledger.sum().count());
    for (const LedgerColumn& column : ledger_columns()) {
      const auto part = static_cast<double>((section.ledger.*column.field).count());
      row.push_back(whole > 0 ? percent(part / whole) : "-");
    }
    row.push_back(grouped(section.sched.spin_exits));
    row.push_back(grouped(section.sched.switches_in));
    table.add(std::move(row));
  }
  services.err << table.text("kvmux: ");
}

// For who gave names.
void report_sites(const BootResult& result, const BootSpec& spec, Services& services) {
  if (spec.symbols.empty()) return;
  for (const auto& [how, sites] :
       {std::pair{"found spinning", &result.sites.spinning}, {"taken off", &result.sites.taken_off}}) {
    const std::string words = site_words(*sites);
    services.err << fmt::format("kvmux: vCPUs were {} {} times{}{}\n", how, grouped(samples_of(*sites)),
                                words.empty() ? "" : " in ", words);
  }
}

int report(const BootResult& result, const BootSpec& spec, Services& services) {
  if (const uint64_t count = result.unclaimed.total(); count > 0) {
    services.err << fmt::format(
        "kvmux: the guest looked for devices that this board does not have, {} accesses: ports {} read, {} "
        "written; memory {} read, {} written\n",
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
      if (!result.silence.empty()) services.err << "kvmux: " << result.silence << "\n";
      return result.stalled ? exit_status(ErrorKind::kHost) : kExitGuest;
    case BootEnd::kStopped:
      break;
  }
  return services.control.stop.load() ? kExitInterrupted : kExitOk;
}

// Null: none is asked for.
Result<std::unique_ptr<LiveView>> open_view(const BootOptions& options, Services& services) {
  if (!options.live) return nullptr;
  return LiveView::open(LiveView::Of::kBoot, services.control.stop);
}

// Before the sandbox closes: what is measured may be kept.
void say_moves(const BootSpec& spec, Services& services) {
  RunSpec run = as_run(spec);
  if (is_host_run(run)) return;
  const auto moves = weigh_moves(run, services.move_cost(run));
  if (moves) services.err << "kvmux: " << moves_text(*moves, run.backend) << "\n";
}

Result<int> execute(const BootOptions& options, Services& services) {
  auto setup = read_boot_options(options, services.limits);
  if (!setup) return Failure(setup.error());
  Loaded loaded;
  loaded.spec = std::move(setup->spec);
  if (auto ok = read_files(options, loaded); !ok) return Failure(ok.error());
  for (const std::string& warning : setup->warnings) services.err << "kvmux: warning: " << warning << "\n";
  loaded.spec.confine_caller = true;
  const auto tracer = RunTracer::open(options.trace, services.command_line);
  if (!tracer) return Failure(tracer.error());
  services.choose_cpus(setup->spec.workers, setup->cpus);
  say_moves(loaded.spec, services);
  auto view = open_view(options, services);
  if (!view) return Failure(view.error());
  if (auto confined = confine(services, {}, {}); !confined) return Failure(confined.error());
  if (*tracer != nullptr) {
    const auto recorder = (*tracer)->begin(loaded.spec);
    if (!recorder) return Failure(recorder.error());
    loaded.spec.trace = *recorder;
    services.control.keep_trace = (*tracer)->keeper();
  }
  if (*view != nullptr) {
    if (auto started = (*view)->start(); !started) return Failure(started.error());
    (*view)->set_title(fmt::format("boot  {}, {}", options.image, loaded.spec.policy.name));
    loaded.spec.observer = view->get();
  }
  const auto result = run_guest(setup->drop_console, loaded.spec, view->get(), services);
  services.control.keep_trace = nullptr;
  view->reset();  // what was printed meanwhile appears
  if (!result) return Failure(result.error());
  if (*tracer != nullptr) {
    if (const auto written = (*tracer)->end(loaded.spec, *result); !written) return Failure(written.error());
  }
  report_losses(*result, options, services);
  report_sections(*result, services);
  report_sites(*result, loaded.spec, services);
  return report(*result, loaded.spec, services);
}

}  // namespace

Command add_boot(CLI::App& parent) {
  const auto options = std::make_shared<BootOptions>();
  CLI::App* app =
      parent.add_subcommand("boot", "boot an image on a PC board, its console here; Ctrl-A X leaves");
  add_boot_flags(*app, *options);
  return {app, [options](Services& services) { return execute(*options, services); }};
}

}  // namespace vmm
