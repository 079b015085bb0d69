// How often a vCPU was found at which RIP: a table of fixed size, so that the run loop counts without memory or
// locks.
//
// A RIP has one bucket of a few places. Where they are taken, whoever has least there loses one count to each
// newcomer, until it gives way (Misra and Gries' frequent items, a bucket at a time): what comes often stays, and no
// sample is lost from the sum.
//
// Belongs to a vCPU's lease holder; others read and clear it while the engine is paused or has stopped.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace vmm {

class SiteCounts {
 public:
  static constexpr size_t kSites = 64;

  void count(uint64_t rip) {
    const auto bucket = &sites_[home(rip) * kPlaces];
    for (Site* site = bucket; site != bucket + kPlaces; ++site) {
      if (site->samples > 0 && site->rip == rip) {
        ++site->samples;
        return;
      }
    }
    Site* const least = std::min_element(
        bucket, bucket + kPlaces, [](const Site& a, const Site& b) { return a.samples < b.samples; });
    if (least->samples == 0) {
      *least = {rip, 1};
      return;
    }
    --least->samples;
    other_ += 2;  // this one, and the one that it took
  }

  void clear() { *this = {}; }

  template <class Call>
  void for_each(Call call) const {  // call(rip, samples)
    for (const Site& site : sites_) {
      if (site.samples > 0) call(site.rip, site.samples);
    }
  }
  // Samples of which the place was not kept.
  [[nodiscard]] uint64_t other() const { return other_; }

 private:
  struct Site {
    uint64_t rip = 0;
    uint64_t samples = 0;
  };
  static constexpr size_t kPlaces = 4;  // of a bucket: a cache line
  static constexpr size_t kBuckets = kSites / kPlaces;

  // The high bits of a product with 2^64 / φ: neighbouring instructions lie far from each other.
  static size_t home(uint64_t rip) { return (rip * 0x9e3779b97f4a7c15u) >> 60; }
  static_assert(kBuckets == 16, "home() gives four bits");

  std::array<Site, kSites> sites_{};
  uint64_t other_ = 0;
};

}  // namespace vmm
