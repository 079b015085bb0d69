#include "vmm/stats/plan.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>

#include "sched/base/rng.h"

namespace vmm {
namespace {

uint64_t mixed(uint64_t a, uint64_t b) {
  sched::Rng rng(a ^ (b + 0x9e3779b97f4a7c15ULL + (a << 6) + (a >> 2)));
  return rng.next();
}

}  // namespace

const double* RunRecord::metric(std::string_view name) const {
  const auto found =
      std::find_if(metrics.begin(), metrics.end(), [name](const auto& entry) { return entry.first == name; });
  return found == metrics.end() ? nullptr : &found->second;
}

uint64_t block_seed(uint64_t seed, uint32_t block) {
  // Kept below 2^63: seeds are accepted as signed numbers on the command line.
  return mixed(seed, block) >> 1;
}

std::vector<uint32_t> block_order(uint64_t seed, const RunId& block, size_t slots) {
  std::vector<uint32_t> order(slots);
  std::iota(order.begin(), order.end(), uint32_t{0});
  sched::Rng rng(mixed(mixed(seed, fingerprint(block.cell)), (uint64_t{block.block} << 32) | block.attempt));
  for (size_t i = slots; i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

std::vector<std::string> unique_labels(const std::vector<std::string>& names) {
  std::map<std::string, size_t> seen;
  std::vector<std::string> labels;
  for (const std::string& name : names) {
    const bool repeated = std::count(names.begin(), names.end(), name) > 1;
    labels.push_back(repeated ? name + "#" + std::to_string(++seen[name]) : name);
  }
  return labels;
}

uint64_t fingerprint(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

std::string hex(uint64_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(value >> shift) & 15U];
  return text;
}

}  // namespace vmm
