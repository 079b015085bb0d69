// `kvmux merge`: the result files of several shards or hosts into one.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "vmm/cli/command.h"
#include "vmm/stats/merge.h"

namespace vmm {
namespace {

struct MergeFlags {
  std::vector<std::string> files;
  std::string output;
  bool mixed = false;
};

Result<int> execute(const MergeFlags& flags, Services& services) {
  if (flags.files.empty())
    return usage_error("FILE", "is needed: result files written by `kvmux compare --out`");
  if (flags.output.empty())
    return usage_error("-o", "is needed: the file to write, or - for the standard output");
  std::vector<NamedContents> files;
  for (const std::string& path : flags.files) {
    auto contents = read_journal(path);
    if (!contents) return tl::unexpected(contents.error());
    if (contents->dropped_tail) {
      services.err << fmt::format("kvmux: warning: {}: its last line is half-written and was left out\n",
                                  path);
    }
    files.push_back({path, std::move(*contents)});
  }
  const auto merged = merge(files, flags.mixed);
  if (!merged) return tl::unexpected(merged.error());
  if (auto written = write_output("-o", flags.output, journal_text(*merged), services.out); !written) {
    return tl::unexpected(written.error());
  }
  services.err << fmt::format("kvmux: {} cells and {} runs of {} files are in {}\n", merged->cells.size(),
                              merged->runs.size(), files.size(), flags.output);
  return kExitOk;
}

}  // namespace

Command add_merge(CLI::App& parent) {
  const auto flags = std::make_shared<MergeFlags>();
  CLI::App* app = parent.add_subcommand("merge", "join result files of several shards or hosts into one");
  app->add_option("FILE", flags->files, "result files written by --out")->type_name("");
  app->add_option("-o,--output", flags->output, "the file to write")->type_name("FILE|-");
  app->add_flag("--mixed", flags->mixed, "accept several versions or hosts, and keep them apart as a factor");
  return {app, [flags](Services& services) { return execute(*flags, services); }};
}

}  // namespace vmm
