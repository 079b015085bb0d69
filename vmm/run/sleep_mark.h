// What others may know of a vCPU without its lease: that it sleeps and no timer of its own will end that, and
// whether it has been up meanwhile.
//
// Written by the lease holder, read by any thread. A hint: whoever concludes anything from it stops the
// engine first and looks at the vCPU itself (sleep_state.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

namespace vmm {

// What ends a halt: anything; with interrupts off, NMI, INIT and SMI; since reset or INIT, a SIPI.
enum class Listens : uint8_t { kToAll, kToEvents, kToSipi };

class SleepMark {
 public:
  // Lease holder; each call when nothing has changed is one relaxed load.
  void sleeps() {
    if (!is_sleep(value())) advance();
  }
  void wakes() {
    if (is_sleep(value())) advance();
  }
  void listens(Listens to) { listens_.store(to, std::memory_order_relaxed); }  // as it goes to sleep
  // Any thread: what would end its last sleep.
  Listens listens() const { return listens_.load(std::memory_order_relaxed); }
  // Any thread. Nothing: awake. Else a number that never comes again for a later sleep.
  std::optional<uint64_t> read() const {
    const uint64_t now = value();
    if (!is_sleep(now)) return std::nullopt;
    return now;
  }

 private:
  static bool is_sleep(uint64_t value) { return (value & 1) != 0; }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }
  void advance() { value_.store(value() + 1, std::memory_order_relaxed); }

  std::atomic<uint64_t> value_{0};  // odd: asleep
  std::atomic<Listens> listens_{Listens::kToAll};
};

}  // namespace vmm
