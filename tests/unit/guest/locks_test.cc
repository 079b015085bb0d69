#include "guest/runtime/locks.h"

#include <doctest/doctest.h>

#include <vector>

#include "fake_vcpus.h"

namespace {

constexpr uint32_t kKinds[] = {KVMUX_LOCK_TTAS, KVMUX_LOCK_TICKET, KVMUX_LOCK_MCS, KVMUX_LOCK_PV};

bool is_free(const lock& l) { return l.kind == KVMUX_LOCK_TICKET ? l.word == l.serving : l.word == 0; }

}  // namespace

TEST_CASE("locks: uncontended, each kind is taken and released without spinning") {
  for (const uint32_t kind : kKinds) {
    CAPTURE(kind);
    FakeVcpus vm(2);
    lock l;
    lock_init(&l, kind);
    for (uint32_t turn = 0; turn < 6; ++turn) {
      CHECK(is_free(l));
      lock_acquire(&vm.at(turn % 2), &l);
      CHECK_FALSE(is_free(l));
      lock_release(&vm.at(turn % 2), &l);
    }
    CHECK(is_free(l));
    CHECK(vm.spins.empty());
  }
}

TEST_CASE("locks: who finds it held spins until the owner releases it") {
  for (const uint32_t kind : kKinds) {
    if (kind == KVMUX_LOCK_PV) continue;  // it halts after a window
    CAPTURE(kind);
    FakeVcpus vm(2);
    lock l;
    lock_init(&l, kind);
    lock_acquire(&vm.at(0), &l);
    bool owned_by_0 = true;
    vm.on_spin = [&](const FakeVcpus::Spin& spin) -> uint64_t {
      CHECK(owned_by_0);
      CHECK(*spin.word == spin.value);
      if (vm.spins.size() < 3) return 0;
      owned_by_0 = false;
      lock_release(&vm.at(0), &l);
      CHECK(*spin.word != spin.value);
      return spin.turns;
    };
    lock_acquire(&vm.at(1), &l);
    CHECK_FALSE(owned_by_0);
    CHECK(vm.spins.size() == 3);
    CHECK(vm.at(1).results->spin_rings == 2);
    lock_release(&vm.at(1), &l);
    CHECK(is_free(l));
  }
}

TEST_CASE("locks: a TTAS lock that is snatched away is waited for again") {
  FakeVcpus vm(1);
  lock l;
  lock_init(&l, KVMUX_LOCK_TTAS);
  l.word = 1;
  vm.on_spin = [&](const FakeVcpus::Spin& spin) -> uint64_t {
    if (vm.spins.size() == 2) l.word = 0;
    return spin.turns;  // the first time the loop saw it free, but by now it is taken again
  };
  lock_acquire(&vm.at(0), &l);
  CHECK(vm.spins.size() == 2);
  CHECK(l.word == 1);
}

TEST_CASE("locks: ticket owners come in the order of their tickets, over the wrap as well") {
  FakeVcpus vm(1);
  lock l;
  lock_init(&l, KVMUX_LOCK_TICKET);
  l.word = 1;                // two tickets from now …
  l.serving = ~uint64_t{0};  // … are before us: the last number and 0
  std::vector<uint64_t> seen;
  vm.on_spin = [&](const FakeVcpus::Spin& spin) {
    seen.push_back(spin.value);
    CHECK(spin.word == &l.serving);
    ++l.serving;
    return spin.turns;
  };
  lock_acquire(&vm.at(0), &l);
  CHECK(seen == std::vector<uint64_t>{~uint64_t{0}, 0});
  CHECK(l.serving == 1);
  lock_release(&vm.at(0), &l);
  CHECK(is_free(l));
}

TEST_CASE("locks: an MCS waiter spins on its own node and gets the lock from its predecessor") {
  FakeVcpus vm(3);
  lock l;
  lock_init(&l, KVMUX_LOCK_MCS);
  lock_acquire(&vm.at(0), &l);
  std::vector<const uint64_t*> words;
  vm.on_spin = [&](const FakeVcpus::Spin& spin) -> uint64_t {
    words.push_back(spin.word);
    if (words.size() == 1) {
      lock_acquire(&vm.at(2), &l);  // queues behind 1, and both wait for 0
    } else {
      lock_release(&vm.at(0), &l);
      // As vCPU 1 would, once it goes on.
      CHECK(vm.at(1).mcs.locked == 0);
      CHECK(vm.at(2).mcs.locked == 1);
      lock_release(&vm.at(1), &l);
    }
    return spin.turns;
  };
  lock_acquire(&vm.at(1), &l);
  CHECK(words == std::vector<const uint64_t*>{&vm.at(1).mcs.locked, &vm.at(2).mcs.locked});
  CHECK(l.word == reinterpret_cast<uint64_t>(&vm.at(2).mcs));
  lock_release(&vm.at(2), &l);
  CHECK(is_free(l));
}

TEST_CASE("locks: a PV waiter that is handed the lock within its window does not sleep, and nobody is sent an IPI") {
  FakeVcpus vm(2);
  lock l;
  lock_init(&l, KVMUX_LOCK_PV);
  lock_acquire(&vm.at(0), &l);
  vm.on_spin = [&](const FakeVcpus::Spin& spin) -> uint64_t {
    CHECK(spin.turns == vm.at(1).spin_window);
    CHECK(vm.at(1).results->sync.waits == (KVMUX_WAITS_LOCK | reinterpret_cast<uint64_t>(&l) << 8));
    lock_release(&vm.at(0), &l);
    CHECK(vm.at(1).results->sync.holds == reinterpret_cast<uint64_t>(&l));  // before it knows
    return spin.turns;
  };
  lock_acquire(&vm.at(1), &l);
  CHECK(vm.at(1).mcs.locked == MCS_OWNS);
  CHECK(vm.at(0).results->ipis_sent == 0);
  CHECK(vm.at(1).results->spin_rings == 0);
}

TEST_CASE("locks: a PV waiter that sleeps is woken by an IPI of whoever hands it the lock") {
  FakeVcpus vm(2);
  alignas(4096) uint32_t lapic[1024] = {};
  vm.boot.lapic = reinterpret_cast<uint64_t>(lapic);
  lock l;
  lock_init(&l, KVMUX_LOCK_PV);
  lock_acquire(&vm.at(0), &l);
  REQUIRE(mcs_join(&vm.at(1), &l));
  vm.at(1).mcs.locked = MCS_SLEEPS;
  lock_release(&vm.at(0), &l);
  CHECK(vm.at(1).mcs.locked == MCS_OWNS);
  CHECK(vm.at(1).mcs.awake == 1);
  CHECK(vm.at(0).results->ipis_sent == 1);
  CHECK(lapic[LAPIC_ICR_LOW / 4] == (LAPIC_ICR_ASSERT | VECTOR_IPI));
  CHECK(lapic[LAPIC_ICR_HIGH / 4] == 1u << 24);
}

TEST_CASE("locks: what a vCPU publishes is that it owns the lock, and nothing once it has released it") {
  for (const uint32_t kind : kKinds) {
    CAPTURE(kind);
    FakeVcpus vm(1);
    lock l;
    lock_init(&l, kind);
    const kvmux_sync& sync = vm.at(0).results->sync;
    lock_acquire(&vm.at(0), &l);
    CHECK(sync.holds == reinterpret_cast<uint64_t>(&l));
    CHECK(sync.critical == 1);
    CHECK(sync.waits == 0);
    CHECK(sync.asks == 0);  // nobody would hear it
    CHECK(l.owner == 1);
    lock_release(&vm.at(0), &l);
    CHECK(sync.holds == 0);
    CHECK(sync.critical == 0);
    CHECK(l.owner == 0);
  }
}

TEST_CASE("locks: a vCPU that is told when its turn ends does not take a lock that it would be taken off with") {
  FakeVcpus vm(1);
  lock l;
  lock_init(&l, KVMUX_LOCK_TTAS);
  kvmux_sync& sync = vm.at(0).results->sync;
  vm.at(0).hold_ticks = uint64_t{1} << 40;
  const auto rings = [&](uint64_t told, uint64_t end) {
    vm.clear_bells();
    sync.told = told;
    sync.turn_end = end;
    lock_acquire(&vm.at(0), &l);
    lock_release(&vm.at(0), &l);
    return vm.bell(KVMUX_BELL_SPIN) != FakeVcpus::kNotRung;
  };
  CHECK(rings(KVMUX_TELLS_TURN_END, kvmux_tsc() + 1000));
  CHECK_FALSE(rings(KVMUX_TELLS_TURN_END, kvmux_tsc() + (uint64_t{1} << 50)));
  CHECK_FALSE(rings(KVMUX_TELLS_TURN_END, ~uint64_t{0}));  // nobody waits for its CPU
  CHECK_FALSE(rings(0, kvmux_tsc() + 1000));
}

TEST_CASE("locks: a vCPU that is heard asks for twice what it holds the lock, for as long as it does") {
  FakeVcpus vm(1);
  vm.boot.workload.hold_ns = 20'000;
  lock l;
  lock_init(&l, KVMUX_LOCK_TICKET);
  kvmux_sync& sync = vm.at(0).results->sync;
  sync.told = KVMUX_HEARS_ASKS;
  lock_acquire(&vm.at(0), &l);
  CHECK(sync.asks == 40'000);
  lock_release(&vm.at(0), &l);
  CHECK(sync.asks == 0);
}

TEST_CASE("locks: who waits for an owner that is told to be off its CPU rings after an eighth of a window") {
  FakeVcpus vm(2);
  lock l;
  lock_init(&l, KVMUX_LOCK_TICKET);
  lock_acquire(&vm.at(0), &l);
  vm.at(1).results->sync.told = KVMUX_TELLS_PREEMPTED;
  vm.at(0).results->sync.preempted = 1;
  vm.on_spin = [&](const FakeVcpus::Spin& spin) -> uint64_t {
    CHECK(spin.turns == (vm.spins.size() == 1 ? vm.at(1).spin_window / 8 + 1 : vm.at(1).spin_window));
    vm.at(0).results->sync.preempted = 0;  // it is back, from the second window on
    if (vm.spins.size() == 1) return 0;
    lock_release(&vm.at(0), &l);
    return spin.turns;
  };
  lock_acquire(&vm.at(1), &l);
  CHECK(vm.spins.size() == 2);
}

TEST_CASE("locks: an MCS owner waits for a successor that has not linked itself yet") {
  FakeVcpus vm(2);
  lock l;
  lock_init(&l, KVMUX_LOCK_MCS);
  lock_acquire(&vm.at(0), &l);
  mcs_node& late = vm.at(1).mcs;
  late.locked = MCS_WAITS;
  l.word = reinterpret_cast<uint64_t>(&late);  // has exchanged the tail, not yet stored our next
  vm.on_spin = [&](const FakeVcpus::Spin& spin) {
    CHECK(spin.word == &vm.at(0).mcs.next);
    vm.at(0).mcs.next = reinterpret_cast<uint64_t>(&late);
    return spin.turns;
  };
  lock_release(&vm.at(0), &l);
  CHECK(vm.spins.size() == 1);
  CHECK(late.locked == 0);
}
