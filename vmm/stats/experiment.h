// Decides which run comes next: blocks interleaved over all cells, slots in random order, disturbed blocks
// again, more blocks until the intervals are narrow or the verdicts settled. What it decides depends only on
// the design and the runs it knows, so a resumed grid goes on exactly where a killed one stopped.
//
//   add() all runs known from a file;   while (next run) { measure it; add() it; }
//
// One owner, main thread.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "vmm/stats/plan.h"

namespace vmm {

struct Design {
  uint64_t seed = 1;
  uint32_t blocks = 5;          // with until_half_width: at least these
  double until_half_width = 0;  // 0: exactly `blocks`; 0.02: on until each ratio is known to ± 2 %
  uint32_t most_blocks = 1000;  // with until_half_width or until_settled
  // On until each verdict of these metrics is settled by this margin; empty: no.
  std::vector<const MetricInfo*> until_settled;
  double margin = 0.03;
  size_t baseline = 0;           // slot
  double max_steal = 0.05;       // share of the workers' time
  double max_switch_factor = 4;  // against the median of the slot's earlier runs …
  double min_switches = 50;      // … and more than this many involuntary switches a second
  uint32_t most_attempts = 3;    // at one block; the last one counts, disturbed or not
  // This process is one of several, and measures every so manieth block only.
  uint32_t process = 0;
  uint32_t processes = 1;
};

// The runs of one attempt at a block, by slot; nullptr where one is missing.
using BlockRuns = std::vector<const RunRecord*>;

// Earlier runs a slot must have before its involuntary switches can be judged.
inline constexpr size_t kMinEarlierRuns = 3;

// All runs known, by identity.
class RunTable {
 public:
  // False if a run of this identity was there already.
  bool add(RunRecord record);
  [[nodiscard]] const RunRecord* find(const RunId& id) const;
  [[nodiscard]] BlockRuns attempt(const CellInfo& cell, uint32_t block, uint32_t attempt) const;
  // The attempt that counts: the last complete one, else the last that has any run. Nothing if none has.
  [[nodiscard]] std::optional<uint32_t> counting_attempt(const CellInfo& cell, uint32_t block) const;
  // One past the last block with a run.
  [[nodiscard]] uint32_t block_count(const CellInfo& cell) const;
  [[nodiscard]] size_t size() const { return runs_.size(); }

 private:
  std::map<RunId, RunRecord> runs_;
};

// Share of the workers' time that the host gave to others: steal time of the machine's own hypervisor or time
// that workers waited for their CPUs, whichever is more.
double stolen_share(const CellInfo& cell, const RunRecord& run);

// The stated rule: in one of the runs of this attempt the host stole more than max_steal of the workers'
// time, or took a worker's CPU away far more often than in the slot's earlier blocks.
bool is_disturbed(const Design& design, const CellInfo& cell, const RunTable& runs, uint32_t block,
                  uint32_t attempt);

class Experiment {
 public:
  Experiment(std::vector<Cell> cells, const Design& design);

  struct Next {
    const Cell* cell;
    const Slot* slot;
    RunId id;
    uint64_t seed;
    uint32_t place = 0;  // in the order of its block's runs
  };
  // Nothing when all is measured. When `time_is_up`, no further block is begun.
  [[nodiscard]] std::optional<Next> next(bool time_is_up);

  // Up to `most` runs that may be made in any order or at once: what next() would give one after the other if
  // no block is disturbed (simulated cells). Nothing when all is measured.
  [[nodiscard]] std::vector<Next> next_batch(bool time_is_up, size_t most);

  // A verdict that is still open, by what is known now; with until_settled.
  struct Open {
    size_t cell;
    std::string label;
    std::string_view metric;
    std::optional<size_t> more_blocks;  // forecast
  };
  [[nodiscard]] std::vector<Open> open() const;

  bool add(RunRecord record) { return runs_.add(std::move(record)); }
  // All runs of blocks that this cell is certain to want and that are not there, in order: what a switchback
  // measures in one go, at most so many blocks.
  [[nodiscard]] std::vector<Next> missing(const Cell& cell, size_t most_blocks) const;
  // The turns of a switchback are this long: as many blocks as there would be runs in the same time.
  void set_turns(const std::string& cell_key, double period, double washout);

  // No more runs of this cell, e.g. because its guest fails.
  void give_up(const std::string& cell_key);

  // Which of several processes this is; nothing: the only one.
  [[nodiscard]] std::optional<uint32_t> process() const {
    return design_.processes > 1 ? std::optional(design_.process) : std::nullopt;
  }
  [[nodiscard]] const RunTable& runs() const { return runs_; }
  [[nodiscard]] std::span<const Cell> cells() const { return cells_; }
  // Of blocks that are certain to be run, and how many of those runs are there.
  struct Count {
    size_t planned = 0;
    size_t done = 0;
  };
  [[nodiscard]] Count count() const;

 private:
  [[nodiscard]] bool wants_block(size_t cell, uint32_t block, bool may_extend);
  [[nodiscard]] bool is_narrow(const Cell& cell, uint32_t blocks) const;
  [[nodiscard]] bool is_ours(uint32_t block) const { return block % design_.processes == design_.process; }
  // Of the first so many blocks.
  [[nodiscard]] uint32_t ours_before(uint32_t blocks) const {
    return (blocks + design_.processes - 1 - design_.process) / design_.processes;
  }
  [[nodiscard]] uint32_t most_blocks(const CellInfo& cell) const;
  [[nodiscard]] std::optional<Next> next_granted(bool time_is_up);
  [[nodiscard]] bool grant_next_look();
  void missing_in_block(const Cell& cell, uint32_t block, size_t most, std::vector<Next>& missing) const;
  [[nodiscard]] std::optional<Next> next_in_block(const Cell& cell, uint32_t block) const;

  std::vector<Cell> cells_;
  Design design_;
  RunTable runs_;
  std::vector<bool> given_up_;
  std::vector<uint32_t> granted_;  // blocks that each cell is known to want
  std::vector<bool> satisfied_;    // wants no more than that
  // Blocks of each cell, from the first, that are known to be complete: a grid of thousands of cells does not
  // look at all its runs before each.
  std::vector<uint32_t> whole_;
};

}  // namespace vmm
