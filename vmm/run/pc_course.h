// What a run with PCs does besides: waits until their guests are ready, and asks what they have done before
// figures are taken. Nothing where there are none. The thread that drives the engine.
#pragma once

#include "vmm/run/pc_guests.h"
#include "vmm/run/waiting.h"

namespace vmm {

class PcCourse {
 public:
  // All outlive it; pcs: null if there are none.
  PcCourse(PcGuests* pcs, const RunSpec& spec, Engine& engine, RunControl& control, Waiting& waiting)
      : pcs_(pcs), spec_(spec), engine_(engine), control_(control), waiting_(waiting) {}

  // Until all are ready and their loads begin.
  [[nodiscard]] Result<void> come_up();
  // Until all have answered that can.
  void ask();

 private:
  PcGuests* const pcs_;
  const RunSpec& spec_;
  Engine& engine_;
  RunControl& control_;
  Waiting& waiting_;
};

}  // namespace vmm
