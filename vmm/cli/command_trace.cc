// `kvmux trace`: looks into a trace that --trace has written.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "sched/base/text.h"
#include "vmm/cli/command.h"
#include "vmm/cli/table.h"
#include "vmm/cli/trace_input.h"
#include "vmm/cli/trace_stats.h"
#include "vmm/cli/values.h"
#include "vmm/trace/dump.h"
#include "vmm/trace/ipi_graph.h"
#include "vmm/trace/perfetto.h"
#include "vmm/trace/picture.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

struct TraceOptions {
  std::vector<std::string> files;
  std::string from;
  std::string length;
  std::string to;
  std::string run = "1";
  std::string json;
  bool perfetto = false;
  bool ipis = false;
  std::string kinds;
  std::string vcpu;
  std::string worker;
  std::string output = "-";
  std::vector<std::string> titles;
};

Result<int> list_runs(const TraceOptions& options, Services& services) {
  const auto reader = TraceReader::open(options.files.front());
  if (!reader) return Failure(reader.error());
  Table table({"run", "<what", "<VMs", "<backend", "seed", "window", "lost"});
  for (size_t i = 0; i < reader->runs().size(); ++i) {
    const Trace& run = reader->runs()[i];
    std::string vms;
    for (const TraceVm& vm : run.vms) {
      vms += fmt::format("{}{}×{} {}", vms.empty() ? "" : ", ", vm.guest, vm.vcpus, vm.policy);
    }
    table.add({std::to_string(i + 1), run.run.empty() ? "-" : run.run, vms, run.backend,
               std::to_string(run.seed),
               fmt::format("{:.3f} s", static_cast<double>(run.window_end - run.window_begin) / 1e9),
               grouped(run.lost)});
  }
  services.out << table.text();
  if (reader->cut_off()) {
    services.err << cut_off_text(options.files.front(), reader->runs().back());
  }
  return kExitOk;
}

// From the start of the measured window; less than nothing is not asked for.
Result<TraceFilter> filter_of(const TraceOptions& options, const Trace& trace) {
  TraceFilter filter;
  Nanos from{};
  if (!options.from.empty()) {
    const auto time = parse_time_flag("--from", options.from, 0s, std::chrono::hours{24});
    if (!time) return Failure(time.error());
    filter.from = trace.window_begin + time->count();
    from = *time;
  }
  if (!options.to.empty() && !options.length.empty()) {
    return usage_error("--to, --length", "each says where to end; give one of them");
  }
  if (!options.to.empty()) {
    const auto time = parse_time_flag("--to", options.to, 0s, std::chrono::hours{24});
    if (!time) return Failure(time.error());
    if (*time <= from) return bad_value("--to", options.to, "a time after --from");
    filter.to = trace.window_begin + time->count();
  }
  if (!options.length.empty()) {
    const auto time = parse_time_flag("--length", options.length, 1ns, std::chrono::hours{24});
    if (!time) return Failure(time.error());
    filter.to = trace.window_begin + (from + *time).count();
  }
  if (!options.worker.empty()) {
    const auto worker = parse_count("--worker", options.worker, {0, std::max(1u, trace.workers) - 1});
    if (!worker) return Failure(worker.error());
    filter.worker = static_cast<uint32_t>(*worker);
  }
  return filter;
}

Result<void> add_kinds(const std::string& list, TraceFilter& filter) {
  if (list.empty()) return {};
  for (const std::string_view name : sched::split(list, ",")) {
    const auto kind = trace_kind(name);
    const auto names = trace_kind_names();
    if (!kind) return bad_value("--kind", name, "a list of " + sched::join(names, ", "));
    filter.kinds.push_back(*kind);
  }
  return {};
}

// "1.3": vCPU 3 of VM 1.
Result<void> add_vcpu(const std::string& name, const Trace& trace, TraceFilter& filter) {
  if (name.empty()) return {};
  for (uint32_t vcpu = 0; vcpu < trace.vcpus(); ++vcpu) {
    if (trace.name_of(vcpu) == name) {
      filter.vcpu = vcpu;
      return {};
    }
  }
  return bad_value("--vcpu", name,
                   fmt::format("VM.VCPU, up to {}", trace.name_of(std::max(1u, trace.vcpus()) - 1)));
}

Result<int> dump(const TraceOptions& options, Services& services) {
  const auto trace = read_run(options.files.front(), options.run, services);
  if (!trace) return Failure(trace.error());
  auto filter = filter_of(options, *trace);
  if (!filter) return Failure(filter.error());
  if (const auto good = add_kinds(options.kinds, *filter); !good) return Failure(good.error());
  if (const auto good = add_vcpu(options.vcpu, *trace, *filter); !good) return Failure(good.error());
  dump_trace(*trace, *filter, services.out);
  return kExitOk;
}

// Which part of it; all of what is known, if nothing is said.
std::pair<int64_t, int64_t> part_of(const Trace& trace, const TraceFilter& filter) {
  const int64_t first = trace.events.empty() ? trace.window_begin : trace.events.front().at;
  const int64_t last =
      std::max(trace.window_end, trace.events.empty() ? trace.window_end : trace.events.back().at + 1);
  return {std::max(filter.from, std::max(first, trace.complete_from)), std::min(filter.to, last)};
}

Result<int> stats(const TraceOptions& options, Services& services) {
  const auto trace = read_run(options.files.front(), options.run, services);
  if (!trace) return Failure(trace.error());
  const auto filter = filter_of(options, *trace);
  if (!filter) return Failure(filter.error());
  const auto [from, to] = part_of(*trace, *filter);
  const TraceStats found = stats_of(*trace, from, std::max(from, to));
  if (options.json != "-") services.out << stats_text(*trace, found) << std::flush;
  if (options.json.empty()) return kExitOk;
  const std::string text = vmm::dump(stats_json(*trace, found), 2) + "\n";
  const auto written = write_output("--json", options.json, text, services.out);
  if (!written) return Failure(written.error());
  return kExitOk;
}

Result<int> export_perfetto(const TraceOptions& options, Services& services) {
  if (!options.perfetto)
    return usage_error("export", "say in which format: --perfetto is the only one so far");
  const auto trace = read_run(options.files.front(), options.run, services);
  if (!trace) return Failure(trace.error());
  const auto filter = filter_of(options, *trace);
  if (!filter) return Failure(filter.error());
  const auto [from, to] = part_of(*trace, *filter);
  const auto written =
      write_output("-o", options.output, perfetto_trace(*trace, from, std::max(from, to)), services.out);
  if (!written) return Failure(written.error());
  return kExitOk;
}

std::string title_of(const TraceOptions& options, size_t i, const Trace& trace) {
  if (i < options.titles.size()) return options.titles[i];
  return trace.vms.empty() ? options.files[i] : trace.vms.front().policy;
}

// Who waits for whom. Several traces become several pictures: one file has one.
Result<int> ipi_picture(const TraceOptions& options, Services& services) {
  if (options.files.size() > 1) return usage_error("--ipis", "one trace a picture");
  const auto trace = read_run(options.files.front(), options.run, services);
  if (!trace) return Failure(trace.error());
  const auto filter = filter_of(options, *trace);
  if (!filter) return Failure(filter.error());
  const auto [from, to] = part_of(*trace, *filter);
  const TraceStats found = stats_of(*trace, from, std::max(from, to));
  const IpiGraph graph = ipi_graph(*trace, found, title_of(options, 0, *trace));
  const auto written = write_output("-o", options.output, graph.svg, services.out);
  if (!written) return Failure(written.error());
  return kExitOk;
}

Result<int> picture(const TraceOptions& given, Services& services) {
  if (given.ipis) return ipi_picture(given, services);
  TraceOptions options = given;
  if (options.from.empty()) options.from = "0";
  if (options.length.empty()) options.length = "20ms";
  std::vector<Trace> traces;
  for (const std::string& file : options.files) {
    auto trace = read_run(file, options.run, services);
    if (!trace) return Failure(trace.error());
    traces.push_back(std::move(*trace));
  }
  const auto from = parse_time_flag("--from", options.from, 0s, std::chrono::hours{24});
  if (!from) return Failure(from.error());
  const auto length = parse_time_flag("--length", options.length, 1us, 10s);
  if (!length) return Failure(length.error());
  std::vector<PicturePanel> panels;
  for (size_t i = 0; i < traces.size(); ++i) {
    panels.push_back({&traces[i], title_of(options, i, traces[i]), traces[i].window_begin + from->count()});
  }
  const auto written = write_output("-o", options.output, svg_picture(panels, length->count()), services.out);
  if (!written) return Failure(written.error());
  return kExitOk;
}

void add_run_choice(CLI::App& app, TraceOptions& options) {
  app.add_option("--run", options.run, "which of the file's runs (`kvmux trace runs` lists them)")
      ->type_name("N")
      ->default_str(options.run);
}

void add_window(CLI::App& app, TraceOptions& options) {
  add_run_choice(app, options);
  app.add_option("--from", options.from, "from this time after the measured window began")->type_name("TIME");
  app.add_option("--length", options.length, "so long")->type_name("TIME");
}

void add_end(CLI::App& app, TraceOptions& options) {
  app.add_option("--to", options.to, "up to this time after the measured window began")->type_name("TIME");
}

// A subcommand with options of its own.
using Execute = Result<int> (*)(const TraceOptions&, Services&);
struct Subcommand {
  CLI::App* app;
  std::shared_ptr<TraceOptions> options;

  Command command(Execute execute) const {
    return {app, [options = options, execute](Services& services) { return execute(*options, services); }};
  }
};

Subcommand on_one_file(CLI::App& trace, const char* name, const char* what) {
  Subcommand sub{trace.add_subcommand(name, what), std::make_shared<TraceOptions>()};
  sub.app->add_option("file", sub.options->files, "the trace")->required()->expected(1)->type_name("FILE");
  return sub;
}

Command add_dump(CLI::App& trace) {
  const Subcommand sub = on_one_file(trace, "dump", "print its events, one a line");
  add_window(*sub.app, *sub.options);
  add_end(*sub.app, *sub.options);
  sub.app->add_option("--kind", sub.options->kinds, "only these kinds of events")->type_name("LIST");
  sub.app->add_option("--vcpu", sub.options->vcpu, "only what is about this vCPU")->type_name("VM.VCPU");
  sub.app->add_option("--worker", sub.options->worker, "only what happened on this worker")->type_name("N");
  return sub.command(dump);
}

Command add_stats(CLI::App& trace) {
  const Subcommand sub =
      on_one_file(trace, "stats", "how long vCPUs wait and run, who preempts whom, which yields help");
  add_window(*sub.app, *sub.options);
  add_end(*sub.app, *sub.options);
  sub.app->add_option("--json", sub.options->json, "also as JSON; - writes it instead of the text")
      ->type_name("FILE|-");
  return sub.command(stats);
}

Command add_export(CLI::App& trace) {
  const Subcommand sub = on_one_file(trace, "export", "write it for other programs to open");
  sub.app->add_flag("--perfetto", sub.options->perfetto,
                    "for ui.perfetto.dev and trace_processor (the only format)");
  add_window(*sub.app, *sub.options);
  add_end(*sub.app, *sub.options);
  sub.app->add_option("-o,--output", sub.options->output, "where to; - is the standard output")
      ->type_name("FILE|-");
  return sub.command(export_perfetto);
}

Command add_picture(CLI::App& trace) {
  const Subcommand sub{
      trace.add_subcommand("picture", "draw a stretch of one or several traces as SVG, a row a vCPU"),
      std::make_shared<TraceOptions>()};
  sub.app->add_option("files", sub.options->files, "traces, drawn above each other")
      ->required()
      ->type_name("FILE");
  add_window(*sub.app, *sub.options);
  sub.app->add_flag("--ipis", sub.options->ipis,
                    "instead: which vCPUs send IPIs to which, how many, and how long those take");
  sub.app->add_option("--title", sub.options->titles, "of each panel; else its policy")->type_name("TEXT");
  sub.app->add_option("-o,--output", sub.options->output, "where to; - is the standard output")
      ->type_name("FILE|-");
  return sub.command(picture);
}

}  // namespace

std::vector<Command> add_trace(CLI::App& parent) {
  CLI::App* app = parent.add_subcommand("trace", "look into a trace that --trace has written");
  app->allow_extras();
  const Subcommand runs = on_one_file(*app, "runs", "list the runs that a trace of several has");
  return {runs.command(list_runs), add_dump(*app), add_stats(*app), add_export(*app), add_picture(*app)};
}

}  // namespace vmm
