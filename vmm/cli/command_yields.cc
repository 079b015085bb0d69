// `kvmux yields`: how often each reason to choose a target chose as the oracle would have: one that the
// yielder needs, as its guest publishes it (guest/abi.h, struct kvmux_sync).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "sched/policy/parse.h"
#include "vmm/cli/command.h"
#include "vmm/cli/linux_guest.h"
#include "vmm/cli/progress.h"
#include "vmm/cli/run_json.h"
#include "vmm/cli/run_text.h"
#include "vmm/cli/table.h"
#include "vmm/stats/detail.h"
#include "vmm/stats/metrics.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

struct YieldsOptions {
  RunFlags flags;
  std::string json;
};

struct Judged {
  std::string guest;
  std::string size;
  std::string policy;
  double seconds = 0;
  sched::VcpuStats sum;
};

std::string share_of(uint64_t part, uint64_t whole) {
  return whole == 0 ? "-" : fmt::format("{:.3f}", static_cast<double>(part) / static_cast<double>(whole));
}

std::string rate(uint64_t count, double seconds) {
  return with_unit(Unit::kRate, static_cast<double>(count) / seconds);
}

struct Reason {
  std::string name;
  uint64_t done;
  uint64_t right;
};

// Those that were acted upon, and all of them together.
std::vector<Reason> reasons_of(const sched::VcpuStats& sum) {
  std::vector<Reason> reasons;
  Reason all{"all", 0, 0};
  for (size_t i = 0; i < sched::kYieldReasons; ++i) {
    if (sum.yields_done[i] == 0) continue;
    reasons.push_back({std::string{yield_reason_name(static_cast<sched::YieldReason>(i))}, sum.yields_done[i],
                       sum.yields_right[i]});
    all.done += sum.yields_done[i];
    all.right += sum.yields_right[i];
  }
  reasons.push_back(all);
  return reasons;
}

std::string text_of(const std::vector<Judged>& runs) {
  Table table({"<guest", "<VMs × vCPUs", "<policy", "<reason", "yields", "right", "of done", "of possible"});
  for (const Judged& run : runs) {
    bool first = true;
    if (&run != &runs.front()) table.add_rule();
    for (const Reason& reason : reasons_of(run.sum)) {
      table.add({first ? run.guest : "", first ? run.size : "", first ? run.policy : "", reason.name,
                 rate(reason.done, run.seconds), rate(reason.right, run.seconds),
                 share_of(reason.right, reason.done), share_of(reason.right, run.sum.right_possible)});
      first = false;
    }
  }
  return table.text() +
         "\nright: the target is one that the yielder needs, by what its guest publishes. Of done: "
         "precision. Of\n"
         "possible: recall, of the spin exits, and of the sends at which the policy yields, when one that it "
         "needed waited.\n";
}

Json json_of(const std::vector<Judged>& runs) {
  Json list = Json::array();
  for (const Judged& run : runs) {
    Json reasons = Json::object();
    for (const Reason& reason : reasons_of(run.sum)) {
      reasons[reason.name] = {{"done", reason.done}, {"right", reason.right}};
    }
    list.push_back({{"guest", run.guest},
                    {"size", run.size},
                    {"policy", run.policy},
                    {"seconds", run.seconds},
                    {"spin_exits", run.sum.spin_exits},
                    {"possible", run.sum.right_possible},
                    {"reasons", reasons}});
  }
  return list;
}

Result<std::vector<RunSpec>> specs_of(const Request& request) {
  std::vector<RunSpec> specs;
  for (const Setup& setup : request.setups) {
    for (size_t i = 0; i < request.policies.size(); ++i) {
      const sched::Policy& policy = request.policies[i];
      if (sched::is_host_queue(policy.features.queue)) {
        return bad_value("--policies", policy.name,
                         "policies of ours: the host's scheduler makes no directed yields");
      }
      auto spec = with_policy(setup, policy);
      if (!spec) return tl::unexpected(spec.error());
      spec->judges_yields = true;
      if (request.carriers[i]) spec->carriers = *request.carriers[i];
      specs.push_back(std::move(*spec));
    }
  }
  return specs;
}

Result<int> execute(const YieldsOptions& options, Services& services) {
  auto request = interpret(options.flags, 1s, services.limits);
  if (!request) return tl::unexpected(request.error());
  if (has_linux_guests(*request)) {
    return bad_value("--guest", kLinuxGuest,
                     "a built-in guest, or an image that publishes what it waits for");
  }
  print_warnings(*request, services.err);
  const auto specs = specs_of(*request);
  if (!specs) return tl::unexpected(specs.error());
  if (specs->front().backend == Backend::kKvm) {
    services.choose_cpus(specs->front().workers, request->cpus);
    (void)services.move_cost(specs->front());  // as in command_run.cc
  }
  if (auto confined = confine(services, files_read_by(specs->front()), {options.json}); !confined) {
    return tl::unexpected(confined.error());
  }
  Progress progress(services.err, services.err_is_terminal, services.now);
  progress.plan(specs->size(), 0);
  services.control.progress = [&progress](double share) { progress.update(share); };
  std::vector<Judged> runs;
  std::optional<Error> error;
  for (size_t i = 0; i < specs->size() && !services.control.stop; ++i) {
    const RunSpec& spec = (*specs)[i];
    const Setup& setup = request->setups[i / request->policies.size()];
    const std::string& policy = request->policies[i % request->policies.size()].name;
    progress.begin(run_title(spec) + ", " + policy);
    const auto result = services.run(spec, services.control);
    progress.clear();
    if (!result) {
      error = result.error();
      break;
    }
    runs.push_back({setup.guest, setup.size, policy, static_cast<double>(result->window.count()) / 1e9,
                    totals(*result).sched});
    progress.finish("");
  }
  services.control.progress = nullptr;
  if (!runs.empty() && options.json != "-") services.out << text_of(runs) << std::flush;
  if (!runs.empty() && !options.json.empty()) {
    const auto written = write_output("--json", options.json, dump(json_of(runs), 2) + "\n", services.out);
    if (!written) return tl::unexpected(written.error());
  }
  if (error) return tl::unexpected(*error);
  return services.control.stop ? kExitInterrupted : kExitOk;
}

}  // namespace

Command add_yields(CLI::App& parent, Backend backend) {
  const auto options = std::make_shared<YieldsOptions>();
  options->flags.backend = std::string{backend_name(backend)};
  options->flags.policies = "yield,v2,kvmux,oracle";
  CLI::App* app = parent.add_subcommand(
      "yields", "how often each reason to choose a target of a directed yield chose one that was needed");
  add_run_flags(*app, options->flags, FlagSet::kGrid);
  app->add_option("--json", options->json, "also write everything as JSON; - writes it instead of the table")
      ->type_name("FILE|-");
  return {app, [options](Services& services) { return execute(*options, services); }};
}

}  // namespace vmm
