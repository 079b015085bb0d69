#include "vmm/run/alarms.h"

#include <algorithm>

namespace vmm {

void Alarms::keep(Alarm& alarm, Nanos at) {
  if (alarm.home != this) {
    if (alarm.home != nullptr) {
      const sched::MutexLock lock(alarm.home->mutex_);
      if (alarm.at != sched::kForever) alarm.home->remove(alarm);
    }
    alarm.home = this;
  }
  // At home nobody else changes it: its owner is this thread, and so is the lease holder.
  if (alarm.at == at) return;
  const sched::MutexLock lock(mutex_);
  if (at == sched::kForever) return remove(alarm);
  if (alarm.at == sched::kForever) {
    heap_.push_back(&alarm);
    place(alarm, heap_.size() - 1);
  }
  alarm.at = at;
  sift(alarm.place);
  publish();
}

std::optional<sched::VcpuId> Alarms::take_first(Nanos now) {
  const sched::MutexLock lock(mutex_);
  if (heap_.empty() || heap_.front()->at > now) return std::nullopt;
  Alarm& due = *heap_.front();
  remove(due);
  return due.vcpu;
}

size_t Alarms::size() {
  const sched::MutexLock lock(mutex_);
  return heap_.size();
}

void Alarms::remove(Alarm& alarm) {
  const size_t hole = alarm.place;
  alarm.at = sched::kForever;
  Alarm& last = *heap_.back();
  heap_.pop_back();
  if (&last != &alarm) {
    place(last, hole);
    sift(hole);
  }
  publish();
}

void Alarms::place(Alarm& alarm, size_t at) {
  heap_[at] = &alarm;
  alarm.place = static_cast<uint32_t>(at);
}

// Up or down, to where it belongs.
void Alarms::sift(size_t from) {
  Alarm& moving = *heap_[from];
  while (from > 0 && heap_[(from - 1) / 2]->at > moving.at) {
    place(*heap_[(from - 1) / 2], from);
    from = (from - 1) / 2;
  }
  for (;;) {
    size_t child = 2 * from + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->at < heap_[child]->at) ++child;
    if (heap_[child]->at >= moving.at) break;
    place(*heap_[child], from);
    from = child;
  }
  place(moving, from);
}

void Alarms::publish() {
  const Nanos earliest = heap_.empty() ? sched::kForever : heap_.front()->at;
  earliest_.store(earliest.count(), std::memory_order_relaxed);
}

}  // namespace vmm
