// What a guest publishes of its vCPUs in memory: who owns what, who waits for whom, and what the host tells
// in return. Of a real guest these pages are its own memory (guest/abi.h, struct kvmux_sync, laid out alike);
// a model guest has some of the same form.
//
// Threads: the first line is written by the vCPU itself, or for it by the one that hands it a lock; `told` and
// what follows by the worker that holds it. Any thread reads, relaxed: one value may be newer than another,
// and a guest may publish nonsense, which misleads nobody but itself.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "sched/base/types.h"

namespace sched {

inline constexpr uint32_t kMaxVcpusOfVm = 1024;

// What a vCPU waits for, busily.
enum class GuestWait : uint8_t {
  kNothing,
  kLock,     // its owner; where nobody owns it, who is first in line
  kBarrier,  // all that have not arrived in this generation
  kAcks,     // those in `acks`
  kWork,     // whoever works: an item, or room for one
};

// What the host tells a guest, as bits of GuestPage::told.
inline constexpr uint64_t kTellsPreempted = 1;  // `preempted` is kept
inline constexpr uint64_t kTellsTurnEnd = 2;    // `turn_end` is kept
inline constexpr uint64_t kHearsAsks = 4;       // `asks` is honoured

struct GuestPage {
  using Word = std::atomic<uint64_t>;

  Word version;   // 2: what follows is published
  Word critical;  // critical sections that it is inside of
  Word holds;     // the lock that it owns, by a number of the VM's own; 0: none
  Word waits;     // enum GuestWait, and what it waits for << 8
  Word place;     // kLock: its ticket, 0: any order; kBarrier: the generation
  Word asks;      // nanoseconds that it asks not to be preempted for
  Word unused[2];

  Word told;
  Word preempted;  // 1: runnable, and not running
  Word turn_end;   // of the turn that it has, in its TSC; all ones: nobody waits for its CPU
  Word unused_told[5];

  Word acks[kMaxVcpusOfVm / 64];  // by receiver: an acknowledgement that it waits for

  GuestWait wait() const { return static_cast<GuestWait>(load(waits) & 0xff); }
  uint64_t wait_name() const { return load(waits) >> 8; }
  bool published() const { return load(version) >= 2; }
  bool awaits_ack_of(uint32_t vcpu) const { return (load(acks[vcpu / 64]) >> vcpu % 64 & 1) != 0; }

  static uint64_t load(const Word& word) { return word.load(std::memory_order_relaxed); }
  static void store(Word& word, uint64_t value) { word.store(value, std::memory_order_relaxed); }
};
static_assert(sizeof(GuestPage) == 2 * 64 + kMaxVcpusOfVm / 8);

// Those of a VM, by index. Plain data; empty: it publishes nothing.
class GuestPages {
 public:
  GuestPages() = default;
  GuestPages(std::byte* first, size_t stride, uint32_t vcpus)
      : first_(first), stride_(stride), size_(vcpus) {}

  uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  GuestPage& operator[](uint32_t vcpu) const {
    return *reinterpret_cast<GuestPage*>(first_ + stride_ * vcpu);
  }

 private:
  std::byte* first_ = nullptr;
  size_t stride_ = 0;
  uint32_t size_ = 0;
};

}  // namespace sched
