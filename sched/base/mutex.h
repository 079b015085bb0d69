// A mutex that clang's -Wthread-safety understands. Any thread.
#pragma once

#include <mutex>

#if defined(__clang__)
#define SCHED_TSA(...) __attribute__((__VA_ARGS__))
#else
#define SCHED_TSA(...)
#endif

#define SCHED_CAPABILITY(name) SCHED_TSA(capability(name))
#define SCHED_GUARDED_BY(mutex) SCHED_TSA(guarded_by(mutex))
#define SCHED_REQUIRES(...) SCHED_TSA(requires_capability(__VA_ARGS__))

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

// Not a lock: what may be touched by whoever plays a role, say the worker that runs a vCPU. Costs nothing;
// that only one thread has the role at a time is the caller's contract.
class SCHED_CAPABILITY("role") Role {
 public:
  void acquire() SCHED_TSA(acquire_capability()) {}
  void release() SCHED_TSA(release_capability()) {}
};

class SCHED_TSA(scoped_lockable) InRole {
 public:
  explicit InRole(Role& role) SCHED_TSA(acquire_capability(role)) : role_(role) { role_.acquire(); }
  ~InRole() SCHED_TSA(release_capability()) { role_.release(); }
  InRole(const InRole&) = delete;
  InRole& operator=(const InRole&) = delete;

 private:
  Role& role_;
};

}  // namespace sched
