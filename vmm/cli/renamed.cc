#include "vmm/cli/renamed.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <vector>

#include "sched/base/text.h"
#include "sched/policy/parse.h"

namespace vmm {
namespace {

// `where`: what begins the line, behind the program's name.
void note(std::span<const std::string> words, std::string_view where, std::ostream& err) {
  std::vector<std::string_view> noted;
  for (const std::string& word : words) {
    for (std::string_view piece : sched::split(word, ",:;")) {
      const bool is_flag = piece.starts_with("--");
      if (is_flag) piece.remove_prefix(2);
      const size_t equals = piece.find('=');
      if (!is_flag && equals == std::string_view::npos) continue;
      const std::string_view key = piece.substr(0, equals);
      const std::string_view now = sched::new_name_of(key);
      if (now.empty() || std::find(noted.begin(), noted.end(), key) != noted.end()) continue;
      noted.push_back(key);
      err << fmt::format("kvmux: {}'{}' is called '{}' now; the old name goes on working\n", where, key, now);
    }
  }
}

}  // namespace

void note_renamed(std::span<const std::string> words, std::ostream& err) { note(words, "", err); }

void note_renamed(std::span<const CellInfo> cells, std::string_view file, std::ostream& err) {
  std::vector<std::string> labels;
  for (const CellInfo& cell : cells) labels.insert(labels.end(), cell.labels.begin(), cell.labels.end());
  note(labels, fmt::format("{}: ", file), err);
}

}  // namespace vmm
