// A worker's heap of LAPIC deadlines: against a plain list, and over several workers.
#include "vmm/run/alarms.h"

#include <doctest/doctest.h>

#include <array>
#include <deque>

#include "sched/base/rng.h"

using vmm::Alarm;
using vmm::Alarms;
using vmm::Nanos;

namespace {

constexpr uint32_t kVcpus = 40;

struct Machine {
  std::array<Alarms, 3> workers{Alarms{kVcpus}, Alarms{kVcpus}, Alarms{kVcpus}};
  std::deque<Alarm> alarms;
  Machine() {
    for (uint32_t i = 0; i < kVcpus; ++i) alarms.emplace_back(sched::VcpuId{i});
  }
};

}  // namespace

TEST_CASE("alarms: the earliest counts, and each comes out once, in order") {
  Machine m;
  Alarms& here = m.workers[0];
  CHECK(here.earliest() == sched::kForever);
  here.keep(m.alarms[0], Nanos{300});
  here.keep(m.alarms[1], Nanos{100});
  here.keep(m.alarms[2], Nanos{200});
  CHECK(here.earliest() == Nanos{100});
  CHECK_FALSE(here.take_due(Nanos{99}));
  here.keep(m.alarms[1], Nanos{400});  // postponed
  CHECK(here.earliest() == Nanos{200});
  CHECK(here.take_due(Nanos{400}) == sched::VcpuId{2});
  CHECK(here.take_due(Nanos{400}) == sched::VcpuId{0});
  CHECK(here.take_due(Nanos{400}) == sched::VcpuId{1});
  CHECK_FALSE(here.take_due(Nanos{400}));
  CHECK(here.earliest() == sched::kForever);
}

TEST_CASE("alarms: whoever holds the vCPU answers for it, and nobody else") {
  Machine m;
  m.workers[0].keep(m.alarms[7], Nanos{100});
  m.workers[1].keep(m.alarms[7], Nanos{100});
  CHECK(m.workers[0].size() == 0);
  CHECK(m.workers[0].earliest() == sched::kForever);
  CHECK(m.workers[1].take_due(Nanos{100}) == sched::VcpuId{7});
  m.workers[2].keep(m.alarms[7], Nanos{200});  // its home had nothing of it any more
  m.workers[2].keep(m.alarms[7], sched::kForever);
  CHECK(m.workers[2].size() == 0);
}

TEST_CASE("alarms: as a plain list says, whatever is kept, moved and taken") {
  Machine m;
  std::array<std::pair<size_t, Nanos>, kVcpus> model;  // where, when
  model.fill({0, sched::kForever});
  sched::Rng rng(7);
  for (int step = 0; step < 20'000; ++step) {
    const auto worker = static_cast<size_t>(rng.below(3));
    if (rng.below(4) != 0) {
      const auto vcpu = static_cast<size_t>(rng.below(kVcpus));
      const Nanos at = rng.below(5) == 0 ? sched::kForever : Nanos(static_cast<int64_t>(rng.below(1'000)));
      m.workers[worker].keep(m.alarms[vcpu], at);
      model[vcpu] = {worker, at};
    } else if (const auto due = m.workers[worker].take_due(Nanos(static_cast<int64_t>(rng.below(300))))) {
      auto& [where, when] = model[index_of(*due)];
      REQUIRE(where == worker);
      for (const auto& other : model) CHECK((other.first != worker || other.second >= when));
      when = sched::kForever;
    }
    for (size_t w = 0; w < 3; ++w) {
      Nanos earliest = sched::kForever;
      size_t size = 0;
      for (const auto& [where, when] : model) {
        if (where != w || when == sched::kForever) continue;
        earliest = std::min(earliest, when);
        ++size;
      }
      REQUIRE(m.workers[w].earliest() == earliest);
      REQUIRE(m.workers[w].size() == size);
    }
  }
}
