// A number that one thread at a time changes, as it changes a plain one, and that any thread may look at
// meanwhile. Changing it is a plain load and a plain store (relaxed, no locked instruction): no two threads
// may change it at once. What is read is a hint of a moment ago, in no order with anything else.
#pragma once

#include <atomic>

namespace sched {

template <class T>
class Published {
 public:
  Published() = default;
  Published(T value) : value_(value) {}
  Published(const Published& other) : value_(other.load()) {}
  Published& operator=(const Published& other) { return *this = other.load(); }
  Published& operator=(T value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }

  T load() const { return value_.load(std::memory_order_relaxed); }
  operator T() const { return load(); }

  Published& operator+=(T by) { return *this = load() + by; }
  Published& operator++() {
    T next = load();
    return *this = ++next;
  }

 private:
  static_assert(std::atomic<T>::is_always_lock_free);
  std::atomic<T> value_{};
};

}  // namespace sched
