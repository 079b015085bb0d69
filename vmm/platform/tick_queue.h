// Ticks of the interval timer that wait to be taken: the guest counts them, so a tick that comes while the
// last one is still on its way waits instead of being merged with it. Pure; one caller at a time.
//
//   add() when the timer ticked → ready()? → sent() with how it went → done() when the guest took it →
//   ready()? …
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "apic/types.h"
#include "sched/types.h"

namespace vmm {

using sched::Nanos;

class TickQueue {
 public:
  // Who will tell that a tick was taken.
  enum class Path : uint8_t {
    kNone,    // nobody listens: ticks that wait are worth nothing
    kPic,     // the 8259's acknowledge cycle
    kIoApic,  // the EOI for this vector
  };

  void add(uint64_t ticks) { waiting_ = std::min(waiting_ + ticks, kMostWaiting); }
  // A tick waits and none is on its way. One that nobody took for long is given up: its receiver may have
  // been reset or reprogrammed meanwhile.
  [[nodiscard]] bool ready(Nanos now) const {
    return waiting_ > 0 && (path_ == Path::kNone || now - sent_at_ > kPatience);
  }
  void sent(Path path, apic::Vector vector, Nanos now) {
    --waiting_;
    path_ = path;
    vector_ = vector;
    sent_at_ = now;
    if (path == Path::kNone) waiting_ = 0;
  }
  // True: this was the tick on its way.
  bool taken_by_pic() { return taken(path_ == Path::kPic); }
  bool taken_by_eoi(apic::Vector vector) { return taken(path_ == Path::kIoApic && vector_ == vector); }
  // The timer was programmed anew.
  void clear() { *this = {}; }

 private:
  static constexpr uint64_t kMostWaiting = 1000;
  static constexpr Nanos kPatience{50'000'000};

  bool taken(bool it_was) {
    if (it_was) path_ = Path::kNone;
    return it_was;
  }

  uint64_t waiting_ = 0;
  Path path_ = Path::kNone;
  apic::Vector vector_{};
  Nanos sent_at_{};
};

}  // namespace vmm
