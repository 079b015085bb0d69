#include "vmm/run/gate.h"

namespace vmm {

void Gate::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

void Gate::wait_parked(uint32_t threads) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return parked_ == threads; });
}

void Gate::open() {
  const std::lock_guard lock(mutex_);
  closed_ = false;
  changed_.notify_all();
}

void Gate::pass() {
  std::unique_lock lock(mutex_);
  ++parked_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return !closed_; });
  --parked_;
}

}  // namespace vmm
