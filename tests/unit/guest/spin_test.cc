#include "guest/runtime/spin.h"

#include <doctest/doctest.h>

#include <utility>

#include "fake_vcpus.h"

TEST_CASE("spin: the window is the boot information's time in turns") {
  FakeVcpus vm(1);
  CHECK(vm.at(0).spin_window == 1000);  // 50 us of 20,000 turns a ms
  CHECK(vm.at(0).spin_rings == 1);
  vm.boot.spin_window_ns = 3'000'000'000;  // does not overflow
  spin_configure(&vm.at(0));
  CHECK(vm.at(0).spin_window == 60'000'000);
  vm.boot.spin_window_ns = 1;  // rounds to at least one turn
  spin_configure(&vm.at(0));
  CHECK(vm.at(0).spin_window == 1);
}

TEST_CASE("spin: turns are counted, a wait shorter than the window rings no bell") {
  FakeVcpus vm(1);
  uint64_t word = 7;
  vm.on_spin = [&](const FakeVcpus::Spin& spin) {
    word = 8;
    return spin.turns - 9;  // changed in the tenth turn
  };
  spin_begin(&vm.at(0));
  spin_while_equal(&vm.at(0), &word, 7);
  CHECK(vm.at(0).results->spin_pauses == 10);
  CHECK(vm.at(0).results->spin_rings == 0);
  CHECK(vm.bell(KVMUX_BELL_SPIN) == FakeVcpus::kNotRung);
}

TEST_CASE("spin: the bell rings after each further window of one wait") {
  FakeVcpus vm(1);
  uint64_t word = 7;
  vm.on_spin = [&](const FakeVcpus::Spin& spin) -> uint64_t {
    CHECK(spin.turns == 1000);
    CHECK(vm.at(0).results->spin_rings == vm.spins.size() - 1);
    if (vm.spins.size() == 2) CHECK(vm.bell(KVMUX_BELL_SPIN) == KVMUX_WAIT_BEGINS);
    if (vm.spins.size() <= 3) return 0;
    word = 0;
    return spin.turns;
  };
  spin_begin(&vm.at(0));
  spin_while_equal(&vm.at(0), &word, 7);
  CHECK(vm.at(0).results->spin_rings == 3);
  CHECK(vm.at(0).results->spin_pauses == 3001);
  CHECK(vm.bell(KVMUX_BELL_SPIN) == KVMUX_WAIT_GOES_ON);
}

TEST_CASE("spin: who is alone rings after an eighth of a window, who is not told after a whole one") {
  FakeVcpus vm(1);
  uint64_t word = 7;
  vm.on_spin = [](const FakeVcpus::Spin&) { return uint64_t{0}; };
  vcpu& self = vm.at(0);
  struct Case {
    uint32_t running;
    uint32_t turns;
  };
  for (const Case& c : {Case{0, 1000}, Case{1, 126}, Case{2, 1000}}) {
    CAPTURE(c.running);
    vm.boot.vcpus_running = c.running;
    vm.clear_bells();
    spin_begin(&self);
    spin_burst(&self, &word, 7, 10'000);
    CHECK(vm.spins.back().turns == c.turns);
    CHECK(vm.bell(KVMUX_BELL_SPIN) == KVMUX_WAIT_BEGINS);
    vm.boot.vcpus_running = 2;  // the window of this moment stays
    spin_burst(&self, &word, 7, 10'000);
    CHECK(vm.spins.back().turns == c.turns);
    CHECK(vm.bell(KVMUX_BELL_SPIN) == KVMUX_WAIT_GOES_ON);
    spin_burst(&self, &word, 7, 10'000);
    CHECK(vm.spins.back().turns == 1000);
  }
}

TEST_CASE("spin: bursts of one wait add up to a window, a new wait starts a new one") {
  FakeVcpus vm(1);
  uint64_t word = 7;
  vm.on_spin = [](const FakeVcpus::Spin&) { return uint64_t{0}; };
  vcpu& self = vm.at(0);
  spin_begin(&self);
  for (int i = 0; i < 3; ++i) spin_burst(&self, &word, 7, 300);
  CHECK(self.results->spin_rings == 0);
  spin_burst(&self, &word, 7, 300);
  CHECK(vm.spins.back().turns == 100);
  CHECK(self.results->spin_rings == 1);

  spin_burst(&self, &word, 7, 999);
  spin_begin(&self);
  spin_burst(&self, &word, 7, 999);
  CHECK(self.results->spin_rings == 1);
}

TEST_CASE("spin: a wait that ends in the last turn of a window leaves a full window") {
  FakeVcpus vm(1);
  uint64_t word = 7;
  vm.on_spin = [](const FakeVcpus::Spin&) { return uint64_t{1}; };
  vcpu& self = vm.at(0);
  spin_begin(&self);
  spin_burst(&self, &word, 7, 1000);
  CHECK(self.results->spin_pauses == 1000);
  CHECK(self.results->spin_rings == 0);
  CHECK(self.spin_left == 1000);
}

TEST_CASE("spin: a window of 0 counts and never rings") {
  FakeVcpus vm(1);
  vm.boot.spin_window_ns = 0;
  vm.boot.vcpus_running = 1;
  spin_configure(&vm.at(0));
  uint64_t word = 7;
  vm.on_spin = [](const FakeVcpus::Spin&) { return uint64_t{0}; };
  spin_begin(&vm.at(0));
  for (int i = 0; i < 5; ++i) spin_burst(&vm.at(0), &word, 7, ~uint64_t{0});
  CHECK(vm.at(0).results->spin_pauses == 100'000);  // a millisecond each
  CHECK(vm.at(0).results->spin_rings == 0);
}
