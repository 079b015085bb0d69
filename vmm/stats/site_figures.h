// Where vCPUs were found (CodeSites), as words and as JSON. Pure, any thread.
#pragma once

#include <string>

#include "vmm/json.h"
#include "vmm/run_types.h"

namespace vmm {

uint64_t samples_of(const CodeSites& sites);

// "queued_spin_lock_slowpath 61 %, smp_call_function_many_cond 20 %, others 19 %": the `most` most frequent functions.
// Empty: none has a name.
std::string site_words(const CodeSites& sites, size_t most = 5);

// [{"symbol", "address", "samples"}…]: most samples first; addresses in hexadecimal digits. What is not known is not there.
Json sites_json(const CodeSites& sites);

}  // namespace vmm
