// Waits for instants of a run and for what its guests do, serving what has to be served meanwhile, and says
// how far it has come. The thread that drives the engine.
#pragma once

#include <algorithm>
#include <functional>

#include "vmm/run/pc_guests.h"
#include "vmm/run/run.h"
#include "vmm/run/silence_watch.h"
#include "vmm/watch/stall_watch.h"

namespace vmm {

class Waiting {
 public:
  // stalls: null if nobody wants to know; pcs: if there are none.
  Waiting(const RunSpec& spec, Engine& engine, SilenceWatch& watch, watch::StallWatch* stalls, PcGuests* pcs,
          RunControl& control)
      : whole_(std::max(Nanos{1}, spec.warmup + spec.duration)),
        engine_(engine),
        watch_(watch),
        stalls_(stalls),
        pcs_(pcs),
        control_(control),
        began_(monotonic_now()) {}

  // What else is to be done at each look.
  void at_each_look(std::function<void()> call) { at_each_look_ = std::move(call); }
  // What is said of how far it has come counts from now on.
  void begin_anew() { began_ = monotonic_now(); }

  // False: a stop request, trouble, or the end of all VMs came first.
  bool until(Nanos end) {
    return until(end, [] { return false; });
  }
  // True as well if it is so sooner.
  bool until(Nanos end, const std::function<bool()>& is_so);

 private:
  void wait(Nanos end);

  const Nanos whole_;
  Engine& engine_;
  SilenceWatch& watch_;
  watch::StallWatch* const stalls_;
  PcGuests* const pcs_;
  RunControl& control_;
  Nanos began_;
  std::function<void()> at_each_look_;
  bool looks_ = false;
};

}  // namespace vmm
