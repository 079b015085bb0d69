#include "sched/queue/fifo_queue.h"

#include <algorithm>

#include "sched/base/check.h"

namespace sched {

void FifoQueue::append(Vcpu& vcpu) {
  Entity& e = vcpu.entity;
  e.left = tail_;
  e.right = nullptr;
  (tail_ != nullptr ? tail_->right : head_) = &e;
  tail_ = &e;
}

void FifoQueue::unlink(Vcpu& vcpu) {
  Entity& e = vcpu.entity;
  (e.left != nullptr ? e.left->right : head_) = e.right;
  (e.right != nullptr ? e.right->left : tail_) = e.left;
  e.left = e.right = nullptr;
}

void FifoQueue::enqueue(Vcpu& vcpu, Nanos) {
  SCHED_DCHECK(!vcpu.entity.queued);
  vcpu.entity.queued = true;
  ++runnable_;
  append(vcpu);
}

void FifoQueue::dequeue(Vcpu& vcpu, Nanos) {
  SCHED_DCHECK(vcpu.entity.queued);
  vcpu.entity.queued = false;
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
  current_ = &vcpu_of(*head_);
  unlink(*current_);
  return current_;
}

void FifoQueue::put(Nanos) {
  append(*current_);
  current_ = nullptr;
}

bool FifoQueue::tick(Nanos now) {
  turn_start_ = std::min(turn_start_, now);  // no more is excused than has passed
  return turn_end() <= now;
}

Nanos FifoQueue::turn_end() const {
  return current_ == nullptr || head_ == nullptr ? kForever : turn_start_ + current_->slice;
}

uint32_t FifoQueue::movable(std::span<Vcpu*> out) const {
  uint32_t n = 0;
  for (Entity* e = head_; e != nullptr && n < out.size(); e = e->right) out[n++] = &vcpu_of(*e);
  return n;
}

}  // namespace sched
