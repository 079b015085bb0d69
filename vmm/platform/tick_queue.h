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
#include "sched/base/types.h"

namespace vmm {

using sched::Nanos;

class TickQueue {
 public:
  // Who will tell that a tick was taken.
  enum class Path : uint8_t {
    kNone,          // nobody listens: ticks that wait are worth nothing
    kPic,           // the 8259's acknowledge cycle
    kIoApic,        // the EOI for this vector
    kIoApicUnsure,  // perhaps the EOI: on some hosts it is never told
  };

  void add(uint64_t ticks) { waiting_ = std::min(waiting_ + ticks, kMostWaiting); }
  // A tick waits and none is on its way. One that nobody took for long is given up: its receiver may have
  // been reset or reprogrammed meanwhile.
  [[nodiscard]] bool ready(Nanos now) const {
    return waiting_ > 0 && (path_ == Path::kNone || now - sent_at_ > patience());
  }
  void sent(Path path, apic::Vector vector, Nanos now) {
    if (path_ == Path::kIoApicUnsure) ++never_told_;
    --waiting_;
    path_ = path;
    vector_ = vector;
    sent_at_ = now;
    if (path == Path::kNone) waiting_ = 0;
  }
  // True: this was the tick on its way.
  bool taken_by_pic() { return taken(path_ == Path::kPic); }
  bool taken_by_eoi(apic::Vector vector) {
    const bool by_ioapic = path_ == Path::kIoApic || path_ == Path::kIoApicUnsure;
    told_ = told_ || (by_ioapic && vector_ == vector);
    return taken(by_ioapic && vector_ == vector);
  }
  // The timer was programmed anew. What the host tells, it tells as before.
  void clear() {
    waiting_ = 0;
    path_ = Path::kNone;
  }

 private:
  static constexpr uint64_t kMostWaiting = 1000;
  static constexpr Nanos kPatience{50'000'000};
  // Of a host that has told nothing yet; after a few of these, ticks no longer wait for each other.
  static constexpr Nanos kFirstPatience{4'000'000};
  static constexpr uint32_t kTries = 4;

  Nanos patience() const {
    if (path_ != Path::kIoApicUnsure || told_) return kPatience;
    return never_told_ < kTries ? kFirstPatience : Nanos{};
  }

  bool taken(bool it_was) {
    if (it_was) path_ = Path::kNone;
    return it_was;
  }

  uint64_t waiting_ = 0;
  Path path_ = Path::kNone;
  apic::Vector vector_{};
  Nanos sent_at_{};
  bool told_ = false;
  uint32_t never_told_ = 0;
};

}  // namespace vmm
