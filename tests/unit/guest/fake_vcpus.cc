#include "fake_vcpus.h"

#include <doctest/doctest.h>

#include "guest/runtime/spin.h"
#include "guest/runtime/work.h"

namespace {

FakeVcpus* current = nullptr;

}  // namespace

extern "C" uint64_t spin_turns(const uint64_t* word, uint64_t value, uint64_t turns) {
  REQUIRE(current != nullptr);
  REQUIRE(turns >= 1);
  REQUIRE(current->spins.size() < 10'000);
  const FakeVcpus::Spin spin{word, value, turns};  // scripts may spin in turn, which moves the list
  current->spins.push_back(spin);
  REQUIRE(current->on_spin);
  return current->on_spin(spin);
}

FakeVcpus::FakeVcpus(uint32_t count, uint64_t seed)
    : vcpus_(count * sizeof(vcpu) / sizeof(Page) + 1), results_(count) {
  REQUIRE(current == nullptr);
  current = this;
  boot.vcpu_count = count;
  boot.seed = seed;
  boot.free_start = reinterpret_cast<uint64_t>(vcpus_.data());
  boot.results = reinterpret_cast<uint64_t>(results_.data());
  boot.doorbell = reinterpret_cast<uint64_t>(doorbell_.words);
  boot.delay_iters_per_ms = 1'000'000;
  boot.pauses_per_ms = 20'000;
  boot.spin_window_ns = 50'000;
  for (uint32_t i = 0; i < count; ++i) {
    at(i).boot = &boot;
    at(i).index = i;
    at(i).results = &results_[i];
    spin_configure(&at(i));
    work_configure(&at(i));
  }
  clear_bells();
}

FakeVcpus::~FakeVcpus() { current = nullptr; }

uint64_t FakeVcpus::bell(uint32_t offset) const { return doorbell_.words[offset / 8]; }

void FakeVcpus::clear_bells() {
  for (uint64_t& word : doorbell_.words) word = kNotRung;
}
