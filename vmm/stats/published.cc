#include "vmm/stats/published.h"

#include <algorithm>

namespace vmm {
namespace {

struct Row {
  std::string_view guest;
  std::string_view policy;
  std::string_view workload;
  double gain[3];  // at 2, 3 and 4 VMs
  std::string_view source;
};

// The series states dbench both for the scheduler half alone (patch 5: deboost) and for the whole, and dedup
// and vips both for the IPI half alone (patch 8: ipi) and for the whole, with the same figures.
constexpr Row kRows[] = {
    {"lock", "deboost", "dbench", {14.4, 9.8, 6.7}, "series v2"},
    {"lock", "v2", "dbench", {14.4, 9.8, 6.7}, "series v2"},
    {"lock", "v3", "dbench", {6.65, 4.80, 7.59}, "series v3"},
    {"ipi", "ipi", "dedup", {47.1, 28.1, 1.7}, "series v2"},
    {"ipi", "v2", "dedup", {47.1, 28.1, 1.7}, "series v2"},
    {"ipi", "v3", "dedup", {8.87, 10.29, 15.60}, "series v3, latency"},
    {"mixed", "ipi", "vips", {26.2, 12.7, 6.0}, "series v2"},
    {"mixed", "v2", "vips", {26.2, 12.7, 6.0}, "series v2"},
    {"mixed", "v3", "vips", {10.23, 6.63, 4.50}, "series v3, latency"},
};

struct OvercommitRow {
  uint32_t ratio;
  PublishedOvercommit change;
};
constexpr OvercommitRow kOvercommit[] = {{2, {1.3, -5.3}},   {4, {7.2, -33.2}}, {6, {5.1, -23.8}},
                                         {8, {11.5, -25.1}}, {9, {4.5, -27.4}}, {10, {3.6, -32.9}}};

// The series were posted before sched_yield() forfeited (Linux 6.19): without it a policy is what was
// measured.
std::string_view as_posted(std::string_view policy) {
  constexpr std::string_view kWithoutForfeit = ",forfeit=off";
  if (policy.ends_with(kWithoutForfeit)) policy.remove_suffix(kWithoutForfeit.size());
  return policy;
}

struct Load {
  std::string_view name;
  std::string_view guest;
};
constexpr Load kLoads[] = {{"dbench", "lock"}, {"pigz", "ipi"}, {"zstd", "ipi"}, {"vips", "mixed"}};

}  // namespace

std::string_view published_guest(std::string_view guest) {
  constexpr std::string_view kLinux = "linux (";
  if (!guest.starts_with(kLinux)) return guest.substr(0, guest.find(' '));
  guest.remove_prefix(kLinux.size());
  const std::string_view load = guest.substr(0, guest.find_first_of(":)"));
  const auto* const end = std::end(kLoads);
  const auto* const found = std::find_if(std::begin(kLoads), end, [load](const Load& l) { return l.name == load; });
  return found == end ? load : found->guest;
}

std::optional<PublishedGain> published_gain(std::string_view guest, std::string_view policy, uint32_t vms) {
  if (vms < 2 || vms > 4) return std::nullopt;
  guest = published_guest(guest);
  policy = as_posted(policy);
  for (const Row& row : kRows) {
    if (row.guest == guest && row.policy == policy)
      return PublishedGain{row.workload, row.gain[vms - 2], row.source};
  }
  return std::nullopt;
}

bool is_published_setup(const CellInfo& cell) {
  return cell.workers == 16 && cell.vms >= 2 && cell.vms <= 4 && cell.vcpus_in_all == 16 * cell.vms;
}

std::optional<PublishedOvercommit> published_overcommit(std::string_view policy, uint32_t ratio) {
  if (as_posted(policy) != "v2") return std::nullopt;
  const auto* const end = std::end(kOvercommit);
  const auto* const row = std::find_if(std::begin(kOvercommit), end,
                                       [ratio](const OvercommitRow& r) { return r.ratio == ratio; });
  return row == end ? std::nullopt : std::optional{row->change};
}

}  // namespace vmm
