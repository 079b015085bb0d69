// What the race tests share: how many races, whose seeds, and how threads meet.
//
// Races come in batches of cells. Every thread walks the cells in the same order and, at each, waits a moment
// for the others, so that they arrive together; nobody waits for long, because on a busy host the others may
// not be running. What a seed fixes is who does what at which cell after which pause; how the machine
// interleaves that, it cannot fix. A replayed seed is therefore run many times over.
//
//   KVMUX_RACES  how many races a test runs (default 10 million; 1 million under ThreadSanitizer)
//   KVMUX_SEED   one batch's seed, as printed on failure: replays that batch until the races are used up
#pragma once

#include <doctest/doctest.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "sched/base/rng.h"

namespace race {

using sched::Rng;

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#else
inline constexpr bool kThreadSanitizer = false;
#endif

inline uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

inline uint64_t races() {
  return number_from_environment("KVMUX_RACES", kThreadSanitizer ? 1'000'000 : 10'000'000);
}

// The seed of a batch: its number, or the one to replay.
inline uint64_t batch_seed(uint64_t batch) { return number_from_environment("KVMUX_SEED", batch + 1); }

// A few nanoseconds for each unit.
inline void pause(uint64_t units) {
  for (uint64_t i = 0; i < units; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
}

// Spins until `done()`; the others may need this CPU for it.
template <class Done>
void wait_until(Done done) {
  for (uint32_t spins = 0; !done(); ++spins) {
    if (spins % 256 == 255) std::this_thread::yield();
  }
}

inline constexpr uint32_t kThreads = 3;

// Where each thread of a batch is. Every other batch does without the last thread: on a host with two CPUs
// only two can really meet.
class Meeting {
 public:
  void begin(uint64_t seed) {
    threads_ = kThreads - static_cast<uint32_t>(seed % 2);
    for (Place& place : places_) place.cell.store(0, std::memory_order_relaxed);
  }
  uint32_t threads() const { return threads_; }
  // Waits a moment for the others to come to this cell as well.
  void arrive(uint32_t me, uint32_t cell) {
    constexpr uint32_t kMoment = 400;
    places_[me].cell.store(cell + 1, std::memory_order_relaxed);
    for (uint32_t spins = 0; spins < kMoment && !all_at(cell); ++spins) {
    }
  }

 private:
  bool all_at(uint32_t cell) const {
    for (uint32_t t = 0; t < threads_; ++t) {
      if (places_[t].cell.load(std::memory_order_relaxed) <= cell) return false;
    }
    return true;
  }
  // Relaxed: it is about being at the same place, it orders nothing.
  struct alignas(64) Place {
    std::atomic<uint32_t> cell{0};
  };
  uint32_t threads_ = kThreads;
  std::array<Place, kThreads> places_;
};

// Each thread on a CPU of its own as far as they go: left alone, the host often keeps threads that wake each
// other on one CPU, where they never meet. The set-up of the calling thread comes back at the end.
class Pinned {
 public:
  explicit Pinned(uint32_t thread) {
    ::sched_getaffinity(0, sizeof(before_), &before_);
    const uint32_t cpus = static_cast<uint32_t>(CPU_COUNT(&before_));
    uint32_t left = cpus == 0 ? 0 : thread % cpus;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &before_) || left-- > 0) continue;
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      ::sched_setaffinity(0, sizeof(one), &one);  // if refused, races are rarer but no less valid
      return;
    }
  }
  ~Pinned() { ::sched_setaffinity(0, sizeof(before_), &before_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

 private:
  cpu_set_t before_{};
};

// Runs `wanted` races in batches: test.begin(seed) by the calling thread, test.walk(thread, seed) by every
// thread at once, the calling one being thread 0, then test.verdict(seed) by the calling thread: what went
// wrong, or nothing.
template <class Test>
uint64_t run_batches(Test& test, uint32_t cells, uint64_t wanted = races()) {
  std::barrier gather(kThreads);
  std::atomic<bool> over{false};
  std::atomic<uint64_t> seed{0};
  std::vector<std::thread> others;
  for (uint32_t t = 1; t < kThreads; ++t) {
    others.emplace_back([&, t] {
      const Pinned here(t);
      for (;;) {
        gather.arrive_and_wait();
        if (over.load()) return;
        test.walk(t, seed.load());
        gather.arrive_and_wait();
      }
    });
  }
  const Pinned here(0);
  uint64_t done = 0;
  for (uint64_t batch = 0; done < wanted; ++batch, done += cells) {
    seed.store(batch_seed(batch));
    test.begin(seed.load());
    gather.arrive_and_wait();
    test.walk(0, seed.load());
    gather.arrive_and_wait();
    const std::string wrong = test.verdict(seed.load());
    CHECK_MESSAGE(wrong.empty(), wrong << "; replay with KVMUX_SEED=" << seed.load());
    if (!wrong.empty()) break;
  }
  over.store(true);
  gather.arrive_and_wait();
  for (std::thread& other : others) other.join();
  return done;
}

}  // namespace race
