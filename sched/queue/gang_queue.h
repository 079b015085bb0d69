// Gang scheduling: Ousterhout's matrix ("Scheduling Techniques for Concurrent Systems", 1982). Columns are
// workers, rows are slots of time; a gang sits in one row, one vCPU a column, so that all of it runs at once.
// The row follows from the time alone, so workers switch together without talking. A VM with more vCPUs than
// there are workers is cut into gangs that fit. A place whose vCPU is halted, or empty, is filled with
// another vCPU of that column.
//
// The plan is built by one thread before the run and only read during it. A GangQueue is guarded by its
// worker's lock.
#pragma once

#include <memory>
#include <vector>

#include "sched/queue/run_queue.h"

namespace sched {

class GangPlan {
 public:
  GangPlan(uint32_t workers, Nanos slot) : workers_(workers), slot_(slot) {}

  // Places the next VM (VmIds are dealt in call order).
  void add(uint32_t vcpus, Weight weight);
  // Call once after the last add(): deals the time slots by weight.
  void finish();

  struct Place {
    uint32_t row;
    WorkerId column;
  };
  Place place(VmId vm, uint32_t index) const { return vms_[index_of(vm)][index]; }
  uint32_t rows() const { return static_cast<uint32_t>(rows_.size()); }
  uint32_t row_at(Nanos now) const { return sequence_[static_cast<size_t>(now / slot_) % sequence_.size()]; }
  Nanos slot_end(Nanos now) const { return (now / slot_ + 1) * slot_; }

 private:
  struct Row {
    uint32_t used = 0;   // columns
    int64_t weight = 0;  // largest of its gangs
  };
  const uint32_t workers_;
  const Nanos slot_;
  std::vector<Row> rows_;
  std::vector<std::vector<Place>> vms_;
  std::vector<uint32_t> sequence_;  // rows in order of time, repeated for ever
};

class GangQueue final : public RunQueue {
 public:
  explicit GangQueue(std::shared_ptr<const GangPlan> plan)
      : plan_(std::move(plan)), members_(plan_->rows()) {}

  void enqueue(Vcpu& vcpu, Nanos now) override;
  void dequeue(Vcpu& vcpu, Nanos now) override;
  Vcpu* pick(Nanos now) override;
  void put(Nanos) override { current_ = nullptr; }
  bool tick(Nanos now) override { return turn_end() <= now; }
  void discount_stolen(Nanos) override {}  // the rows change by the clock
  Nanos turn_end() const override { return runnable_ > 1 ? slot_end_ : kForever; }
  bool preempts(const Vcpu& woken) const override;
  uint32_t movable(std::span<Vcpu*>) const override { return 0; }  // a gang's places are fixed
  Vcpu* current() const override { return current_; }
  uint32_t runnable() const override { return runnable_; }
  Weight load() const override { return {kDefaultWeight.value * runnable_}; }
  Weight load_of(const Vcpu&) const override { return kDefaultWeight; }

 private:
  uint32_t row_of(const Vcpu& vcpu) const { return plan_->place(vcpu.vm, vcpu.index).row; }

  std::shared_ptr<const GangPlan> plan_;
  std::vector<Vcpu*> members_;  // by row; null: halted or no such place in this column
  Vcpu* current_ = nullptr;
  uint32_t runnable_ = 0;
  uint32_t filler_ = 0;  // the row that filled a gap last
  uint32_t row_ = 0;     // whose slot it is
  Nanos slot_end_{};
};

}  // namespace sched
