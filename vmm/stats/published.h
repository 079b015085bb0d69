// Figures that others published for the policies that kvmux rebuilds, to print beside its own. Constant data,
// any thread. Sources: the v2 series for oversubscribed KVM (December 2025; 16 CPUs, 16 vCPUs a VM), the v3
// figures (120 runs a point), and the s390 test of v2 in the review thread (dbench by overcommit ratio, no
// groups).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/stats/plan.h"

namespace vmm {

struct PublishedGain {
  std::string_view workload;  // "dbench"
  double gain_percent;
  std::string_view source;
};

// The tiny guest whose figures a guest's description ("lock (think 50.0 us)", "linux (dbench:8)") is compared with: its own name,
// or for a load of a Linux guest the stand-in of what it is or stands for; the load's name where nothing was published.
std::string_view published_guest(std::string_view guest);

// Gain in throughput over mainline for this guest (its description), policy and number of VMs; for v3 on ipi and mixed the
// published figure is a latency reduction, and says so in `source`. Nothing where none is published. Policies
// are named by their labels; "v2,forfeit=off" counts as v2, because the series were posted before the
// forfeit.
std::optional<PublishedGain> published_gain(std::string_view guest, std::string_view policy, uint32_t vms);

// The set-up the figures hold for: 16 workers, 16 vCPUs a VM, 2 to 4 VMs.
bool is_published_setup(const CellInfo& cell);

struct PublishedOvercommit {
  double throughput_percent;
  double yields_percent;  // directed-yield calls (diag 9c)
};
std::optional<PublishedOvercommit> published_overcommit(std::string_view policy, uint32_t ratio);

}  // namespace vmm
