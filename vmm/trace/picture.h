// A trace as a picture: SVG, a row a vCPU, panels of several traces above each other on one time axis. Pure.
#pragma once

#include <string>
#include <vector>

#include "vmm/trace/trace_file.h"

namespace vmm {

struct PicturePanel {
  const Trace* trace = nullptr;
  std::string title;
  int64_t from = 0;  // of the trace's clock
};

// `length`: nanoseconds shown, the same in all panels.
std::string svg_picture(const std::vector<PicturePanel>& panels, int64_t length);

}  // namespace vmm
