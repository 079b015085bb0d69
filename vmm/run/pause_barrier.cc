#include "vmm/run/pause_barrier.h"

#include <chrono>

namespace vmm {

void PauseBarrier::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

void PauseBarrier::wait_parked(uint32_t threads, const std::function<void()>& again) {
  constexpr std::chrono::milliseconds kPatience{100};
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kPatience, [&] { return parked_ == threads; })) {
    lock.unlock();
    again();
    lock.lock();
  }
}

void PauseBarrier::open() {
  const std::lock_guard lock(mutex_);
  closed_ = false;
  changed_.notify_all();
}

void PauseBarrier::pass() {
  std::unique_lock lock(mutex_);
  ++parked_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return !closed_; });
  --parked_;
}

}  // namespace vmm
