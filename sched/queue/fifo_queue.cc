#include "sched/queue/fifo_queue.h"

#include <algorithm>

#include "sched/base/check.h"

namespace sched {

void FifoQueue::append(Vcpu& vcpu) {
  vcpu.previous = tail_;
  vcpu.next = nullptr;
  (tail_ != nullptr ? tail_->next : head_) = &vcpu;
  tail_ = &vcpu;
}

void FifoQueue::unlink(Vcpu& vcpu) {
  (vcpu.previous != nullptr ? vcpu.previous->next : head_) = vcpu.next;
  (vcpu.next != nullptr ? vcpu.next->previous : tail_) = vcpu.previous;
  vcpu.previous = vcpu.next = nullptr;
}

void FifoQueue::enqueue(Vcpu& vcpu, Nanos) {
  SCHED_DCHECK(!vcpu.queued);
  vcpu.queued = true;
  ++runnable_;
  append(vcpu);
}

void FifoQueue::dequeue(Vcpu& vcpu, Nanos) {
  SCHED_DCHECK(vcpu.queued);
  vcpu.queued = false;
  --runnable_;
  if (&vcpu == current_) {
    current_ = nullptr;
  } else {
    unlink(vcpu);
  }
}

Vcpu* FifoQueue::pick(Nanos now) {
  turn_start_ = now;
  if (head_ == nullptr) return nullptr;
  current_ = head_;
  unlink(*current_);
  return current_;
}

void FifoQueue::put(Nanos) {
  append(*current_);
  current_ = nullptr;
}

bool FifoQueue::tick(Nanos now) {
  turn_start_ = std::min(turn_start_, now);  // no more is discounted than has passed
  return turn_end() <= now;
}

Nanos FifoQueue::turn_end() const {
  return current_ == nullptr || head_ == nullptr ? kForever : turn_start_ + current_->slice;
}

uint32_t FifoQueue::movable(std::span<Vcpu*> out) const {
  uint32_t n = 0;
  for (Vcpu* v = head_; v != nullptr && n < out.size(); v = v->next) out[n++] = v;
  return n;
}

}  // namespace sched
