// SCHEDULING: the deboost penalty, by hand from its definition:
//   penalty = gran + need + need/10, at most max(need, gran) for a reversed pair,
//   then clamped to [gran, cap · gran], cap by queue length: 2 → 6, 3 → 4, 4–6 → 2.5, 7–8 → 2, 9–12 → 1.5,
//   >12 → 1.
#include "sched/penalty.h"

#include <doctest/doctest.h>

#include <limits>

#include "support.h"

using namespace sched_test;

namespace {
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

struct Row {
  uint32_t queued;
  int64_t need;
  bool reverse;
  int64_t want;
};

void check_rows(int64_t gran, std::initializer_list<Row> rows) {
  for (const Row& row : rows) {
    CAPTURE(gran);
    CAPTURE(row.queued);
    CAPTURE(row.need);
    CAPTURE(row.reverse);
    CHECK(penalty({{gran}, {row.need}, row.queued, row.reverse}) == Vruntime{row.want});
  }
}
}  // namespace

TEST_CASE("penalty: without a gap it is one gran in every band, debounced or not") {
  for (const uint32_t queued : {2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 10u, 12u, 13u, 100u, 16384u}) {
    for (const bool reverse : {false, true}) {
      check_rows(1000, {{queued, 0, reverse, 1000}});
    }
  }
}

TEST_CASE("penalty: a small gap counts 110 %, where the cap leaves room") {
  // need 300: 1000 + 300 + 30.
  check_rows(1000, {{2, 300, false, 1330},
                    {3, 300, false, 1330},
                    {4, 300, false, 1330},
                    {6, 300, false, 1330},
                    {7, 300, false, 1330},
                    {8, 300, false, 1330},
                    {9, 300, false, 1330},
                    {12, 300, false, 1330},
                    {13, 300, false, 1000}});
  check_rows(1000, {{2, 9, false, 1009}, {2, 10, false, 1011}, {2, 19, false, 1020}});  // need/10 rounds down
}

TEST_CASE("penalty: every band's cap, and its borders") {
  check_rows(1000, {{2, 1'000'000, false, 6000},
                    {3, 1'000'000, false, 4000},
                    {4, 1'000'000, false, 2500},
                    {5, 1'000'000, false, 2500},
                    {6, 1'000'000, false, 2500},
                    {7, 1'000'000, false, 2000},
                    {8, 1'000'000, false, 2000},
                    {9, 1'000'000, false, 1500},
                    {10, 1'000'000, false, 1500},
                    {11, 1'000'000, false, 1500},
                    {12, 1'000'000, false, 1500},
                    {13, 1'000'000, false, 1000},
                    {64, 1'000'000, false, 1000}});
  // An odd gran: 5 · 7 / 2 = 17 and 3 · 7 / 2 = 10, rounded down.
  check_rows(7, {{4, 1000, false, 17}, {9, 1000, false, 10}});
}

TEST_CASE("penalty: exactly at a cap, one below and one above") {
  // Two queued, gran 1000: need 4545 gives 1000 + 4545 + 454 = 5999, 4546 gives 6000, 4547 gives 6001.
  check_rows(1000, {{2, 4545, false, 5999}, {2, 4546, false, 6000}, {2, 4547, false, 6000}});
  // Nine queued: need 454 gives 1499, 455 gives 1500, 456 gives 1501.
  check_rows(1000, {{9, 454, false, 1499}, {9, 455, false, 1500}, {9, 456, false, 1500}});
}

TEST_CASE("penalty: a reversed pair pays no more than the larger of gap and gran, then the cap") {
  check_rows(1000, {{2, 300, true, 1000},  // max(300, 1000)
                    {2, 1000, true, 1000},
                    {2, 1001, true, 1001},
                    {2, 3000, true, 3000},
                    {2, 9000, true, 6000},  // the cap
                    {3, 3000, true, 3000},
                    {3, 4001, true, 4000},
                    {4, 3000, true, 2500},
                    {7, 1999, true, 1999},
                    {7, 2001, true, 2000},
                    {9, 1400, true, 1400},
                    {12, 1600, true, 1500},
                    {13, 1400, true, 1000}});
}

TEST_CASE("penalty: saturates instead of overflowing") {
  check_rows(1, {{2, kMax, false, 6}, {2, kMax, true, 6}});
  check_rows(kMax,
             {{2, 0, false, kMax}, {2, kMax, false, kMax}, {13, kMax, false, kMax}, {4, kMax, true, kMax}});
  check_rows(kMax / 2, {{2, 0, false, kMax / 2},
                        {2, kMax, false, kMax},      // 6 · gran is beyond the largest value
                        {7, kMax, false, kMax - 1},  // 2 · gran is just below it
                        {9, kMax, false, kMax / 2 + kMax / 4}});
  check_rows(1000, {{2, kMax - 1, false, 6000}});
}

TEST_CASE("rate limit: one in any 6 ms; exactly 6 ms is still too early, as in the series") {
  DeboostState state;
  constexpr Nanos kInterval = 6ms;
  CHECK(state.admissible(0ns, kInterval));
  CHECK(state.admit(0ns, kInterval));  // the first at once, also at time 0
  CHECK_FALSE(state.admit(1ns, kInterval));
  CHECK_FALSE(state.admit(6ms, kInterval));
  CHECK_FALSE(state.admissible(6ms, kInterval));
  CHECK(state.admissible(6ms + 1ns, kInterval));
  CHECK(state.admissible(6ms + 1ns, kInterval));  // asking is free
  CHECK(state.admit(6ms + 1ns, kInterval));
  CHECK_FALSE(state.admit(12ms + 1ns, kInterval));  // counted from the last use
  CHECK(state.admit(12ms + 2ns, kInterval));
}

TEST_CASE("debounce: the reverse of the last pair within 600 µs, that instant included") {
  constexpr Nanos kWindow = 600us;
  const VcpuId a{1};
  const VcpuId b{2};
  const VcpuId c{3};
  DeboostState state;
  CHECK_FALSE(state.record_pair(a, b, 0ns, kWindow));  // no pair yet
  CHECK(state.record_pair(b, a, 600us, kWindow));
  CHECK(state.record_pair(a, b, 1200us, kWindow));              // recorded each time
  CHECK_FALSE(state.record_pair(b, a, 1800us + 1ns, kWindow));  // too late by one
  CHECK_FALSE(state.record_pair(b, a, 1801us, kWindow));        // the same direction
  CHECK_FALSE(state.record_pair(a, c, 1802us, kWindow));        // another partner
  CHECK_FALSE(state.record_pair(b, a, 1803us, kWindow));        // a → c came in between
}
