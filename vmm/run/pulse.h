// What a thread that runs vCPUs tells those who look on (machine_view.h): which vCPU it has, since when, and
// that it gets on. Owner thread writes, any thread reads; a few relaxed stores a stay, one an entry.
#pragma once

#include <atomic>
#include <cstdint>

#include "sched/base/types.h"

namespace vmm {

using sched::Nanos;

class Pulse {
 public:
  enum class Place : uint8_t {
    kBetween,  // two vCPUs: choosing, or waiting for something to choose
    kOn,       // with a vCPU
    kAsleep,
    kParked,  // at the pause barrier
    kGone,
  };
  struct Moment {
    Place place = Place::kParked;
    sched::VcpuId vcpu = sched::kNoVcpu;
    Nanos since{};       // of place
    Nanos busy{};        // stays that are over
    Nanos parked{};      // pauses that are over
    uint64_t beats = 0;  // grows with every entry and every change of place
  };

  // Owner thread.
  void beat() { set(entries_, get(entries_) + 1, std::memory_order_relaxed); }
  void hosts(sched::VcpuId vcpu, Nanos now) { goes(Place::kOn, vcpu, now); }
  void leaves(Nanos now) { goes(Place::kBetween, sched::kNoVcpu, now); }
  void sleeps(Nanos now) { goes(Place::kAsleep, sched::kNoVcpu, now); }
  void parks(Nanos now) { goes(Place::kParked, sched::kNoVcpu, now); }
  void ends(Nanos now) { goes(Place::kGone, sched::kNoVcpu, now); }

  // Any thread.
  Moment moment() const {
    constexpr int kTries = 200'000;  // some milliseconds: the owner may have been stopped amid a change
    Moment moment;
    for (int i = 0; i < kTries; ++i) {
      const uint64_t before = number_.load(std::memory_order_acquire);
      if ((before & 1) != 0 && i + 1 < kTries) {
        __builtin_ia32_pause();
        continue;
      }
      moment.place = static_cast<Place>(place_.load(std::memory_order_acquire));
      moment.vcpu = sched::VcpuId{vcpu_.load(std::memory_order_acquire)};
      moment.since = Nanos(since_.load(std::memory_order_acquire));
      moment.busy = Nanos(busy_.load(std::memory_order_acquire));
      moment.parked = Nanos(parked_.load(std::memory_order_acquire));
      moment.beats = before + entries_.load(std::memory_order_relaxed);
      if (number_.load(std::memory_order_relaxed) == before) break;
    }
    return moment;
  }
  // The owner, or while the owner is parked.
  Nanos busy() const { return Nanos(get(busy_)); }

 private:
  template <class T>
  static T get(const std::atomic<T>& word) {
    return word.load(std::memory_order_relaxed);
  }
  template <class T>
  static void set(std::atomic<T>& word, T value, std::memory_order order = std::memory_order_release) {
    word.store(value, order);
  }
  // As in sched/base/history.h: the number is odd meanwhile, and words are stored with release.
  void goes(Place place, sched::VcpuId vcpu, Nanos now) {
    const uint64_t number = get(number_);
    set(number_, number + 1, std::memory_order_relaxed);
    const int64_t stretch = now.count() - get(since_);
    const auto from = static_cast<Place>(get(place_));
    if (from == Place::kOn) set(busy_, get(busy_) + stretch);
    if (from == Place::kParked && number != 0) set(parked_, get(parked_) + stretch);
    set(since_, now.count());
    set(vcpu_, sched::index_of(vcpu));
    set(place_, static_cast<uint8_t>(place));
    set(number_, number + 2);
  }

  std::atomic<uint64_t> number_{0};  // twice the changes of place so far
  std::atomic<uint64_t> entries_{0};
  std::atomic<int64_t> since_{0};
  std::atomic<int64_t> busy_{0};
  std::atomic<int64_t> parked_{0};
  std::atomic<uint32_t> vcpu_{sched::index_of(sched::kNoVcpu)};
  std::atomic<uint8_t> place_{static_cast<uint8_t>(Place::kParked)};
};

}  // namespace vmm
