#include "tests/kvm/counted_calls.h"

#include <dlfcn.h>
#include <pthread.h>
#include <time.h>

#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_THREAD__)
#define KVM_TEST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KVM_TEST_TSAN 1
#endif
#endif

namespace {

thread_local kvm_test::Calls calls;

void* allocate(size_t bytes, size_t alignment) {
  ++calls.allocations;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = alignment <= alignof(std::max_align_t) ? std::malloc(bytes == 0 ? 1 : bytes)
                                                        : std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

namespace kvm_test {

Calls calls_of_this_thread() { return calls; }

#ifdef KVM_TEST_TSAN
bool counts_locks() { return false; }
#else
bool counts_locks() { return true; }
#endif

}  // namespace kvm_test

// The array and nothrow forms of the library call these.
void* operator new(size_t bytes) { return allocate(bytes, 1); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

#ifndef KVM_TEST_TSAN
extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  using Lock = int (*)(pthread_mutex_t*);
  static const Lock next = reinterpret_cast<Lock>(::dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  ++calls.locks;
  return next(mutex);
}

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  using Clock = int (*)(clockid_t, timespec*);
  static const Clock next = reinterpret_cast<Clock>(::dlsym(RTLD_NEXT, "clock_gettime"));
  if (clock == CLOCK_THREAD_CPUTIME_ID) ++calls.cpu_clocks;
  return next(clock, time);
}
#endif
