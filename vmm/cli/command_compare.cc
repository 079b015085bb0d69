// `kvmux compare`: policies over a grid of guests and sizes, in interleaved blocks.
#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "vmm/cli/compare_options.h"
#include "vmm/cli/run_json.h"
#include "vmm/cli/summary.h"
#include "vmm/cli/table.h"

namespace vmm {
namespace {

std::string metric_list() {
  Table table({"<metric", "<better", "<meaning"});
  for (const MetricInfo& metric : metrics()) {
    const char* better = metric.better == Better::kHigher  ? "higher"
                         : metric.better == Better::kLower ? "lower"
                                                           : "-";
    table.add({std::string{metric.name}, better, std::string{metric.meaning}});
  }
  return table.text();
}

Result<int> execute(const CompareOptions& options, Services& services) {
  if (options.metrics == "list") {
    services.out << metric_list();
    return kExitOk;
  }
  const auto metrics = parse_metrics("--metrics", options.metrics);
  if (!metrics) return tl::unexpected(metrics.error());
  const auto findings = gather(options, services);
  if (!findings) return tl::unexpected(findings.error());
  if (findings->planned_only) return outcome(findings->measured);
  const ReportOptions report_options{.metrics = *metrics,
                                     .published = true,
                                     .published_everywhere = options.published,
                                     .margin = findings->margin};
  const bool text_is_wanted =
      options.json != "-" && options.csv != "-" && options.markdown != "-" && options.report != "-";
  if (text_is_wanted)
    services.out << report(findings->cells, report_options, ReportStyle::kText) << std::flush;
  if (text_is_wanted && options.plain) {
    services.out << "\n"
                 << plain_sentences(findings->cells, findings->margin)
                 << going_on(findings->cells, services.command_line, services.called_as) << std::flush;
  }
  if (const auto written = write_files(options, *findings, report_options, services); !written) {
    return tl::unexpected(written.error());
  }
  return outcome(findings->measured);
}

}  // namespace

Command add_compare(CLI::App& parent, Backend backend) {
  const auto options = std::make_shared<CompareOptions>();
  options->flags.backend = std::string{backend_name(backend)};
  options->flags.policies = "yield,fair,v2";
  CLI::App* app = parent.add_subcommand("compare", "compare policies over guests and sizes, with intervals");
  add_compare_flags(*app, *options);
  if (backend == Backend::kKvm) add_live_flag(*app, options->live);
  add_run_flags(*app, options->flags, FlagSet::kGrid);
  return {app, [options](Services& services) { return execute(*options, services); }};
}

}  // namespace vmm
