#include "vmm/cli/run_tracer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <new>

#include "sched/policy/parse.h"
#include "vmm/cli/command.h"
#include "vmm/cli/guests.h"
#include "vmm/cli/values.h"
#include "vmm/run/setup.h"

namespace vmm {
namespace {

uint32_t vcpus_of(const RunSpec& spec) {
  uint32_t sum = 0;
  for (const VmSpec& vm : spec.vms) sum += vm.vcpus;
  return sum;
}

std::string_view backend_of(const RunSpec& spec) { return spec.backend == Backend::kSim ? "sim" : "kvm"; }

// Time on a worker, as the ledger has it. What the host schedules is not seen to come and go.
std::vector<int64_t> running_of(const RunSpec& spec, const VmResult& vm) {
  std::vector<int64_t> running;
  if (spec.backend == Backend::kKvm && is_host_run(spec)) return running;
  for (const VcpuResult& vcpu : vm.vcpus) running.push_back(vcpu.sched.times.running.count());
  return running;
}

// What the events' places belong to.
std::vector<TraceFunction> functions_of(const CodeSites& spinning) {
  std::vector<TraceFunction> functions;
  for (const CodeSite& site : spinning.sites) {
    if (!site.symbol.empty() && site.bytes > 0) functions.push_back({site.symbol, site.address, site.bytes});
  }
  return functions;
}

Trace description_of(const RunSpec& spec) {
  Trace trace;
  for (const VmSpec& vm : spec.vms) {
    trace.vms.push_back({vm.guest, vm.policy.name, vm.vcpus, {}, std::string(lock_word(vm.workload.lock_kind))});
  }
  trace.costs = spec.cost_profile;
  trace.workers = spec.workers;
  trace.backend = backend_of(spec);
  trace.seed = spec.seed;
  return trace;
}

Trace description_of(const BootSpec& spec) {
  Trace trace;
  trace.vms.push_back({"boot", spec.policy.name, spec.vcpus, {}});
  trace.workers = spec.workers;
  trace.backend = "kvm";
  trace.seed = spec.seed;
  return trace;
}

}  // namespace

void add_trace_flags(CLI::App& app, TraceFlags& flags, const std::string& group) {
  CLI::Option* file = app.add_option("--trace", flags.file,
                                     "also write what happened, event by event (`kvmux trace` reads it)")
                          ->type_name("FILE");
  CLI::Option* events =
      app.add_option("--trace-events", flags.events, "events kept a worker; older ones give way")
          ->type_name("N")
          ->default_str(flags.events);
  CLI::Option* stream =
      app.add_flag("--trace-stream", flags.stream,
                   "write the trace while guests run, so that nothing gives way in long runs");
  if (group.empty()) return;
  for (CLI::Option* option : {file, events, stream}) option->group(group);
}

Result<std::unique_ptr<RunTracer>> RunTracer::open(const TraceFlags& flags,
                                                   const std::vector<std::string>& command_line) {
  const auto events = parse_count("--trace-events", flags.events, {1024, int64_t{1} << 30});
  if (!events) return Failure(events.error());
  if (flags.file.empty() && flags.stream)
    return usage_error("--trace-stream", "it takes --trace FILE to write to");
  if (flags.file.empty()) return nullptr;
  auto file = TraceFile::create(flags.file);
  if (!file) return Failure(file.error());
  return std::unique_ptr<RunTracer>(new RunTracer(std::move(*file), flags.file, static_cast<size_t>(*events),
                                                  flags.stream,
                                                  fmt::format("{}", fmt::join(command_line, " "))));
}

Result<TraceRecorder*> RunTracer::begin(uint32_t threads, size_t events) {
  stream_.reset();    // left by a run that failed
  recorder_.reset();  // its memory first
  try {
    recorder_.emplace(threads, events);
  } catch (const std::bad_alloc&) {
    return host_error("--trace-events", ENOMEM,
                      fmt::format("{} rings of {} events of 32 bytes", threads + 1, events));
  }
  if (!streams_) return &*recorder_;
  const bool one_thread = about_.backend == "sim";
  Trace about = about_;
  about.command = command_;
  auto stream = TraceStream::start(*recorder_, file_, about,
                                   one_thread ? TraceStream::By::kRecording : TraceStream::By::kThread);
  if (!stream) return Failure(stream.error());
  stream_ = std::move(*stream);
  return &*recorder_;
}

// The simulator is one thread, which does what all workers do.
Result<TraceRecorder*> RunTracer::begin(const RunSpec& spec) {
  about_ = description_of(spec);
  if (spec.backend == Backend::kSim) return begin(0, events_ * spec.workers);
  return begin(is_host_run(spec) ? vcpus_of(spec) : spec.workers, events_);
}

Result<TraceRecorder*> RunTracer::begin(const BootSpec& spec) {
  about_ = description_of(spec);
  return begin(sched::is_host_queue(spec.policy.features.queue) ? spec.vcpus : spec.workers, events_);
}

// What was written stays, with an end, or nothing behind it could be read.
void RunTracer::give_up() {
  if (stream_ == nullptr) return;
  Trace about = about_;
  about.command = command_;
  if (stream_->finish(std::move(about))) ++sections_;
  stream_.reset();
}

Result<void> RunTracer::add(Trace trace) {
  trace.command = command_;
  if (stream_ != nullptr) {
    const auto finished = stream_->finish(std::move(trace));
    stream_.reset();
    recorder_.reset();
    ++sections_;
    return finished;
  }
  auto content = recorder_->content();
  recorder_.reset();
  trace.lost = content.lost;
  trace.complete_from = content.complete_from;
  trace.events = std::move(content.events);
  ++sections_;
  return file_.add(trace);
}

std::function<std::string(const std::string&, Nanos, Nanos)> RunTracer::keeper() {
  return [this](const std::string& title, Nanos from, Nanos to) { return keep(title, from, to); };
}

std::string RunTracer::keep(const std::string& title, Nanos from, Nanos to) {
  if (streams_) return fmt::format("in {}, as all of this run (--trace-stream)", path_);
  auto content = recorder_->content();
  std::erase_if(content.events,
                [&](const sched::TraceEvent& event) { return event.at < from.count() || event.at > to.count(); });
  Trace trace = about_;
  trace.command = command_;
  trace.run = title;
  trace.window_begin = from.count();
  trace.window_end = to.count();
  trace.complete_from = content.complete_from;
  trace.events = std::move(content.events);
  if (trace.events.empty()) {
    return content.complete_from > from.count() ? "nothing: the rings do not go back so far (--trace-events)"
                                                : "nothing happened";
  }
  const size_t count = trace.events.size();
  if (const auto written = file_.add(trace); !written) return "not written: " + written.error().text();
  ++sections_;
  return fmt::format("{} events; kvmux trace dump {} --run {}", count, path_, sections_);
}

Result<void> RunTracer::end(const RunSpec& spec, const RunResult& result, const std::string& title) {
  Trace trace = description_of(spec);
  for (size_t i = 0; i < std::min(result.vms.size(), trace.vms.size()); ++i) {
    trace.vms[i].running = running_of(spec, result.vms[i]);
    trace.vms[i].functions = functions_of(result.vms[i].spinning);
  }
  trace.exit_cost = result.exit_cost.count();
  trace.spin_window = result.spin_window.count();
  trace.run = title;
  trace.window_begin = result.window_begin.count();
  trace.window_end = (result.window_begin + result.window).count();
  return add(std::move(trace));
}

Result<void> RunTracer::end(const BootSpec& spec, const BootResult& result) {
  Trace trace = description_of(spec);
  trace.vms.front().functions = functions_of(result.sites.spinning);
  trace.window_begin = result.began.count();
  trace.window_end = result.ended.count();
  return add(std::move(trace));
}

Result<RunResult> traced_run(const RunSpec& spec, RunTracer* tracer, const std::string& title,
                             Services& services) {
  if (tracer == nullptr) return services.run(spec, services.control);
  const auto recorder = tracer->begin(spec);
  if (!recorder) return Failure(recorder.error());
  services.control.trace = *recorder;
  services.control.keep_trace = tracer->keeper();
  auto result = services.run(spec, services.control);
  services.control.trace = nullptr;
  services.control.keep_trace = nullptr;
  if (!result) {
    tracer->give_up();
    return result;
  }
  if (const auto written = tracer->end(spec, *result, title); !written) return Failure(written.error());
  return result;
}

}  // namespace vmm
