// A trace file as commands take it: --run of it. Main thread.
#pragma once

#include <string>

#include "vmm/trace/trace_file.h"

namespace vmm {

struct Services;

// One of the file's runs, from 1; with what there is to know about its reading said on the way.
[[nodiscard]] Result<Trace> read_run(const std::string& file, const std::string& run, Services& services);

// What to say of a file that ends within its last run.
[[nodiscard]] std::string cut_off_text(const std::string& file, const Trace& last);

}  // namespace vmm
