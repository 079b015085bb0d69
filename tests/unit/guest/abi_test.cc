#include "guest/abi.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "abi_c.h"

namespace {

// The lowest value of a bucket, from the definition in abi.h and not from the function under test.
uint64_t bucket_start(uint32_t bucket) {
  if (bucket < 8) return bucket;
  const uint32_t octave = bucket / 8 + 2;
  return (uint64_t{8} + bucket % 8) << (octave - 3);
}

constexpr uint32_t kLastBucket = 8 * (63 - 2) + 7;

}  // namespace

TEST_CASE("abi: C and C++ agree on every size and offset") {
  const std::array<size_t, ABI_FIGURES> of_cxx{
#include "abi_figures.inc"
  };
  for (size_t i = 0; i < of_cxx.size(); ++i) {
    CAPTURE(i);
    CHECK(of_cxx[i] == kAbiOfC[i]);
  }
}

TEST_CASE("abi: the layout of version 1 does not move") {
  // A guest built against version 1 runs with every later VMM of version 1: these are literals on purpose.
  CHECK(KVMUX_ABI_VERSION == 1);
  CHECK(sizeof(kvmux_workload) == 40);
  CHECK(offsetof(kvmux_boot_info, revision) == 528);
  CHECK(offsetof(kvmux_boot_info, vcpu_count) == 20);
  CHECK(offsetof(kvmux_boot_info, doorbell) == 56);
  CHECK(offsetof(kvmux_boot_info, args) == 160);
  CHECK(offsetof(kvmux_boot_info, vcpus_running) == 512);
  CHECK(offsetof(kvmux_vcpu_results, user) == 80);
  CHECK(offsetof(kvmux_vcpu_results, ack_hist) == 512);
  CHECK(KVMUX_BELL_STOP == 0x18);
}

TEST_CASE("abi: histogram buckets start where the header says, without gaps") {
  for (uint32_t bucket = 1; bucket <= kLastBucket; ++bucket) {
    CAPTURE(bucket);
    const uint64_t start = bucket_start(bucket);
    CHECK(kvmux_hist_bucket(start) == bucket);
    CHECK(kvmux_hist_bucket(start - 1) == bucket - 1);
    CHECK(hist_bucket_of_c(start) == bucket);
  }
  CHECK(kvmux_hist_bucket(0) == 0);
}

TEST_CASE("abi: every value has a bucket, no bucket is wider than an eighth of its start") {
  CHECK(kvmux_hist_bucket(~uint64_t{0}) == kLastBucket);
  CHECK(kLastBucket < KVMUX_HIST_BUCKETS);
  for (uint32_t bucket = 8; bucket < kLastBucket; ++bucket) {
    CAPTURE(bucket);
    CHECK((bucket_start(bucket + 1) - bucket_start(bucket)) * 8 <= bucket_start(bucket));
  }
}
