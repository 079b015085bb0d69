// `kvmux run`: one configuration, measured and printed.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "vmm/cli/changes.h"
#include "vmm/cli/command.h"
#include "vmm/cli/linux_guest.h"
#include "vmm/cli/progress.h"
#include "vmm/cli/run_json.h"
#include "vmm/cli/run_record.h"
#include "vmm/cli/run_text.h"
#include "vmm/cli/run_tracer.h"
#include "vmm/live/view.h"
#include "vmm/run/setup.h"
#include "vmm/stats/plan.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

struct RunOptions {
  RunFlags flags;
  std::string repeat = "1";
  std::string json;
  TraceFlags trace;
  bool per_vcpu = false;
  bool live = false;
  std::vector<std::string> at;
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
  if (request->carriers.front()) {
    return bad_value("--carriers", options.flags.carriers,
                     "auto, on or off; `kvmux compare` takes one for each policy");
  }
  print_warnings(*request, services.err);
  if (auto able = prepare_linux_guests(*request, options.flags.force, services); !able) {
    return Failure(able.error());
  }
  auto spec = with_policy(request->setups.front(), request->policies.front());
  if (!spec) return tl::unexpected(spec.error());
  if (!options.at.empty()) {
    auto changes = parse_changes(options.at, spec->vms, options.flags.policy_keys);
    if (!changes) return Failure(changes.error());
    spec->changes = std::move(*changes);
    if (auto ok = check_together(*spec); !ok) return Failure(ok.error());
  }
  return Single{std::move(*spec), std::move(request->cpus)};
}

Result<int> execute(const RunOptions& options, Services& services) {
  const auto repeat = parse_count("--repeat", options.repeat, {1, 1'000'000});
  if (!repeat) return tl::unexpected(repeat.error());
  auto single = single_run(options, services);
  if (!single) return tl::unexpected(single.error());
  RunSpec* const spec = &single->spec;
  const bool simulated = spec->backend == Backend::kSim;
  const CpuChoice cpus = simulated ? CpuChoice{} : services.choose_cpus(spec->workers, single->cpus);
  if (!simulated)
    (void)services.move_cost(*spec);  // measured while a file may still be written that keeps it
  const auto tracer = RunTracer::open(options.trace, services.command_line);
  if (!tracer) return tl::unexpected(tracer.error());
  std::unique_ptr<LiveView> view;
  if (options.live) {
    auto opened = LiveView::open(LiveView::Of::kRun, services.control.stop);
    if (!opened) return tl::unexpected(opened.error());
    view = std::move(*opened);
  }
  if (auto confined = confine(services, files_read_by(*spec), {options.json}); !confined) {
    return tl::unexpected(confined.error());
  }
  if (view != nullptr) {
    if (auto started = view->start(); !started) return tl::unexpected(started.error());
    services.control.observer = view.get();
  }
  const uint64_t seed = spec->seed;
  const VcpuDetail detail = options.per_vcpu ? VcpuDetail::kAlways : VcpuDetail::kAuto;

  Progress progress(services.err, services.err_is_terminal, services.now);
  if (view != nullptr) {
    progress.show_elsewhere([&](const std::string& what, const std::string& how_far) {
      view->set_title("run  " + what, *repeat == 1 ? "" : how_far);
    });
  }
  progress.plan(static_cast<size_t>(*repeat), 0);
  services.control.progress = [&progress](double share) { progress.update(share); };
  std::vector<FinishedRun> runs;
  std::optional<Error> error;
  bool guest_failed = false;
  for (int64_t i = 0; i < *repeat && !services.control.stop && !error; ++i) {
    // The first run has the seed itself, so that `--seed` repeats any run of a longer series.
    spec->seed = i == 0 ? seed : block_seed(seed, static_cast<uint32_t>(i));
    progress.begin(run_title(*spec));
    auto result =
        traced_run(*spec, tracer->get(), *repeat == 1 ? "" : fmt::format("repeat {}", i + 1), services);
    progress.clear();
    if (!result) {
      error = result.error();
      break;
    }
    guest_failed = guest_failed || has_guest_failure(*result);
    RunSpec as_run = *spec;
    if (!result->changes_made.empty()) as_run.changes = result->changes_made;
    if (options.json != "-") {
      services.out << (i == 0 ? "" : "\n") << run_text(as_run, *result, detail);
      if (!simulated) services.out << "CPUs: " << cpus.words() << "\n";
      services.out << std::flush;
    }
    if (result->stalled) error = stall_error(*result).value();
    runs.push_back({std::move(as_run), std::move(*result)});
    progress.finish("");
  }
  services.control.progress = nullptr;
  services.control.observer = nullptr;
  view.reset();  // what was printed meanwhile appears
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
  add_at_flag(*app, options->at);
  app->add_option("--repeat", options->repeat, "run it so often, each time with another seed")
      ->type_name("N")
      ->default_str(options->repeat);
  app->add_option("--json", options->json, "also write everything as JSON; - writes it instead of the text")
      ->type_name("FILE|-");
  add_trace_flags(*app, options->trace);
  if (backend == Backend::kKvm) add_live_flag(*app, options->live);
  app->add_flag("--per-vcpu", options->per_vcpu, "a line for each vCPU, however many there are");
  return {app, [options](Services& services) { return execute(*options, services); }};
}

}  // namespace vmm
