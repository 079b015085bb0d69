// What is read from a ring that anybody in the guest may write to.
#include "vmm/run/guest_marks.h"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

namespace vmm {
namespace {

using sched::Nanos;

struct Seen {
  Nanos at;
  uint64_t what;
  uint64_t value;
};

// A guest's ring, with a TSC of 1 GHz: a tick is a nanosecond.
struct Rig {
  std::unique_ptr<kvmux_mark_ring> ring = std::make_unique<kvmux_mark_ring>();
  GuestMarks marks{ring.get(), 1e6};
  std::vector<Seen> seen;

  void write(uint64_t tsc, uint64_t what) {
    kvmux_mark_entry& entry = ring->entries[ring->count++ % KVMUX_MARK_SLOTS];
    entry.what = what;
    entry.tsc = tsc;
  }
  // A stay from 1000 to 2000 ns, at whose end the TSC was 5000.
  uint64_t take() {
    return marks.take({.entered = Nanos{1000}, .exited = Nanos{2000}, .now = Nanos{2000}, .tsc = 5000},
                      [&](Nanos at, uint64_t what, uint64_t value) {
                        seen.push_back({at, what, value});
                      });
  }
};

}  // namespace

TEST_CASE("guest marks: in order, by the clock of the run") {
  Rig rig;
  rig.write(4100, KVMUX_MARK_TAKES_LOCK | 77u << 8);
  rig.write(4900, KVMUX_MARK_RELEASES_LOCK | 77u << 8);
  CHECK(rig.take() == 0);
  REQUIRE(rig.seen.size() == 2);
  CHECK(rig.seen[0].at == Nanos{1100});
  CHECK(rig.seen[0].what == KVMUX_MARK_TAKES_LOCK);
  CHECK(rig.seen[0].value == 77);
  CHECK(rig.seen[1].at == Nanos{1900});
  CHECK(rig.take() == 0);
  CHECK(rig.seen.size() == 2);  // once each
}

TEST_CASE("guest marks: one that was begun when the guest was left is read when it is whole") {
  Rig rig;
  rig.write(4100, KVMUX_MARK_WAITS);
  ++rig.ring->count;  // its place is taken, nothing stands there yet
  rig.take();
  CHECK(rig.seen.size() == 1);
  rig.ring->entries[1] = {.tsc = 4500, .what = KVMUX_MARK_WAIT_OVER};
  rig.take();
  REQUIRE(rig.seen.size() == 2);
  CHECK(rig.seen[1].what == KVMUX_MARK_WAIT_OVER);
}

TEST_CASE("guest marks: what was overwritten is counted") {
  Rig rig;
  for (uint64_t i = 0; i < KVMUX_MARK_SLOTS + 10; ++i)
    rig.write(4000 + i % 900, KVMUX_MARK_OPERATION | i << 8);
  CHECK(rig.take() == 10);
  REQUIRE(rig.seen.size() == KVMUX_MARK_SLOTS);
  CHECK(rig.seen.front().value == 10);
  CHECK(rig.seen.back().value == KVMUX_MARK_SLOTS + 9);
}

TEST_CASE("guest marks: a guest that lies gets no further than its own stay, and costs a ring at the most") {
  Rig rig;
  rig.write(1, KVMUX_MARK_WAITS);          // before it came
  rig.write(~0ull, KVMUX_MARK_WAIT_OVER);  // after it left
  rig.write(4200, KVMUX_MARK_OPERATION);   // backwards
  rig.write(4300, 200);                    // no such mark
  CHECK(rig.take() == 0);
  REQUIRE(rig.seen.size() == 3);
  Nanos last{1000};
  for (const Seen& mark : rig.seen) {
    CHECK(mark.at >= last);
    CHECK(mark.at <= Nanos{2000});
    last = mark.at;
  }
  for (const uint64_t count : {~uint64_t{0}, uint64_t{0}, uint64_t{1} << 63, uint64_t{3}}) {
    CAPTURE(count);
    for (kvmux_mark_entry& entry : rig.ring->entries) entry = {.tsc = 4500, .what = KVMUX_MARK_OPERATION};
    rig.ring->count = count;
    rig.seen.clear();
    rig.take();
    CHECK(rig.seen.size() <= KVMUX_MARK_SLOTS);
  }
}

}  // namespace vmm
