#include "vmm/stats/published.h"

#include <doctest/doctest.h>

namespace vmm {

TEST_CASE("published figures are found by guest, policy and size, and nowhere else") {
  const auto gain = published_gain("lock", "v2", 3);
  REQUIRE(gain);
  CHECK(gain->workload == "dbench");
  CHECK(gain->gain_percent == 9.8);
  CHECK_FALSE(published_gain("lock", "v2", 5));
  CHECK_FALSE(published_gain("lock", "kvmux", 2));
  CHECK_FALSE(published_gain("compute", "v2", 2));
  const auto change = published_overcommit("v2", 8);
  REQUIRE(change);
  CHECK(change->throughput_percent == 11.5);
  CHECK(change->yields_percent == -25.1);
  CHECK_FALSE(published_overcommit("v2", 7));
  CHECK_FALSE(published_overcommit("deboost", 8));
}

TEST_CASE("the loads of Linux guests are compared with what they are, or stand for") {
  CHECK(published_guest("lock (think 50.0 us)") == "lock");
  const auto gain = published_gain("linux (dbench:16)", "v2", 2);
  REQUIRE(gain);
  CHECK(gain->workload == "dbench");
  CHECK(gain->gain_percent == 14.4);
  CHECK(published_gain("linux (vips)", "v3", 4)->workload == "vips");
  CHECK(published_gain("linux (zstd:16)", "ipi", 2)->workload == "dedup");
  CHECK_FALSE(published_gain("linux (hackbench)", "v2", 2));
  CHECK_FALSE(published_gain("linux (lockless)", "v2", 2));
}

TEST_CASE("the series as posted had no forfeit; any other change makes it something else") {
  CHECK(published_gain("lock", "deboost,forfeit=off", 2));
  CHECK(published_overcommit("v2,forfeit=off", 2));
  CHECK_FALSE(published_gain("lock", "v2,deboost=off", 2));
}

}  // namespace vmm
