// `kvmux trace stats` as text. Pure, any thread.
#pragma once

#include <string>

#include "vmm/trace/stats.h"

namespace vmm {

std::string stats_text(const Trace& trace, const TraceStats& stats);

}  // namespace vmm
