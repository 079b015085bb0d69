// `kvmux sweep`: throughput and directed-yield calls by overcommit ratio, the form in which the s390 test of
// the v2 series reported.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "sched/base/text.h"
#include "vmm/cli/compare_options.h"
#include "vmm/cli/run_json.h"
#include "vmm/cli/table.h"
#include "vmm/stats/published.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

struct SweepOptions {
  CompareOptions compare;
  std::string ratios = "1,2,4,6,8,10";
};

// The VM counts that give these ratios with VMs of the size asked for.
Result<std::string> vm_counts(const SweepOptions& options) {
  const RunFlags& flags = options.compare.flags;
  const auto ratios = parse_counts("--ratio", options.ratios, {1, 1024});
  if (!ratios) return tl::unexpected(ratios.error());
  const auto workers = parse_count("--workers", flags.workers, {1, kMaxWorkers});
  if (!workers) return tl::unexpected(workers.error());
  const auto vcpus =
      parse_count("--vcpus", flags.vcpus.empty() ? flags.workers : flags.vcpus, {1, kMaxVcpusPerVm});
  if (!vcpus) return tl::unexpected(vcpus.error());
  std::string list;
  for (const uint32_t ratio : *ratios) {
    const int64_t in_all = *workers * ratio;
    if (in_all % *vcpus != 0) {
      return bad_value("--ratio", std::to_string(ratio),
                       fmt::format("a ratio whose {} vCPUs ({} workers) make whole VMs of {} vCPUs", in_all,
                                   *workers, *vcpus));
    }
    if (!list.empty()) list += ",";
    list += std::to_string(in_all / *vcpus);
  }
  return list;
}

std::string change(double percent_change) { return fmt::format("{:+.1f} %", percent_change); }

std::string throughput_cell(const Finding* finding) {
  if (finding == nullptr || !finding->ratio) return "-";
  return fmt::format("{} ({} … {})", change((finding->ratio->ratio - 1) * 100),
                     change((finding->ratio->low - 1) * 100), change((finding->ratio->high - 1) * 100));
}

void add_row(Table& table, const CellFindings& cell, const PolicyFindings& policy, bool published) {
  const CellInfo& info = cell.cell;
  const double ratio = static_cast<double>(info.vcpus_in_all) / info.workers;
  const Finding* throughput = policy.find(kThroughput);
  const Finding* yields = policy.find("yields");
  std::vector<std::string> row{fmt::format("{:g}:1", ratio), info.size, policy.label};
  row.push_back(throughput == nullptr ? "-" : with_unit(Unit::kRate, throughput->median));
  row.push_back(throughput_cell(throughput));
  row.push_back(throughput == nullptr ? "-" : verdict_text(*throughput));
  row.push_back(throughput == nullptr ? "" : to_settle(cell, *throughput));
  row.push_back(yields == nullptr ? "-" : with_unit(Unit::kRate, yields->median));
  row.push_back(yields == nullptr || !yields->ratio ? "-" : change((yields->ratio->ratio - 1) * 100));
  if (published) {
    const auto figures = published_overcommit(policy.label, static_cast<uint32_t>(ratio));
    row.push_back(
        figures ? fmt::format("{} / {}", change(figures->throughput_percent), change(figures->yields_percent))
                : "");
  }
  table.add(std::move(row));
}

std::string sweep_table(const CellGroup& cells) {
  bool published = false;
  for (const CellFindings* cell : cells) {
    const uint32_t ratio = cell->cell.vcpus_in_all / cell->cell.workers;
    for (const PolicyFindings& policy : cell->policies) {
      published =
          published || (published_guest(cell->cell.guest) == "lock" && published_overcommit(policy.label, ratio));
    }
  }
  std::vector<std::string> titles{"ratio",    "<VMs × vCPUs", "<policy", "throughput", "change (95 %)",
                                  "<verdict", "<to settle",   "yields",  "change"};
  if (published) titles.emplace_back("s390 published: throughput / yields");
  Table table(titles);
  for (const CellFindings* cell : cells) {
    if (cell != cells.front()) table.add_rule();
    for (const PolicyFindings& policy : cell->policies) add_row(table, *cell, policy, published);
  }
  const CellInfo& first = cells.front()->cell;
  VerdictCounts counts;
  for (const CellFindings* cell : cells) count_verdicts(counts, *cell, kThroughput);
  return fmt::format("{}, {} workers{}: change against the baseline by overcommit ratio\n\n{}{}.\n\n",
                     first.guest, first.workers, first.backend == "sim" ? ", simulated" : "", table.text(),
                     counts.text());
}

Result<int> execute(SweepOptions& options, Services& services) {
  RunFlags& flags = options.compare.flags;
  const auto metrics = parse_metrics("--metrics", options.compare.metrics);
  if (!metrics) return tl::unexpected(metrics.error());
  const auto vms = vm_counts(options);
  if (!vms) return tl::unexpected(vms.error());
  flags.vms = *vms;
  if (flags.vcpus.empty()) flags.vcpus = flags.workers;
  const auto findings = gather(options.compare, services);
  if (!findings) return tl::unexpected(findings.error());
  if (findings->planned_only) return outcome(findings->measured);
  const ReportOptions report_options{
      .metrics = *metrics, .published = true, .published_everywhere = false, .margin = findings->margin};
  if (options.compare.json != "-" && options.compare.report != "-") {
    for (const CellGroup& cells : by_guest(findings->cells)) services.out << sweep_table(cells);
    services.out << report_footer(findings->cells, report_options) << std::flush;
  }
  if (const auto written = write_files(options.compare, *findings, report_options, services); !written) {
    return tl::unexpected(written.error());
  }
  return outcome(findings->measured);
}

}  // namespace

Command add_sweep(CLI::App& parent, Backend backend) {
  const auto options = std::make_shared<SweepOptions>();
  options->compare.flags.backend = std::string{backend_name(backend)};
  options->compare.flags.policies = "yield,v2";
  options->compare.flags.vcpus.clear();
  CLI::App* app = parent.add_subcommand("sweep", "throughput and directed yields by overcommit ratio");
  app->add_option("--ratio", options->ratios,
                  "vCPUs in all for each worker; VMs have --vcpus vCPUs [--workers]")
      ->type_name("N[,…]")
      ->default_str(options->ratios);
  add_compare_flags(*app, options->compare);
  if (backend == Backend::kKvm) add_live_flag(*app, options->compare.live);
  add_run_flags(*app, options->compare.flags, FlagSet::kSweep);
  return {app, [options](Services& services) { return execute(*options, services); }};
}

}  // namespace vmm
