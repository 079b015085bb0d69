// The design of a comparison: cells (one configuration each), slots (the policies under comparison), blocks
// (every slot once, in random order) and attempts (a disturbed block is measured again). A run is identified
// by (cell, block, attempt, slot). Pure data; everything random comes from the seed. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/run_types.h"
#include "vmm/stats/detail.h"
#include "vmm/stats/metrics.h"

namespace vmm {

struct Slot {
  std::string label;          // the policy's name, made unique: "yield#2"
  RunSpec spec;               // its seed is set per block
  bool is_reference = false;  // one VM alone, for `efficiency`; not a policy under comparison
};

// What is kept about a cell in result files.
struct CellInfo {
  std::string key;    // fingerprint of all that the cell's runs depend on
  std::string guest;  // "lock (ttas, think 50us, hold 20us)"
  std::string size;   // "2 × 4": VMs × vCPUs
  std::string backend;
  uint32_t workers = 0;
  uint32_t vms = 0;
  uint32_t vcpus_in_all = 0;
  double seconds = 0;
  std::vector<std::string> labels;  // of the slots
  int reference = -1;               // slot of the reference run, or -1
  std::optional<uint32_t> place;    // in the uncut grid, if this is a shard of it
  uint32_t first_look = 0;          // measured until settled: blocks before the first look; else 0
  // Policies take turns while the guests run: the runs of a block are turns. Seconds of a turn and of what is
  // thrown away at its beginning; 0: not chosen yet.
  bool switchback = false;
  double period = 0;
  double washout = 0;
  friend bool operator==(const CellInfo&, const CellInfo&) = default;
};

struct Cell {
  CellInfo info;
  std::vector<Slot> slots;
};

struct RunId {
  std::string cell;  // CellInfo::key
  uint32_t block = 0;
  uint32_t attempt = 0;
  uint32_t slot = 0;
  friend auto operator<=>(const RunId&, const RunId&) = default;
};

// One finished run, as kept in memory and in result files.
struct RunRecord {
  RunId id;
  uint64_t seed = 0;
  double seconds = 0;  // of the measured window
  double took = 0;     // with set-up and warm-up, by the clock; 0 in the simulator and in old files
  MetricValues metrics;
  std::vector<double> vm_ops_per_second;
  HostNoise noise;
  std::optional<RunDetail> detail;  // none in old files
  std::optional<uint32_t> place;    // in the order of its block's runs; older files do not say
  std::optional<uint32_t> process;  // of several that measured, one after the other
  [[nodiscard]] const double* metric(std::string_view name) const;
};

// Values of a turn's halves, kept among its metrics: what carry-over is tested by.
inline constexpr std::string_view kFirstHalf = "first_half";
inline constexpr std::string_view kSecondHalf = "second_half";

// The runs of a block share a seed, so that each policy meets the same random choices of the guests.
uint64_t block_seed(uint64_t seed, uint32_t block);

// Order of the slots within an attempt at a block.
std::vector<uint32_t> block_order(uint64_t seed, const RunId& block, size_t slots);

// "yield, v2, yield" → "yield#1, v2, yield#2".
std::vector<std::string> unique_labels(const std::vector<std::string>& names);

// FNV-1a, 64 bits: stable over versions and machines, unlike std::hash.
uint64_t fingerprint(std::string_view text);
std::string hex(uint64_t value);

}  // namespace vmm
