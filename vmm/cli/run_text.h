// What `kvmux run` prints: per VM and per vCPU throughput, where the time went, yields, IPIs, fairness. Pure,
// any thread.
#pragma once

#include <string>

#include "vmm/run_types.h"

namespace vmm {

enum class VcpuDetail : uint8_t { kAuto, kAlways };  // kAuto leaves vCPU tables out beyond 64 vCPUs

std::string run_text(const RunSpec& spec, const RunResult& result, VcpuDetail detail);

// "KVM, 2 VMs × 4 vCPUs on 2 workers": the first line of a run.
std::string run_title(const RunSpec& spec);

// A guest failed, ended with a non-zero exit code, or one of its checks failed: exit status 1.
bool has_guest_failure(const RunResult& result);

}  // namespace vmm
