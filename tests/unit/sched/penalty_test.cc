// SCHEDULING: the deboost penalty, by hand from its definition:
//   penalty = gran + need + need/10, at most max(need, gran) for a reversed pair,
//   then clamped to [gran, cap · gran], cap by queue length: 2 → 6, 3 → 4, 4–6 → 2.5, 7–8 → 2, 9–12 → 1.5,
//   >12 → 1.
#include "sched/yield/penalty.h"

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
    CHECK(penalty({{gran}, {row.need}, row.queued, row.reverse}, Tuning{}) == Vruntime{row.want});
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

// need + need/10 has to come up to cap − 1000:
//   5000: 4545 + 454 = 4999, 4546 + 454 = 5000, 4547 + 454 = 5001
//   3000: 2727 + 272 = 2999, 2728 + 272 = 3000, 2729 + 272 = 3001
//   1500: 1363 + 136 = 1499, 1364 + 136 = 1500, 1365 + 136 = 1501
//   1000:  909 +  90 =  999,  910 +  91 = 1001 (nothing gives 1000)
//    500:  454 +  45 =  499,  455 +  45 =  500,  456 +  45 =  501
//      0:    0 +   0 =    0,    1 +   0 =    1
TEST_CASE("penalty: one below, at and one above every band's cap") {
  check_rows(1000, {{2, 4545, false, 5999}, {2, 4546, false, 6000}, {2, 4547, false, 6000}});
  check_rows(1000, {{3, 2727, false, 3999}, {3, 2728, false, 4000}, {3, 2729, false, 4000}});
  for (const uint32_t queued : {4u, 5u, 6u}) {
    check_rows(1000, {{queued, 1363, false, 2499}, {queued, 1364, false, 2500}, {queued, 1365, false, 2500}});
  }
  for (const uint32_t queued : {7u, 8u}) {
    check_rows(1000, {{queued, 909, false, 1999}, {queued, 910, false, 2000}});
  }
  for (const uint32_t queued : {9u, 10u, 11u, 12u}) {
    check_rows(1000, {{queued, 454, false, 1499}, {queued, 455, false, 1500}, {queued, 456, false, 1500}});
  }
  for (const uint32_t queued : {13u, 14u, 16384u}) {
    check_rows(1000, {{queued, 0, false, 1000}, {queued, 1, false, 1000}});
  }
}

// A reversed pair pays max(need, 1000): 1000 up to a gap of 1000, then the gap itself, then the cap.
TEST_CASE("penalty: a reversed pair pays the larger of gap and gran, up to every band's cap") {
  constexpr struct {
    uint32_t queued;
    int64_t cap;
  } kBands[] = {{2, 6000}, {3, 4000}, {4, 2500},  {5, 2500},  {6, 2500}, {7, 2000},
                {8, 2000}, {9, 1500}, {10, 1500}, {11, 1500}, {12, 1500}};
  for (const auto& band : kBands) {
    check_rows(1000, {{band.queued, 1, true, 1000},
                      {band.queued, 999, true, 1000},
                      {band.queued, 1000, true, 1000},
                      {band.queued, 1001, true, 1001},
                      {band.queued, band.cap - 1, true, band.cap - 1},
                      {band.queued, band.cap, true, band.cap},
                      {band.queued, band.cap + 1, true, band.cap}});
  }
  for (const uint32_t queued : {13u, 14u, 16384u}) {
    check_rows(1000, {{queued, 1, true, 1000}, {queued, 1001, true, 1000}, {queued, 5000, true, 1000}});
  }
}

TEST_CASE("penalty: every product and sum saturates instead of overflowing") {
  constexpr int64_t kHalf = int64_t{1} << 62;  // twice this is one more than the largest value
  // cap · 2^62: 6, 4, 2.5 and 2 saturate; 1.5 is 2^62 + 2^61, 1 is 2^62.
  for (const bool reverse : {false, true}) {
    check_rows(kHalf, {{2, kMax, reverse, kMax},
                       {3, kMax, reverse, kMax},
                       {4, kMax, reverse, kMax},
                       {6, kMax, reverse, kMax},
                       {7, kMax, reverse, kMax},
                       {8, kMax, reverse, kMax},
                       {9, kMax, reverse, kHalf + kHalf / 2},
                       {12, kMax, reverse, kHalf + kHalf / 2},
                       {13, kMax, reverse, kHalf},
                       {2, 0, reverse, kHalf}});
    check_rows(kMax, {{2, 0, reverse, kMax}, {4, kMax, reverse, kMax}, {13, kMax, reverse, kMax}});
    check_rows(1, {{2, kMax, reverse, 6}, {9, kMax, reverse, 1}});  // 3 · 1 / 2 = 1, rounded down
  }
  // 2 · (2^62 − 1) is one below the largest value; 1.5 · (2^62 − 1) rounds its half down.
  check_rows(kHalf - 1, {{7, kMax, false, kMax - 1}, {9, kMax, false, kHalf - 1 + (kHalf / 2 - 1)}});
  // The sums where the cap has room: 2^62 + 100 + 10; then need/10, need + need/10 and gran + need too large.
  check_rows(kHalf, {{2, 100, false, kHalf + 110},
                     {2, kHalf - 1, false, kMax},
                     {2, kMax - 1, false, kMax},
                     {2, kHalf - 1, true, kHalf},
                     {2, kHalf + 1, true, kHalf + 1}});
  check_rows(1000, {{2, kMax - 1, false, 6000}, {2, kMax - 1, true, 6000}});
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

TEST_CASE("penalty: every constant decides in its band, and there alone") {
  struct Case {
    int64_t Tuning::*cap;
    uint32_t from, to;
  };
  for (const Case& c : {Case{&Tuning::penalty_cap_2, 2, 2}, Case{&Tuning::penalty_cap_3, 3, 3},
                        Case{&Tuning::penalty_cap_6, 4, 6}, Case{&Tuning::penalty_cap_8, 7, 8},
                        Case{&Tuning::penalty_cap_12, 9, 12}}) {
    Tuning tuning;
    tuning.*c.cap = 733;
    for (uint32_t queued = 2; queued <= 20; ++queued) {
      CAPTURE(queued);
      const PenaltyInput far{{1000}, {1'000'000}, queued, false};
      if (queued >= c.from && queued <= c.to) {
        CHECK(penalty(far, tuning) == Vruntime{7330});
      } else {
        CHECK(penalty(far, tuning) == penalty(far, Tuning{}));
      }
    }
  }
  Tuning half;
  half.penalty_gap = 50;
  CHECK(penalty({{1000}, {301}, 2, false}, half) == Vruntime{1150});
}
