#include "vmm/stats/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace vmm {
namespace {

struct Origin {
  std::string version;
  std::string host;
  friend auto operator<=>(const Origin&, const Origin&) = default;
};

std::string host_text(const Json& host) {
  return fmt::format("{}, {}, {} of {} CPUs", host.value("cpu_model", "unknown CPU"),
                     host.value("kernel", "unknown kernel"), host.value("cpus_allowed", 0),
                     host.value("cpus", 0));
}

bool is_simulated(const JournalContents& contents) {
  return std::all_of(contents.cells.begin(), contents.cells.end(),
                     [](const CellInfo& cell) { return cell.backend == "sim"; });
}

// Where the runs of a file come from. The simulator's do not depend on the host.
Result<Origin> origin_of(const NamedContents& file) {
  std::set<Origin> origins;
  for (const Json& session : file.contents.sessions) {
    const std::string host =
        is_simulated(file.contents) ? "" : host_text(session.value("host", Json::object()));
    origins.insert({session.value("kvmux_version", "unknown"), host});
  }
  if (origins.empty()) return usage_error(file.name, "has no line that says on which host it was measured");
  if (origins.size() > 1) {
    return usage_error(file.name,
                       fmt::format("was itself measured by several versions or hosts ('{}' and '{}'); "
                                   "accepted is a file of one",
                                   origins.begin()->version + " " + origins.begin()->host,
                                   origins.rbegin()->version + " " + origins.rbegin()->host));
  }
  return *origins.begin();
}

class Merger {
 public:
  explicit Merger(bool mixed) : mixed_(mixed) {}

  Result<void> take(const NamedContents& file, const std::string& factor) {
    for (const Json& session : file.contents.sessions) {
      const auto& known = merged_.sessions;
      if (std::find(known.begin(), known.end(), session) == known.end()) merged_.sessions.push_back(session);
    }
    for (CellInfo cell : file.contents.cells) {
      apart(cell.key, factor);
      if (!factor.empty()) cell.guest += " on " + factor;
      if (keys_.insert(cell.key).second) merged_.cells.push_back(std::move(cell));
    }
    for (RunRecord run : file.contents.runs) {
      apart(run.id.cell, factor);
      const auto [known, is_new] = runs_.emplace(run.id, dump(run_line(run)));
      if (is_new) {
        merged_.runs.push_back(std::move(run));
      } else if (known->second != dump(run_line(run))) {
        return usage_error(file.name,
                           fmt::format("holds another result of cell {}, block {}, slot {} than an earlier "
                                       "file; accepted is each run once",
                                       run.id.cell, run.id.block, run.id.slot));
      }
    }
    return {};
  }

  JournalContents finish() {
    std::stable_sort(merged_.cells.begin(), merged_.cells.end(), [](const CellInfo& a, const CellInfo& b) {
      return a.place.value_or(UINT32_MAX) < b.place.value_or(UINT32_MAX);
    });
    std::sort(merged_.runs.begin(), merged_.runs.end(),
              [](const RunRecord& a, const RunRecord& b) { return a.id < b.id; });
    return std::move(merged_);
  }

 private:
  void apart(std::string& key, const std::string& factor) const {
    if (mixed_ && !factor.empty()) key = hex(fingerprint(key + factor));
  }

  bool mixed_;
  JournalContents merged_;
  std::set<std::string> keys_;
  std::map<RunId, std::string> runs_;
};

// What to call each origin: its host, its version as well where versions differ; nothing if there is one.
std::string factor_of(const Origin& origin, const std::set<Origin>& all) {
  if (all.size() < 2) return "";
  const bool versions =
      std::any_of(all.begin(), all.end(), [&](const Origin& o) { return o.version != origin.version; });
  if (origin.host.empty()) return "kvmux " + origin.version;
  return versions ? fmt::format("{}, kvmux {}", origin.host, origin.version) : origin.host;
}

}  // namespace

Result<JournalContents> merge(std::span<const NamedContents> files, bool mixed) {
  std::vector<Origin> origins;
  for (const NamedContents& file : files) {
    auto origin = origin_of(file);
    if (!origin) return tl::unexpected(origin.error());
    origins.push_back(std::move(*origin));
  }
  const std::set<Origin> all(origins.begin(), origins.end());
  if (all.size() > 1 && !mixed) {
    const auto other =
        std::find_if(origins.begin(), origins.end(), [&](const Origin& o) { return o != origins.front(); });
    const auto text = [](const Origin& o) {
      return fmt::format("kvmux {}{}{}", o.version, o.host.empty() ? "" : " on ", o.host);
    };
    return usage_error(files[static_cast<size_t>(other - origins.begin())].name,
                       fmt::format("was measured by {}, {} by {}; --mixed keeps them apart as a factor",
                                   text(*other), files.front().name, text(origins.front())));
  }
  Merger merger(mixed);
  for (size_t i = 0; i < files.size(); ++i) {
    if (auto taken = merger.take(files[i], factor_of(origins[i], all)); !taken)
      return tl::unexpected(taken.error());
  }
  return merger.finish();
}

std::string journal_text(const JournalContents& contents) {
  std::string text;
  for (const Json& session : contents.sessions) text += dump(session) + "\n";
  for (const CellInfo& cell : contents.cells) text += dump(cell_line(cell)) + "\n";
  for (const RunRecord& run : contents.runs) text += dump(run_line(run)) + "\n";
  return text;
}

}  // namespace vmm
