#include "vmm/stats/experiment.h"

#include <algorithm>
#include <cmath>

#include "vmm/stats/analysis.h"
#include "vmm/stats/sample.h"
#include "vmm/stats/serial.h"

namespace vmm {
namespace {

bool is_complete(const BlockRuns& runs) { return std::find(runs.begin(), runs.end(), nullptr) == runs.end(); }

bool is_empty(const BlockRuns& runs) {
  return std::all_of(runs.begin(), runs.end(), [](const RunRecord* run) { return run == nullptr; });
}

double switch_rate(const RunRecord& run) {
  return run.seconds > 0 ? static_cast<double>(run.noise.involuntary_switches) / run.seconds : 0;
}

bool lost_cpu_often(const Design& design, const CellInfo& cell, const RunTable& runs, const RunRecord& run) {
  std::vector<double> earlier;
  for (uint32_t block = 0; block < run.id.block; ++block) {
    const auto attempt = runs.counting_attempt(cell, block);
    if (!attempt) continue;
    const RunRecord* other = runs.find({cell.key, block, *attempt, run.id.slot});
    if (other != nullptr) earlier.push_back(switch_rate(*other));
  }
  if (earlier.size() < kMinEarlierRuns) return false;
  return switch_rate(run) >
         std::max(design.min_switches, design.max_switch_factor * median(std::move(earlier)));
}

}  // namespace

bool RunTable::add(RunRecord record) {
  RunId id = record.id;
  return runs_.emplace(std::move(id), std::move(record)).second;
}

const RunRecord* RunTable::find(const RunId& id) const {
  const auto found = runs_.find(id);
  return found == runs_.end() ? nullptr : &found->second;
}

BlockRuns RunTable::attempt(const CellInfo& cell, uint32_t block, uint32_t attempt) const {
  BlockRuns found(cell.labels.size(), nullptr);
  for (uint32_t slot = 0; slot < found.size(); ++slot) found[slot] = find({cell.key, block, attempt, slot});
  return found;
}

std::optional<uint32_t> RunTable::counting_attempt(const CellInfo& cell, uint32_t block) const {
  std::optional<uint32_t> best;
  bool best_is_complete = false;
  for (uint32_t number = 0;; ++number) {
    const BlockRuns runs = attempt(cell, block, number);
    if (is_empty(runs)) return best;
    const bool complete = is_complete(runs);
    if (complete || !best_is_complete) best = number;
    best_is_complete = best_is_complete || complete;
  }
}

uint32_t RunTable::block_count(const CellInfo& cell) const {
  uint32_t count = 0;
  for (auto run = runs_.lower_bound({cell.key, 0, 0, 0}); run != runs_.end() && run->first.cell == cell.key;
       ++run) {
    count = run->first.block + 1;
  }
  return count;
}

double stolen_share(const CellInfo& cell, const RunRecord& run) {
  const double available = run.seconds * cell.workers;
  const double by_hypervisor = available > 0 ? run.noise.steal_ms / 1e3 / available : 0;
  const double* by_host = run.metric(kStolen);
  return std::max(by_hypervisor, by_host == nullptr ? 0 : *by_host);
}

bool is_disturbed(const Design& design, const CellInfo& cell, const RunTable& runs, uint32_t block,
                  uint32_t attempt) {
  if (cell.backend == "sim") return false;  // its noise is part of the model, and would be the same again
  if (cell.switchback) return false;  // a turn cannot be had again, and its neighbours saw the same host
  const BlockRuns all = runs.attempt(cell, block, attempt);
  return std::any_of(all.begin(), all.end(), [&](const RunRecord* run) {
    return run != nullptr &&
           (stolen_share(cell, *run) > design.max_steal || !run->noise.cpu_changes.empty() ||
            lost_cpu_often(design, cell, runs, *run));
  });
}

Experiment::Experiment(std::vector<Cell> cells, const Design& design)
    : cells_(std::move(cells)),
      design_(design),
      given_up_(cells_.size(), false),
      granted_(cells_.size(), design.blocks),
      satisfied_(cells_.size(), design.until_half_width <= 0),
      whole_(cells_.size(), 0) {}

void Experiment::give_up(const std::string& cell_key) {
  for (size_t i = 0; i < cells_.size(); ++i) {
    if (cells_[i].info.key == cell_key) given_up_[i] = true;
  }
}

bool Experiment::is_narrow(const Cell& cell, uint32_t blocks) const {
  const auto values = [&](size_t slot) {
    std::vector<double> result;
    for (uint32_t block = 0; block < blocks; ++block) {
      const RunRecord* run = nullptr;
      if (const auto attempt = runs_.counting_attempt(cell.info, block)) {
        run = runs_.find({cell.info.key, block, *attempt, static_cast<uint32_t>(slot)});
      }
      const double* value = run == nullptr ? nullptr : run->metric(kThroughput);
      result.push_back(value == nullptr ? std::nan("") : *value);
    }
    return result;
  };
  const std::vector<double> baseline = values(design_.baseline);
  for (size_t slot = 0; slot < cell.slots.size(); ++slot) {
    if (slot == design_.baseline || cell.slots[slot].is_reference) continue;
    const auto ratio = cell.info.switchback
                           ? serial_ratio(values(slot), baseline)
                           : paired_ratio(values(slot), baseline, block_seed(design_.seed, blocks), 2000);
    if (!ratio || ratio->half_width() > design_.until_half_width) return false;
  }
  return true;
}

bool Experiment::wants_block(size_t cell, uint32_t block, bool may_extend) {
  while (may_extend && block >= granted_[cell] && !satisfied_[cell]) {
    const Cell& wanted = cells_[cell];
    satisfied_[cell] = granted_[cell] >= most_blocks(wanted.info) || is_narrow(wanted, granted_[cell]);
    // A switchback boots its VMs once more to go on: half as much again is worth that.
    if (!satisfied_[cell]) granted_[cell] += wanted.info.switchback ? granted_[cell] / 2 + 1 : 1;
  }
  return block < granted_[cell];
}

std::optional<Experiment::Next> Experiment::next_in_block(const Cell& cell, uint32_t block) const {
  for (uint32_t attempt = 0; attempt < design_.most_attempts; ++attempt) {
    const RunId first{cell.info.key, block, attempt, 0};
    const BlockRuns runs = runs_.attempt(cell.info, block, attempt);
    uint32_t place = 0;
    for (const uint32_t slot : block_order(design_.seed, first, cell.slots.size())) {
      const uint32_t at = place++;
      if (runs[slot] != nullptr) continue;
      const RunId id{cell.info.key, block, attempt, slot};
      return Next{&cell, &cell.slots[slot], id, block_seed(design_.seed, block), at};
    }
    if (!is_disturbed(design_, cell.info, runs_, block, attempt)) return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Experiment::Next> Experiment::next_granted(bool time_is_up) {
  bool wanted = true;
  for (uint32_t block = 0; wanted; ++block) {
    wanted = false;
    for (size_t i = 0; i < cells_.size(); ++i) {
      if (given_up_[i] || !wants_block(i, block, !time_is_up)) continue;
      wanted = true;
      if (block < whole_[i]) continue;
      if (!is_ours(block)) {
        if (block == whole_[i]) ++whole_[i];
        continue;
      }
      auto found = next_in_block(cells_[i], block);
      if (!found) {
        if (block == whole_[i]) ++whole_[i];
        continue;
      }
      const bool begins = is_empty(runs_.attempt(cells_[i].info, block, found->id.attempt));
      if (!begins || !time_is_up) return found;
    }
  }
  return std::nullopt;
}

void Experiment::missing_in_block(const Cell& cell, uint32_t block, size_t most,
                                  std::vector<Next>& missing) const {
  const RunId first{cell.info.key, block, 0, 0};
  const BlockRuns runs = runs_.attempt(cell.info, block, 0);
  uint32_t place = 0;
  for (const uint32_t slot : block_order(design_.seed, first, cell.slots.size())) {
    const uint32_t at = place++;
    if (runs[slot] != nullptr || missing.size() >= most) continue;
    const RunId id{cell.info.key, block, 0, slot};
    missing.push_back({&cell, &cell.slots[slot], id, block_seed(design_.seed, block), at});
  }
}

std::vector<Experiment::Next> Experiment::next_batch(bool time_is_up, size_t most) {
  std::vector<Next> batch;
  const auto first = next(time_is_up);
  if (!first) return batch;
  if (time_is_up) return {*first};
  for (uint32_t block = first->id.block; batch.size() < most; ++block) {
    bool wanted = false;
    for (size_t i = 0; i < cells_.size() && batch.size() < most; ++i) {
      // An extended cell is looked at again only when all that was granted is there.
      if (given_up_[i] || block >= granted_[i]) continue;
      wanted = true;
      if (block < whole_[i] || !is_ours(block)) continue;
      missing_in_block(cells_[i], block, most, batch);
    }
    if (!wanted) break;
  }
  return batch;
}

std::vector<Experiment::Open> Experiment::open() const {
  std::vector<CellInfo> infos;
  for (const Cell& cell : cells_) infos.push_back(cell.info);
  std::vector<Open> result;
  for (const MetricInfo* metric : design_.until_settled) {
    const AnalysisOptions options{.design = design_,
                                  .baseline = cells_.front().info.labels[design_.baseline],
                                  .margin = design_.margin,
                                  .only = metric};
    const auto findings = analyse(infos, runs_, options);
    for (size_t i = 0; i < findings.size(); ++i) {
      for (const PolicyFindings& policy : findings[i].policies) {
        for (const Finding& finding : policy.findings) {
          if (!is_open(finding.verdict)) continue;
          result.push_back({i, policy.label, metric->name, finding.more_blocks});
        }
      }
    }
  }
  return result;
}

// What settles most comes first: of the cells with open verdicts the one whose nearest verdict is forecast to
// cost the least time goes on to its next look. A verdict without a ratio (a 0 in it) never settles.
bool Experiment::grant_next_look() {
  std::optional<size_t> best;
  double best_cost = 0;
  for (const Open& open : open()) {
    const Cell& cell = cells_[open.cell];
    if (given_up_[open.cell] || granted_[open.cell] >= most_blocks(cell.info) || !open.more_blocks) continue;
    const double run = cell.info.switchback ? cell.info.period : cell.info.seconds;
    const double block = run * static_cast<double>(cell.slots.size());
    const double cost = block * static_cast<double>(*open.more_blocks);
    if (best && cost >= best_cost) continue;
    best = open.cell;
    best_cost = cost;
  }
  if (!best) return false;
  const CellInfo& info = cells_[*best].info;
  const uint32_t look = Looks(std::max(design_.blocks, info.first_look)).next(granted_[*best]);
  granted_[*best] = std::min(look, most_blocks(info));
  return true;
}

std::optional<Experiment::Next> Experiment::next(bool time_is_up) {
  for (;;) {
    auto found = next_granted(time_is_up);
    if (found || time_is_up || design_.until_settled.empty()) return found;
    if (!grant_next_look()) return std::nullopt;
  }
}

Experiment::Count Experiment::count() const {
  Count count;
  for (size_t i = 0; i < cells_.size(); ++i) {
    if (given_up_[i]) continue;
    const Cell& cell = cells_[i];
    const uint32_t whole = std::min(whole_[i], granted_[i]);
    count.planned += ours_before(whole) * cell.slots.size();
    count.done += ours_before(whole) * cell.slots.size();
    for (uint32_t block = whole; block < granted_[i]; ++block) {
      if (!is_ours(block)) continue;
      count.planned += cell.slots.size();
      const auto attempt = runs_.counting_attempt(cell.info, block);
      if (!attempt) continue;
      const BlockRuns runs = runs_.attempt(cell.info, block, *attempt);
      count.done += cell.slots.size() - static_cast<size_t>(std::count(runs.begin(), runs.end(), nullptr));
    }
  }
  return count;
}

}  // namespace vmm
