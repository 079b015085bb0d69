// Who waits for whom, as a picture: SVG with a circle of vCPUs for each VM, an arrow for each pair of sender
// and receiver (as wide as it is used, labelled with its times), fan-outs and chains below. Pure.
#pragma once

#include <string>

#include "vmm/trace/stats.h"
#include "vmm/trace/trace_file.h"

namespace vmm {

struct IpiGraph {
  std::string svg;
  std::string words;  // what it shows, for who cannot see it
};

// Of the trace's part that `stats` is of. Any number of VMs and vCPUs: the most used arrows are labelled.
IpiGraph ipi_graph(const Trace& trace, const TraceStats& stats, const std::string& title);

}  // namespace vmm
