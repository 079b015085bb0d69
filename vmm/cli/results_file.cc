// The result file of compare and sweep: opened, taken over as far as it is ours, begun.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ostream>

#include "vmm/cli/grid.h"
#include "vmm/cli/run_json.h"

namespace vmm {
Json session_line(const Services& services, const Conditions& conditions) {
  Json line{{"kind", "session"},
            {"schema", "kvmux.results"},
            {"schema_version", kJournalSchemaVersion},
            {"kvmux_version", kVersion},
            {"command", services.command_line},
            {"host", host_json(services.host)}};
  if (!conditions.moves.is_null()) line["moves"] = conditions.moves;
  if (!conditions.cpus.is_null()) {  // real runs: the simulator's results depend on no instant and no CPU
    line["cpus"] = conditions.cpus;
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    line["started_unix"] = std::chrono::duration_cast<std::chrono::seconds>(since_epoch).count();
  }
  return line;
}

Result<std::optional<Journal>> open_results(const std::string& path, Experiment& experiment,
                                            const Conditions& conditions, Services& services) {
  if (path.empty()) return std::nullopt;
  auto journal = Journal::open(path);
  if (!journal) return tl::unexpected(journal.error());
  size_t known = 0;
  for (const RunRecord& run : journal->contents().runs) {
    const auto ours = [&run](const Cell& cell) { return cell.info.key == run.id.cell; };
    if (std::none_of(experiment.cells().begin(), experiment.cells().end(), ours)) continue;
    known += experiment.add(run) ? 1 : 0;
  }
  if (known != 0) services.err << fmt::format("kvmux: {} runs are in {} already; going on\n", known, path);
  if (const auto appended = journal->append(session_line(services, conditions)); !appended) {
    return tl::unexpected(appended.error());
  }
  for (const Cell& cell : experiment.cells()) {
    const auto& stored = journal->contents().cells;
    if (std::find(stored.begin(), stored.end(), cell.info) != stored.end()) continue;
    const auto stored_cell = std::find_if(stored.begin(), stored.end(),
                                          [&](const CellInfo& info) { return info.key == cell.info.key; });
    if (cell.info.switchback && stored_cell != stored.end()) {
      experiment.set_turns(cell.info.key, stored_cell->period, stored_cell->washout);
      continue;
    }
    if (cell.info.switchback && cell.info.period == 0) continue;  // written once its turns are chosen
    if (const auto appended = journal->append(cell_line(cell.info)); !appended) {
      return tl::unexpected(appended.error());
    }
  }
  return std::optional<Journal>{std::move(*journal)};
}

}  // namespace vmm
