// One thread's trace: a ring of fixed size in which the oldest events give way, and are counted.
//
// One writer. Anybody may take a copy at any time: it has what was not overwritten meanwhile. Words are
// stored with release and read with acquire: who has read a word of event k knows that the head was k, and so
// which events may be torn. On x86 that costs nothing, and ThreadSanitizer, which knows no fences, can follow
// it.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <memory>
#include <vector>

#include "sched/base/trace.h"

namespace vmm {

class TraceRing {
 public:
  // capacity: events, a power of two.
  explicit TraceRing(size_t capacity) : mask_(capacity - 1), words_(new Word[capacity * kWords]()) {}

  // The writer.
  void push(const sched::TraceEvent& event) {
    const uint64_t head = head_.load(std::memory_order_relaxed);
    const auto raw = std::bit_cast<Raw>(event);
    Word* slot = &words_[(head & mask_) * kWords];
    for (size_t i = 0; i < kWords; ++i) slot[i].store(raw.words[i], std::memory_order_release);
    head_.store(head + 1, std::memory_order_release);
  }

  uint64_t pushed() const { return head_.load(std::memory_order_acquire); }

  uint64_t capacity() const { return mask_ + 1; }

  // Appends what the ring holds from event `from` on, oldest first. Returns the number of the first, which is
  // larger than `from` where events are missing before it. Their numbers follow each other.
  uint64_t copy(std::vector<sched::TraceEvent>& out, uint64_t from = 0) const {
    const uint64_t capacity = mask_ + 1;
    const uint64_t end = pushed();
    const uint64_t begin = std::max(from, end > capacity ? end - capacity : 0);
    const size_t at = out.size();
    for (uint64_t i = begin; i < end; ++i) {
      Raw raw;
      const Word* slot = &words_[(i & mask_) * kWords];
      for (size_t w = 0; w < kWords; ++w) raw.words[w] = slot[w].load(std::memory_order_acquire);
      out.push_back(std::bit_cast<sched::TraceEvent>(raw));
    }
    // What the writer has reached since may be torn; it also may be in the middle of the next one.
    const uint64_t now = head_.load(std::memory_order_relaxed) + 1;
    const uint64_t safe = now > capacity ? now - capacity : 0;
    if (end > safe && begin >= safe) return begin;
    const uint64_t torn = std::min(end, safe) - begin;
    out.erase(out.begin() + static_cast<ptrdiff_t>(at), out.begin() + static_cast<ptrdiff_t>(at + torn));
    return begin + torn;
  }

 private:
  static constexpr size_t kWords = sizeof(sched::TraceEvent) / sizeof(uint64_t);
  using Word = std::atomic<uint64_t>;
  struct Raw {
    uint64_t words[kWords];
  };

  const uint64_t mask_;
  std::unique_ptr<Word[]> words_;
  alignas(64) std::atomic<uint64_t> head_{0};
};

}  // namespace vmm
