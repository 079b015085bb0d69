// `kvmux run`: one configuration, measured and printed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "vmm/cli/command.h"
#include "vmm/cli/progress.h"
#include "vmm/cli/run_json.h"
#include "vmm/cli/run_text.h"
#include "vmm/stats/plan.h"
#include "vmm/trace/recorder.h"
#include "vmm/trace/trace_file.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

struct RunOptions {
  RunFlags flags;
  std::string repeat = "1";
  std::string json;
  std::string trace;
  std::string trace_events = "1000000";
  bool per_vcpu = false;
};

// A run, and those that it was asked to choose its CPUs from.
struct Single {
  RunSpec spec;
  std::vector<int> cpus;
};

Result<Single> single_run(const RunOptions& options, Services& services) {
  auto request = interpret(options.flags, 2s, services.limits);
  if (!request) return tl::unexpected(request.error());
  if (request->setups.size() != 1) {
    return usage_error("--guest, --vms, --vcpus", "a run has one configuration; `kvmux compare` takes lists");
  }
  if (request->policies.size() != 1) {
    return bad_value("--policy", options.flags.policies, "one policy; `kvmux compare` takes a list");
  }
  print_warnings(*request, services.err);
  auto spec = with_policy(request->setups.front(), request->policies.front());
  if (!spec) return tl::unexpected(spec.error());
  return Single{std::move(*spec), std::move(request->cpus)};
}

Result<std::unique_ptr<TraceRecorder>> recorder_for(const RunOptions& options, const RunSpec& spec,
                                                    int64_t repeat) {
  if (options.trace.empty()) return nullptr;
  if (repeat != 1) return usage_error("--trace, --repeat", "a trace is of one run");
  if (spec.backend != Backend::kSim) {
    return usage_error("--trace", "a run on KVM is not traced; accepted with `kvmux sim run`");
  }
  const auto events = parse_count("--trace-events", options.trace_events, {1024, int64_t{1} << 30});
  if (!events) return Failure(events.error());
  return std::make_unique<TraceRecorder>(spec.workers, static_cast<size_t>(*events));
}

Result<void> write_trace_of(const RunOptions& options, const RunSpec& spec, const RunResult& result,
                            const TraceRecorder& recorder, const Services& services) {
  Trace trace;
  for (const VmSpec& vm : spec.vms) trace.vms.push_back({vm.guest, vm.policy.name, vm.vcpus});
  trace.workers = spec.workers;
  trace.backend = std::string{backend_name(spec.backend)};
  trace.command = fmt::format("{}", fmt::join(services.command_line, " "));
  trace.window_begin = result.window_begin.count();
  trace.window_end = (result.window_begin + result.window).count();
  auto content = recorder.content();
  trace.lost = content.lost;
  trace.events = std::move(content.events);
  return write_trace(options.trace, trace);
}

Result<int> execute(const RunOptions& options, Services& services) {
  const auto repeat = parse_count("--repeat", options.repeat, {1, 1'000'000});
  if (!repeat) return tl::unexpected(repeat.error());
  auto single = single_run(options, services);
  if (!single) return tl::unexpected(single.error());
  RunSpec* const spec = &single->spec;
  const bool simulated = spec->backend == Backend::kSim;
  const CpuChoice cpus = simulated ? CpuChoice{} : services.choose_cpus(spec->workers, single->cpus);
  const auto recorder = recorder_for(options, *spec, *repeat);
  if (!recorder) return tl::unexpected(recorder.error());
  if (auto confined = confine(services, files_read_by(*spec), {options.json, options.trace}); !confined) {
    return tl::unexpected(confined.error());
  }
  const uint64_t seed = spec->seed;
  const VcpuDetail detail = options.per_vcpu ? VcpuDetail::kAlways : VcpuDetail::kAuto;

  Progress progress(services.err, services.err_is_terminal, services.now);
  progress.plan(static_cast<size_t>(*repeat), 0);
  services.control.progress = [&progress](double share) { progress.update(share); };
  std::vector<FinishedRun> runs;
  std::optional<Error> error;
  bool guest_failed = false;
  for (int64_t i = 0; i < *repeat && !services.control.stop && !error; ++i) {
    // The first run has the seed itself, so that `--seed` repeats any run of a longer series.
    spec->seed = i == 0 ? seed : block_seed(seed, static_cast<uint32_t>(i));
    progress.begin(run_title(*spec));
    services.control.trace = recorder->get();
    auto result = services.run(*spec, services.control);
    services.control.trace = nullptr;
    progress.clear();
    if (!result) {
      error = result.error();
      break;
    }
    guest_failed = guest_failed || has_guest_failure(*result);
    if (*recorder != nullptr) {
      const auto written = write_trace_of(options, *spec, *result, **recorder, services);
      if (!written) error = written.error();
    }
    if (options.json != "-") {
      services.out << (i == 0 ? "" : "\n") << run_text(*spec, *result, detail);
      if (!simulated) services.out << "CPUs: " << cpus.words() << "\n";
      services.out << std::flush;
    }
    runs.push_back({*spec, std::move(*result)});
  }
  services.control.progress = nullptr;
  if (!options.json.empty() && !runs.empty()) {
    const std::string text =
        dump(run_document(services.command_line, services.host, simulated ? Json{} : cpus_json(cpus), runs),
             2) +
        "\n";
    if (const auto written = write_output("--json", options.json, text, services.out); !written) {
      return tl::unexpected(written.error());
    }
  }
  if (error) return tl::unexpected(*error);
  if (services.control.stop) return kExitInterrupted;
  return guest_failed ? kExitGuest : kExitOk;
}

}  // namespace

Command add_run(CLI::App& parent, Backend backend) {
  const auto options = std::make_shared<RunOptions>();
  options->flags.backend = std::string{backend_name(backend)};
  CLI::App* app = parent.add_subcommand("run", "run one configuration and print what happened");
  add_run_flags(*app, options->flags, FlagSet::kSingle);
  app->add_option("--repeat", options->repeat, "run it so often, each time with another seed")
      ->type_name("N")
      ->default_str(options->repeat);
  app->add_option("--json", options->json, "also write everything as JSON; - writes it instead of the text")
      ->type_name("FILE|-");
  app->add_option("--trace", options->trace,
                  "also write what happened, event by event (`kvmux trace` reads it)")
      ->type_name("FILE");
  app->add_option("--trace-events", options->trace_events, "events kept a worker; older ones give way")
      ->type_name("N")
      ->default_str(options->trace_events);
  app->add_flag("--per-vcpu", options->per_vcpu, "a line for each vCPU, however many there are");
  return {app, [options](Services& services) { return execute(*options, services); }};
}

}  // namespace vmm
