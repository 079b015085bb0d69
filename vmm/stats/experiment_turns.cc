// What an experiment knows of cells whose policies take turns.
#include <algorithm>
#include <cmath>

#include "vmm/stats/experiment.h"

namespace vmm {

std::vector<Experiment::Next> Experiment::missing(const Cell& cell, size_t most_blocks) const {
  std::vector<Next> all;
  const auto at = static_cast<size_t>(&cell - cells_.data());
  size_t blocks = 0;
  for (uint32_t block = whole_[at]; block < granted_[at] && blocks < most_blocks; ++block) {
    if (!is_ours(block)) continue;
    const size_t before = all.size();
    missing_in_block(cell, block, SIZE_MAX, all);
    blocks += all.size() > before ? 1 : 0;
  }
  return all;
}

uint32_t Experiment::most_blocks(const CellInfo& cell) const {
  constexpr uint32_t kMostTurns = 100'000;
  return cell.switchback ? kMostTurns : design_.most_blocks;
}

void Experiment::set_turns(const std::string& cell_key, double period, double washout) {
  for (size_t i = 0; i < cells_.size(); ++i) {
    CellInfo& info = cells_[i].info;
    if (info.key != cell_key) continue;
    info.period = period;
    info.washout = washout;
    const double blocks = std::ceil(design_.blocks * info.seconds / period);
    granted_[i] = std::clamp(static_cast<uint32_t>(blocks), design_.blocks, most_blocks(info));
    if (info.first_look != 0) info.first_look = granted_[i];
  }
}

}  // namespace vmm
