// steal=next: from the next worker on which somebody waits, in the order of workers from the thief on. So
// thieves do not all go to the same one.
#include "sched/place/steal.h"

namespace sched {

void steal::next(const StealScan& scan, StealAttempt& take_from) {
  for (uint32_t i = 1; i < scan.workers(); ++i) {
    const WorkerId victim{(index_of(scan.thief()) + i) % scan.workers()};
    if (scan.waiting(victim) > 0 && take_from(victim)) return;
  }
}

}  // namespace sched
