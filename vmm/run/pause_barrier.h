// Where the threads that run vCPUs meet: closed, it stops each of them between two entries, so that others
// may look at what they own. Any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

namespace vmm {

class PauseBarrier {
 public:
  void close();                        // then ask all of them to come
  // From here to open() they touch nothing. `again` is called every 100 ms meanwhile: it asks them once more.
  void wait_parked(uint32_t threads, const std::function<void()>& again);
  void open();
  void pass();  // a thread that was asked to come: waits while closed

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false;
  uint32_t parked_ = 0;
};

}  // namespace vmm
