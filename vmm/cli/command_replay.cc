// `kvmux replay`: what another policy would have made of a recorded run.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>

#include "sched/policy/parse.h"
#include "vmm/cli/command.h"
#include "vmm/cli/run_tracer.h"
#include "vmm/cli/table.h"
#include "vmm/cli/trace_input.h"
#include "vmm/cli/values.h"
#include "vmm/json.h"
#include "vmm/run/replay.h"
#include "vmm/stats/metrics.h"

namespace vmm {
namespace {

struct ReplayOptions {
  std::string file;
  std::vector<std::string> policies;
  std::string run = "1";
  std::string costs;
  std::string seed = "1";
  std::string repeat = "3";
  std::string json;
  TraceFlags trace;
};

constexpr double kTrusted = 0.05;      // of what was recorded, under the recorded policy
constexpr double kUnexplained = 0.02;  // of the time in the guest

// A policy's throughput, of all repeats; what all guests did together and each VM by itself.
struct Prediction {
  std::string policy;
  double throughput = 0;  // operations a second
  std::vector<double> vms;
  std::optional<double> ack_p99;  // ns
  double worst_wait = 0;          // ns
};

Result<Prediction> predict(const Replay& recorded, const std::vector<sched::Policy>& policies,
                           int64_t repeats, uint64_t seed, RunTracer* tracer, Services& services) {
  Prediction mean{.policy = policies.front().name,
                  .throughput = 0,
                  .vms = std::vector<double>(recorded.trace().vms.size()),
                  .ack_p99 = {},
                  .worst_wait = 0};
  for (int64_t i = 0; i < repeats; ++i) {
    const RunSpec spec = recorded.spec(policies, seed + static_cast<uint64_t>(i));
    Services replayed = services;  // run by the simulator on what was recorded
    replayed.run = [&](const RunSpec& run, RunControl& control) { return recorded.run(run, control); };
    const auto title = fmt::format("replay {} under {}", i + 1, policies.front().name);
    const auto result = traced_run(spec, tracer, title, replayed);
    if (!result) return Failure(result.error());
    if (result->interrupted) return host_error("replay", 0, "interrupted");
    for (const auto& [name, value] : measure(spec, *result)) {
      const double share = value / static_cast<double>(repeats);
      if (name == kThroughput) mean.throughput += share;
      if (name == "ipi_p99") mean.ack_p99 = mean.ack_p99.value_or(0) + share;
      if (name == "worst_wait") mean.worst_wait += share;
    }
    for (size_t vm = 0; vm < mean.vms.size(); ++vm)
      mean.vms[vm] += result->vms[vm].ops_per_second / static_cast<double>(repeats);
  }
  return mean;
}

Result<std::vector<sched::Policy>> asked_policies(const ReplayOptions& options) {
  std::vector<sched::Policy> policies;
  for (const std::string& text : options.policies) {
    auto list = sched::parse_policy_list(text);
    if (!list) return usage_error("--policy", list.error());
    policies.insert(policies.end(), list->begin(), list->end());
  }
  return policies;
}

std::string optional_time(const std::optional<double>& ns) { return ns ? with_unit(Unit::kNanos, *ns) : "-"; }

std::string text_of(const Replay& recorded, const std::vector<Prediction>& predictions) {
  const Prediction& own = predictions.front();
  const double agreement = recorded.throughput() > 0 ? own.throughput / recorded.throughput() : 0;
  std::string text = fmt::format("recorded under {}: {} operations a second on {} workers, {:.3f} s\n",
                                 own.policy, grouped(recorded.throughput()), recorded.trace().workers,
                                 static_cast<double>(recorded.length().count()) / 1e9);
  text += fmt::format("replayed under the same policy: {:.3f} of that{}\n\n", agreement,
                      std::abs(agreement - 1) <= kTrusted
                          ? ""
                          : fmt::format("; more than {} off: do not trust what follows", percent(kTrusted)));
  Table table({"<policy", "operations/s", "to the recorded policy", "IPI p99", "worst wait"});
  for (const Prediction& p : predictions) {
    table.add({p.policy, grouped(p.throughput),
               fmt::format("{:.3f}", own.throughput > 0 ? p.throughput / own.throughput : 0),
               optional_time(p.ack_p99), with_unit(Unit::kNanos, p.worst_wait)});
  }
  return text + table.text();
}

// What the replay could not know.
std::string caveats(const Replay& recorded) {
  std::string text;
  for (size_t i = 0; i < recorded.recording().vms.size(); ++i) {
    const RecordedVm& vm = recorded.recording().vms[i];
    const double share =
        static_cast<double>(vm.unexplained) / static_cast<double>(std::max<int64_t>(1, vm.in_guest));
    if (share <= kUnexplained) continue;
    text += fmt::format(
        "kvmux: in {} of its time in the guest VM {} busy-waited for what it did not mark; these waits "
        "last as long under every policy\n",
        percent(share), i);
  }
  return text;
}

Json json_of(const Replay& recorded, const std::vector<Prediction>& predictions) {
  Json list = Json::array();
  for (const Prediction& p : predictions) {
    Json entry{
        {"policy", p.policy}, {"throughput", p.throughput}, {"vms", p.vms}, {"worst_wait_ns", p.worst_wait}};
    if (p.ack_p99) entry["ipi_p99_ns"] = *p.ack_p99;
    list.push_back(std::move(entry));
  }
  Json costs = Json::object();
  for (const sched::sim::CostField& field : sched::sim::cost_fields())
    costs[std::string(field.name)] = field.get(recorded.costs());
  return {{"recorded",
           {{"policy", predictions.front().policy},
            {"throughput", recorded.throughput()},
            {"window_ns", recorded.length().count()},
            {"workers", recorded.trace().workers}}},
          {"predicted", std::move(list)},
          {"costs", std::move(costs)}};
}

Result<int> replay(const ReplayOptions& options, Services& services) {
  auto trace = read_run(options.file, options.run, services);
  if (!trace) return Failure(trace.error());
  const auto recorded = Replay::of(std::move(*trace), options.costs);
  if (!recorded) return Failure(recorded.error());
  const auto own = recorded->policies();
  if (!own) return Failure(own.error());
  const auto asked = asked_policies(options);
  if (!asked) return Failure(asked.error());
  const auto seed = parse_count("--seed", options.seed, {0, INT64_MAX / 2});
  if (!seed) return Failure(seed.error());
  const auto repeats = parse_count("--repeat", options.repeat, {1, 1000});
  if (!repeats) return Failure(repeats.error());
  const auto tracer = RunTracer::open(options.trace, services.command_line);
  if (!tracer) return Failure(tracer.error());
  services.err << caveats(*recorded);
  std::vector<Prediction> predictions;
  const auto add = [&](const std::vector<sched::Policy>& policies) -> Result<void> {
    auto found =
        predict(*recorded, policies, *repeats, static_cast<uint64_t>(*seed), tracer->get(), services);
    if (!found) return Failure(found.error());
    predictions.push_back(std::move(*found));
    return {};
  };
  if (const auto done = add(*own); !done) return Failure(done.error());
  for (const sched::Policy& policy : *asked) {
    if (const auto done = add({policy}); !done) return Failure(done.error());
  }
  if (options.json != "-") services.out << text_of(*recorded, predictions) << std::flush;
  if (options.json.empty()) return kExitOk;
  const auto written =
      write_output("--json", options.json, dump(json_of(*recorded, predictions), 2) + "\n", services.out);
  if (!written) return Failure(written.error());
  return kExitOk;
}

}  // namespace

Command add_replay(CLI::App& parent) {
  CLI::App* app =
      parent.add_subcommand("replay", "what another policy would have made of a recorded run, by simulation");
  auto options = std::make_shared<ReplayOptions>();
  app->add_option("file", options->file, "a trace that --trace has written")->required()->type_name("FILE");
  app->add_option("--policy", options->policies, "replay under these as well as under the recorded one")
      ->type_name("LIST");
  app->add_option("--run", options->run, "which of the file's runs (`kvmux trace runs` lists them)")
      ->type_name("N")
      ->default_str(options->run);
  app->add_option("--cost-profile", options->costs,
                  "what a host charges: a name or file [as the trace shows it]")
      ->type_name("NAME|FILE");
  app->add_option("--seed", options->seed, "of locks without order and of the host's noise")
      ->type_name("N")
      ->default_str(options->seed);
  app->add_option("--repeat", options->repeat, "replays, each with another seed; their mean is printed")
      ->type_name("N")
      ->default_str(options->repeat);
  app->add_option("--json", options->json, "also as JSON; - writes it instead of the text")
      ->type_name("FILE|-");
  add_trace_flags(*app, options->trace);
  return {app, [options](Services& services) { return replay(*options, services); }};
}

}  // namespace vmm
