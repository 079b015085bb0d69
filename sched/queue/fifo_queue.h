// Round robin: one list, a fixed slice, no weights. Guarded by the worker's lock. O(1) per operation.
#pragma once

#include "sched/queue/run_queue.h"

namespace sched {

class FifoQueue final : public RunQueue {
 public:
  void enqueue(Vcpu& vcpu, Nanos now) override;
  void dequeue(Vcpu& vcpu, Nanos now) override;
  Vcpu* pick(Nanos now) override;
  void put(Nanos now) override;
  bool tick(Nanos now) override;
  void discount_stolen(Nanos lost) override { turn_start_ += lost; }
  Nanos turn_end() const override;
  bool preempts(const Vcpu&) const override { return false; }
  uint32_t movable(std::span<Vcpu*> out) const override;
  Vcpu* current() const override { return current_; }
  uint32_t runnable() const override { return runnable_; }
  Weight load() const override { return {kDefaultWeight.value * runnable_}; }
  Weight load_of(const Vcpu&) const override { return kDefaultWeight; }

 private:
  void append(Vcpu& vcpu);
  void unlink(Vcpu& vcpu);

  // Who waits, linked through Vcpu::previous and next.
  Vcpu* head_ = nullptr;
  Vcpu* tail_ = nullptr;
  Vcpu* current_ = nullptr;
  uint32_t runnable_ = 0;
  Nanos turn_start_{};
};

}  // namespace sched
