// Result files: JSON lines, appended the moment each run ends, one write() a line, so that a killed grid
// loses at most the run it was in. Lines are of kind `session` (command and host), `cell`, `run` and
// `failure`.
//
// One owner, main thread. An open journal holds a lock on its file: two programs cannot append to one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/json.h"
#include "vmm/result.h"
#include "vmm/stats/plan.h"

namespace vmm {

inline constexpr int kJournalSchemaVersion = 1;

struct JournalContents {
  std::vector<Json> sessions;
  std::vector<CellInfo> cells;  // each once
  std::vector<RunRecord> runs;  // each identity once: a repeated one is dropped
  size_t whole_bytes = 0;       // up to the end of the last whole line
  bool dropped_tail = false;    // the last line was half-written
};

// A half-written last line is dropped; any other broken line is a usage error with its number.
[[nodiscard]] Result<JournalContents> parse_journal(std::string_view name, std::string_view text);
[[nodiscard]] Result<JournalContents> read_journal(const std::string& path);

Json run_line(const RunRecord& record);
Json cell_line(const CellInfo& cell);

class Journal {
 public:
  // Opens or creates the file, locks it, loads it and cuts off a half-written last line.
  [[nodiscard]] static Result<Journal> open(const std::string& path);

  Journal(Journal&& other) noexcept;
  Journal& operator=(Journal&& other) noexcept;
  ~Journal();

  [[nodiscard]] const JournalContents& contents() const { return contents_; }
  [[nodiscard]] Result<void> append(const Json& line);

 private:
  Journal(int fd, std::string path, JournalContents contents);

  int fd_ = -1;
  std::string path_;
  JournalContents contents_;
};

}  // namespace vmm
