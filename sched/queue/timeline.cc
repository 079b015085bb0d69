#include "sched/queue/timeline.h"

#include "sched/base/check.h"

namespace sched {

Vruntime Timeline::average() const {
  if (members_ == 0) return last_average_;
  // Rounded down, so that an entity at the average is eligible.
  Int128 quotient = weighted_ / load_;
  if (weighted_ % load_ < 0) --quotient;
  return {static_cast<int64_t>(quotient)};
}

void Timeline::join(Entity& entity) {
  SCHED_DCHECK(!entity.queued);
  entity.queued = true;
  entity.timeline = this;
  weighted_ += static_cast<Int128>(entity.weight.value) * entity.vruntime.ticks;
  load_ += entity.weight.value;
  ++members_;
  tree_.insert(entity);
}

void Timeline::leave(Entity& entity) {
  SCHED_DCHECK(entity.queued && entity.timeline == this);
  if (members_ == 1) last_average_ = average();
  if (&entity == current_) {
    current_ = nullptr;
  } else {
    tree_.erase(entity);
  }
  if (nominee_ == &entity) nominee_ = nullptr;
  entity.queued = false;
  weighted_ -= static_cast<Int128>(entity.weight.value) * entity.vruntime.ticks;
  load_ -= entity.weight.value;
  --members_;
}

void Timeline::set_current(Entity& entity) {
  SCHED_DCHECK(current_ == nullptr);
  tree_.erase(entity);
  current_ = &entity;
}

void Timeline::put_current() {
  SCHED_DCHECK(current_ != nullptr);
  tree_.insert(*current_);
  current_ = nullptr;
}

void Timeline::advance_current(Vruntime service) {
  current_->vruntime += service;
  weighted_ += static_cast<Int128>(current_->weight.value) * service.ticks;
}

void Timeline::replace(Entity& entity, Vruntime vruntime, Vruntime deadline, Weight weight) {
  const bool in_tree = &entity != current_;
  if (in_tree) tree_.erase(entity);
  weighted_ -= static_cast<Int128>(entity.weight.value) * entity.vruntime.ticks;
  load_ -= entity.weight.value;
  entity.vruntime = vruntime;
  entity.deadline = deadline;
  entity.weight = weight;
  weighted_ += static_cast<Int128>(entity.weight.value) * entity.vruntime.ticks;
  load_ += entity.weight.value;
  if (in_tree) tree_.insert(entity);
}

bool Timeline::honours_nominee() const {
  return nominee_ != nullptr &&
         eligible(nominee_->vruntime - to_virtual(nomination_.slack, nominee_->weight));
}

Entity* Timeline::pick() {
  SCHED_DCHECK(current_ == nullptr);
  if (honours_nominee()) {
    Entity* chosen = nominee_;
    nominee_ = nullptr;
    return chosen;
  }
  if (!nomination_.lasts) nominee_ = nullptr;
  Entity* chosen = peek();
  if (chosen == nominee_) nominee_ = nullptr;
  return chosen;
}

bool Timeline::passes_over_current() const {
  if (nominee_ != current_ && honours_nominee()) return true;
  return !eligible(*current_) && peek() != current_;
}

Entity* Timeline::peek() const {
  Entity* best = tree_.earliest([this](Vruntime v) { return eligible(v); });
  if (current_ != nullptr && eligible(*current_) &&
      (best == nullptr || current_->deadline <= best->deadline)) {
    return current_;
  }
  // Someone always has non-negative lag; rounding never hides it because eligible() does not round.
  SCHED_DCHECK(best != nullptr || tree_.empty());
  return best;
}

void Timeline::check_sums() const {
  Int128 weighted = 0;
  int64_t load = 0;
  uint32_t members = 0;
  for_each([&](const Entity& entity) {
    weighted += static_cast<Int128>(entity.weight.value) * entity.vruntime.ticks;
    load += entity.weight.value;
    ++members;
  });
  SCHED_CHECK(weighted == weighted_ && load == load_ && members == members_);
}

}  // namespace sched
