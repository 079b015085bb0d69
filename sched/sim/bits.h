// A fixed set of small numbers: vCPUs of a VM by index. One owner, no thread safety.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sched::sim {

class Bits {
 public:
  explicit Bits(uint32_t capacity = 0) : words_((capacity + 63) / 64) {}

  void insert(uint32_t i) { words_[i / 64] |= bit(i); }
  void erase(uint32_t i) { words_[i / 64] &= ~bit(i); }
  bool contains(uint32_t i) const { return (words_[i / 64] & bit(i)) != 0; }
  bool empty() const {
    for (const uint64_t word : words_) {
      if (word != 0) return false;
    }
    return true;
  }
  void clear() {
    for (uint64_t& word : words_) word = 0;
  }
  // Moves all members of `other` here.
  void take(Bits& other) {
    for (size_t w = 0; w < words_.size(); ++w) {
      words_[w] |= other.words_[w];
      other.words_[w] = 0;
    }
  }

  // In ascending order. Erasing members meanwhile is fine: each word is read once, before its members are
  // visited.
  template <class Fn>
  void for_each(Fn fn) const {
    for (size_t w = 0; w < words_.size(); ++w) visit(w, words_[w], fn);
  }
  template <class Fn>
  void for_each_also_in(const Bits& other, Fn fn) const {
    for (size_t w = 0; w < words_.size(); ++w) visit(w, words_[w] & other.words_[w], fn);
  }
  uint32_t count_also_in(const Bits& other) const {
    int n = 0;
    for (size_t w = 0; w < words_.size(); ++w) n += __builtin_popcountll(words_[w] & other.words_[w]);
    return static_cast<uint32_t>(n);
  }
  // The n-th member (from 0) that is also in `other`; there must be that many.
  uint32_t nth_also_in(const Bits& other, uint32_t n) const {
    for (size_t w = 0;; ++w) {
      uint64_t word = words_[w] & other.words_[w];
      const uint32_t here = static_cast<uint32_t>(__builtin_popcountll(word));
      if (n >= here) {
        n -= here;
        continue;
      }
      for (; n > 0; --n) word &= word - 1;
      return static_cast<uint32_t>(w * 64) + static_cast<uint32_t>(__builtin_ctzll(word));
    }
  }

 private:
  static uint64_t bit(uint32_t i) { return uint64_t{1} << (i % 64); }
  template <class Fn>
  static void visit(size_t w, uint64_t word, Fn& fn) {
    for (; word != 0; word &= word - 1) {
      fn(static_cast<uint32_t>(w * 64) + static_cast<uint32_t>(__builtin_ctzll(word)));
    }
  }

  std::vector<uint64_t> words_;
};

}  // namespace sched::sim
