// A mutex that clang's -Wthread-safety understands. Any thread.
#pragma once

#include <mutex>

#if defined(__clang__)
#define SCHED_TSA(x) __attribute__((x))
#else
#define SCHED_TSA(x)
#endif

#define SCHED_CAPABILITY(name) SCHED_TSA(capability(name))
#define SCHED_GUARDED_BY(mutex) SCHED_TSA(guarded_by(mutex))
#define SCHED_REQUIRES(mutex) SCHED_TSA(requires_capability(mutex))

namespace sched {

class SCHED_CAPABILITY("mutex") Mutex {
 public:
  void lock() SCHED_TSA(acquire_capability()) { mutex_.lock(); }
  bool try_lock() SCHED_TSA(try_acquire_capability(true)) { return mutex_.try_lock(); }
  void unlock() SCHED_TSA(release_capability()) { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class SCHED_TSA(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) SCHED_TSA(acquire_capability(mutex)) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() SCHED_TSA(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace sched
