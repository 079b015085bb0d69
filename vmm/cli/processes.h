// --processes P: the blocks of a comparison dealt out to P processes of this program, one after the other, so
// that what is drawn once a process (calibration, layout of memory, placement of threads) is drawn P times.
// Each writes a result file of its own that is read back here. Main thread; nothing here runs guests.
#pragma once

#include <optional>
#include <string>

#include "vmm/cli/grid.h"

namespace vmm {

// What one of them is told: `I/P,NANOSECONDS,FILE`.
struct Part {
  uint32_t process = 0;
  uint32_t processes = 1;
  Nanos max_time{};  // 0: none
  std::string file;
  [[nodiscard]] std::string text() const;
};
[[nodiscard]] Result<Part> parse_part(const std::string& text);

// Starts this program again for each part, with the same words and its part, until all is measured, the time
// is over or Ctrl-C. What they measured is in the experiment and, if there is one, in the journal.
[[nodiscard]] Measured measure_in_processes(Experiment& experiment, Journal* journal, uint32_t processes,
                                            Nanos max_time, Services& services);

}  // namespace vmm
