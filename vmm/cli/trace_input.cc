#include "vmm/cli/trace_input.h"

#include <fmt/format.h>

#include <ostream>

#include "vmm/cli/command.h"
#include "vmm/cli/values.h"

namespace vmm {

std::string cut_off_text(const std::string& file, const Trace& last) {
  return fmt::format("kvmux: {}: {}\n", file,
                     last.unfinished
                         ? "whoever wrote it was stopped; of its last run there is what was written"
                         : "its last run is cut off");
}

Result<Trace> read_run(const std::string& file, const std::string& run_number, Services& services) {
  const auto reader = TraceReader::open(file);
  if (!reader) return Failure(reader.error());
  const auto run = parse_count("--run", run_number, {1, static_cast<int64_t>(reader->runs().size())});
  if (!run) return Failure(run.error());
  auto trace = reader->read(static_cast<size_t>(*run - 1));
  if (!trace) return trace;
  if (reader->cut_off()) services.err << cut_off_text(file, reader->runs().back());
  if (trace->lost > 0) {
    services.err << fmt::format(
        "kvmux: {} events did not fit into the rings (--trace-events, --trace-stream)\n", trace->lost);
  }
  return trace;
}

}  // namespace vmm
