// `kvmux trace`: looks into a trace that --trace has written.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "sched/base/text.h"
#include "vmm/cli/command.h"
#include "vmm/cli/values.h"
#include "vmm/trace/dump.h"
#include "vmm/trace/picture.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

struct TraceOptions {
  std::vector<std::string> files;
  std::string from;
  std::string length;
  std::string kinds;
  std::string vcpu;
  std::string worker;
  std::string output = "-";
  std::vector<std::string> titles;
};

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
  const auto trace = read_trace(options.files.front());
  if (!trace) return Failure(trace.error());
  auto filter = filter_of(options, *trace);
  if (!filter) return Failure(filter.error());
  if (const auto good = add_kinds(options.kinds, *filter); !good) return Failure(good.error());
  if (const auto good = add_vcpu(options.vcpu, *trace, *filter); !good) return Failure(good.error());
  if (trace->lost > 0) {
    services.err << fmt::format("kvmux: {} older events did not fit into the rings (--trace-events)\n",
                                trace->lost);
  }
  dump_trace(*trace, *filter, services.out);
  return kExitOk;
}

Result<int> picture(const TraceOptions& options, Services& services) {
  std::vector<Trace> traces;
  for (const std::string& file : options.files) {
    auto trace = read_trace(file);
    if (!trace) return Failure(trace.error());
    traces.push_back(std::move(*trace));
  }
  const auto from = parse_time_flag("--from", options.from, 0s, std::chrono::hours{24});
  if (!from) return Failure(from.error());
  const auto length = parse_time_flag("--length", options.length, 1us, 10s);
  if (!length) return Failure(length.error());
  std::vector<PicturePanel> panels;
  for (size_t i = 0; i < traces.size(); ++i) {
    const std::string& policy = traces[i].vms.empty() ? options.files[i] : traces[i].vms.front().policy;
    panels.push_back({&traces[i], i < options.titles.size() ? options.titles[i] : policy,
                      traces[i].window_begin + from->count()});
  }
  const auto written = write_output("-o", options.output, svg_picture(panels, length->count()), services.out);
  if (!written) return Failure(written.error());
  return kExitOk;
}

void add_window(CLI::App& app, TraceOptions& options) {
  app.add_option("--from", options.from, "from this time after the measured window began")->type_name("TIME");
  app.add_option("--length", options.length, "so long")->type_name("TIME");
}

}  // namespace

std::vector<Command> add_trace(CLI::App& parent) {
  CLI::App* app = parent.add_subcommand("trace", "look into a trace that --trace has written");
  app->allow_extras();
  const auto dump_options = std::make_shared<TraceOptions>();
  CLI::App* dumps = app->add_subcommand("dump", "print its events, one a line");
  dumps->add_option("file", dump_options->files, "the trace")->required()->expected(1)->type_name("FILE");
  add_window(*dumps, *dump_options);
  dumps->add_option("--kind", dump_options->kinds, "only these kinds of events")->type_name("LIST");
  dumps->add_option("--vcpu", dump_options->vcpu, "only what is about this vCPU")->type_name("VM.VCPU");
  dumps->add_option("--worker", dump_options->worker, "only what happened on this worker")->type_name("N");

  const auto picture_options = std::make_shared<TraceOptions>();
  picture_options->from = "0";
  picture_options->length = "20ms";
  CLI::App* pictures =
      app->add_subcommand("picture", "draw a stretch of one or several traces as SVG, a row a vCPU");
  pictures->add_option("files", picture_options->files, "traces, drawn above each other")
      ->required()
      ->type_name("FILE");
  add_window(*pictures, *picture_options);
  pictures->add_option("--title", picture_options->titles, "of each panel; else its policy")
      ->type_name("TEXT");
  pictures->add_option("-o,--output", picture_options->output, "where to; - is the standard output")
      ->type_name("FILE|-");
  return {{dumps, [dump_options](Services& services) { return dump(*dump_options, services); }},
          {pictures, [picture_options](Services& services) { return picture(*picture_options, services); }}};
}

}  // namespace vmm
