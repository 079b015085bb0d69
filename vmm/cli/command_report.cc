// `kvmux report`: a result file, and traces of such runs, as one page. And --report of compare and sweep.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <ostream>
#include <set>

#include "vmm/cli/command.h"
#include "vmm/cli/compare_options.h"
#include "vmm/cli/values.h"
#include "vmm/report/report.h"
#include "vmm/stats/journal.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

constexpr const char* kOff = "off";
constexpr size_t kMostPanels = 4;  // of a trace file, if nobody says which runs

struct ReportFlags {
  std::vector<std::string> files;
  CompareOptions compare;  // --baseline, --margin, --max-steal
  std::string output = "report.html";
  std::string from;
  std::string length;
  std::string run;
  std::string page;
};

Result<std::string> make_page(const ReportInput& input, const PageParts& parts) {
  try {
    return report_page(report_data(input), parts);
  } catch (const nlohmann::json::exception& error) {
    return usage_error("result file", fmt::format("a session line is not of kvmux: {}", error.what()));
  }
}

// Traces are told from result files by how they begin. What cannot be read is read_journal()'s to say.
bool is_trace(const std::string& path) {
  constexpr std::string_view kMagic = "KVMUXTRC";
  std::ifstream file{path, std::ios::binary};
  std::string begin(kMagic.size(), '\0');
  return file.read(begin.data(), static_cast<std::streamsize>(begin.size())) && begin == kMagic;
}

Result<TraceStretch> stretch_of(const ReportFlags& flags) {
  TraceStretch stretch;
  if (!flags.from.empty()) {
    const auto from = parse_time_flag("--from", flags.from, 0s, std::chrono::hours{24});
    if (!from) return tl::unexpected(from.error());
    stretch.from_ns = from->count();
  }
  if (!flags.length.empty()) {
    const auto length = parse_time_flag("--length", flags.length, 1us, std::chrono::hours{24});
    if (!length) return tl::unexpected(length.error());
    stretch.length_ns = length->count();
  }
  return stretch;
}

// Of each trace file the runs that were asked for, else the first under each policy.
Result<void> read_runs(const std::string& path, const std::string& list, std::vector<NamedTrace>& traces) {
  const auto reader = TraceReader::open(path);
  if (!reader) return tl::unexpected(reader.error());
  const std::vector<Trace>& runs = reader->runs();
  std::vector<size_t> wanted;
  if (!list.empty()) {
    const auto numbers = parse_counts("--run", list, {1, static_cast<int64_t>(runs.size())});
    if (!numbers) return tl::unexpected(numbers.error());
    for (const uint32_t number : *numbers) wanted.push_back(number - 1);
  } else {
    std::set<std::string> policies;
    for (size_t i = 0; i < runs.size() && wanted.size() < kMostPanels; ++i) {
      if (policies.insert(runs[i].vms.empty() ? "" : runs[i].vms.front().policy).second) wanted.push_back(i);
    }
  }
  for (const size_t run : wanted) {
    auto trace = reader->read(run);
    if (!trace) return tl::unexpected(trace.error());
    std::string name = std::filesystem::path{path}.filename().string();
    if (runs.size() > 1) name += fmt::format(", run {}", run + 1);
    traces.push_back({std::move(name), std::move(*trace)});
  }
  return {};
}

struct Inputs {
  Findings findings;
  std::vector<NamedTrace> traces;
};

Result<Inputs> read_inputs(ReportFlags& flags, Services& services) {
  Inputs inputs;
  std::string results;
  for (const std::string& path : flags.files) {
    if (is_trace(path)) {
      if (auto read = read_runs(path, flags.run, inputs.traces); !read) return tl::unexpected(read.error());
    } else if (results.empty()) {
      results = path;
    } else {
      return usage_error(path,
                         fmt::format("is a second result file beside {}; `kvmux merge` joins them", results));
    }
  }
  if (results.empty() && inputs.traces.empty())
    return usage_error("FILE", "is needed: a result file written by `kvmux compare --out`, traces, or both");
  if (!results.empty()) {
    flags.compare.from = results;
    auto findings = gather(flags.compare, services);
    if (!findings) return tl::unexpected(findings.error());
    inputs.findings = std::move(*findings);
  }
  return inputs;
}

ReportInput input_of(const CompareOptions& options, const Findings& findings, const Services& services) {
  ReportInput input;
  input.cells = findings.cells;
  input.runs = &findings.runs;
  input.design = findings.design;
  input.baseline = options.baseline;
  input.margin = findings.margin;
  input.cpus = findings.cpus;
  input.sessions = findings.sessions;
  input.made_by = services.command_line;
  return input;
}

void name_it(const std::string& path, const PageParts& parts, Services& services) {
  if (path == "-") return;
  std::error_code ignored;
  const auto absolute = std::filesystem::absolute(path, ignored);
  services.err << fmt::format(
      "kvmux: the report is {}{}\n", ignored ? path : absolute.string(),
      has_charts(parts) ? "" : " (tables only: this build found no charting library)");
}

Result<int> execute(ReportFlags& flags, Services& services) {
  const auto stretch = stretch_of(flags);
  if (!stretch) return tl::unexpected(stretch.error());
  auto inputs = read_inputs(flags, services);
  if (!inputs) return tl::unexpected(inputs.error());
  ReportInput input = input_of(flags.compare, inputs->findings, services);
  input.traces = std::move(inputs->traces);
  input.stretch = *stretch;
  const PageParts parts = flags.page.empty() ? embedded_parts() : folder_parts(flags.page);
  const auto page = make_page(input, parts);
  if (!page) return tl::unexpected(page.error());
  if (const auto written = write_output("-o", flags.output, *page, services.out); !written)
    return tl::unexpected(written.error());
  name_it(flags.output, parts, services);
  return kExitOk;
}

}  // namespace

std::string report_file(const CompareOptions& options, const std::string& standard) {
  if (options.report == kOff) return "";
  if (!options.report.empty()) return options.report;
  const bool for_programs = options.json == "-" || options.csv == "-" || options.markdown == "-";
  if (standard.empty() || !options.from.empty() || for_programs) return "";
  // Beside the result file, which may also be something like /dev/null.
  std::error_code ignored;
  const std::filesystem::path results{options.out};
  if (results.empty() || (exists(results, ignored) && !is_regular_file(results, ignored))) return standard;
  if (results.extension() == ".html") return options.out + ".report.html";
  return std::filesystem::path{results}.replace_extension(".html").string();
}

Result<void> write_report(const CompareOptions& options, const Findings& findings, Services& services) {
  const std::string path = report_file(options, services.report_file);
  const bool measured = std::any_of(findings.cells.begin(), findings.cells.end(),
                                    [](const CellFindings& cell) { return cell.blocks != 0; });
  if (path.empty() || !measured) return {};
  const PageParts parts = embedded_parts();
  const auto page = make_page(input_of(options, findings, services), parts);
  if (!page) return tl::unexpected(page.error());
  if (const auto written = write_output("--report", path, *page, services.out); !written) {
    if (!options.report.empty()) return written;
    // Nobody asked for it by name: the results are printed, and that counts.
    services.err << fmt::format("kvmux: warning: no report: {}\n", written.error().text());
    return {};
  }
  name_it(path, parts, services);
  return {};
}

Command add_report(CLI::App& parent) {
  const auto flags = std::make_shared<ReportFlags>();
  CLI::App* app = parent.add_subcommand(
      "report", "a result file, and traces of such runs, as one page with charts that opens offline");
  app->add_option("FILE", flags->files, "a result file written by --out; traces written by --trace")
      ->type_name("");
  app->add_option("-o,--output", flags->output, "the page to write")
      ->type_name("FILE|-")
      ->default_str(flags->output);
  app->add_option("--baseline", flags->compare.baseline, "policy that ratios are taken to [the first]")
      ->type_name("P");
  app->add_option("--margin", flags->compare.margin,
                  "ratios closer to 1 than this are equivalent, if the interval says so")
      ->type_name("PERCENT")
      ->default_str(flags->compare.margin);
  app->add_option("--from", flags->from, "draw traces from this time after the measured window began")
      ->type_name("TIME");
  app->add_option("--length", flags->length, "so long [as much as can be drawn]")->type_name("TIME");
  app->add_option("--run", flags->run, "these runs of each trace [the first under each policy]")
      ->type_name("N[,…]");
  app->add_option("--page", flags->page,
                  "take the page's parts from this folder: for work on the page itself")
      ->type_name("FOLDER");
  return {app, [flags](Services& services) { return execute(*flags, services); }};
}

}  // namespace vmm
