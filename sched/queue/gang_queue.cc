#include "sched/queue/gang_queue.h"

#include <algorithm>

#include "sched/base/check.h"

namespace sched {

void GangPlan::add(uint32_t vcpus, Weight weight) {
  std::vector<Place>& places = vms_.emplace_back();
  for (uint32_t first = 0; first < vcpus; first += workers_) {
    const uint32_t size = std::min(workers_, vcpus - first);
    auto row =
        std::find_if(rows_.begin(), rows_.end(), [&](const Row& r) { return r.used + size <= workers_; });
    if (row == rows_.end()) row = rows_.emplace(rows_.end());
    for (uint32_t i = 0; i < size; ++i) {
      places.push_back({static_cast<uint32_t>(row - rows_.begin()), WorkerId{row->used + i}});
    }
    row->used += size;
    // The VM's weight is split over its gangs, in units fine enough for the smallest part.
    row->weight = std::max(row->weight, std::max<int64_t>(1, weight.value * size / vcpus));
  }
}

// Stride scheduling over as many slots as it takes to show the weights: each goes to the row that is furthest
// behind. Every row gets one, so a weight too small for that counts as the smallest that is not.
void GangPlan::finish() {
  constexpr size_t kSlotsPerRow = 16;
  constexpr int64_t kLongest = 4096;
  int64_t sum = 0;
  for (const Row& row : rows_) sum += row.weight;
  const auto fewest = static_cast<int64_t>(rows_.size() * kSlotsPerRow);
  int64_t smallest = sum;
  for (const Row& row : rows_) smallest = std::min(smallest, row.weight);
  const int64_t slots =
      rows_.empty() ? 0 : std::clamp(2 * sum / smallest + 1, fewest, std::max(fewest, kLongest));
  for (Row& row : rows_) row.weight = std::max(row.weight, 2 * sum / slots);
  std::vector<int64_t> given(rows_.size(), 0);
  for (int64_t slot = 0; slot < slots; ++slot) {
    size_t next = 0;
    for (size_t r = 1; r < rows_.size(); ++r) {
      if ((given[r] + 1) * rows_[next].weight < (given[next] + 1) * rows_[r].weight) next = r;
    }
    ++given[next];
    sequence_.push_back(static_cast<uint32_t>(next));
  }
}

void GangQueue::enqueue(Vcpu& vcpu, Nanos) {
  SCHED_DCHECK(members_[row_of(vcpu)] == nullptr);
  members_[row_of(vcpu)] = &vcpu;
  ++runnable_;
}

void GangQueue::dequeue(Vcpu& vcpu, Nanos) {
  members_[row_of(vcpu)] = nullptr;
  --runnable_;
  if (current_ == &vcpu) current_ = nullptr;
}

Vcpu* GangQueue::pick(Nanos now) {
  row_ = plan_->row_at(now);
  slot_end_ = plan_->slot_end(now);
  if (runnable_ == 0) return nullptr;
  current_ = members_[row_];
  while (current_ == nullptr) {
    filler_ = (filler_ + 1) % plan_->rows();
    current_ = members_[filler_];
  }
  return current_;
}

bool GangQueue::preempts(const Vcpu& woken) const {
  return current_ != nullptr && row_of(woken) == row_ && row_of(*current_) != row_;
}

}  // namespace sched
