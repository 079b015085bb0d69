// Guest runtime structures in host memory, and a spin_turns() that tests script: what other vCPUs would do
// while this one spins is done by the script. One instance at a time, in one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "guest/runtime/vcpu.h"

class FakeVcpus {
 public:
  explicit FakeVcpus(uint32_t count, uint64_t seed = 1);
  ~FakeVcpus();
  FakeVcpus(const FakeVcpus&) = delete;
  FakeVcpus& operator=(const FakeVcpus&) = delete;

  vcpu& at(uint32_t index) { return *vcpu_at(&boot, index); }

  struct Spin {
    const uint64_t* word;
    uint64_t value;
    uint64_t turns;
  };
  // Returns the turns left, as spin_turns() does: 0 if the word did not change.
  std::function<uint64_t(const Spin&)> on_spin;
  std::vector<Spin> spins;  // all calls so far

  static constexpr uint64_t kNotRung = ~uint64_t{0};
  uint64_t bell(uint32_t offset) const;
  void clear_bells();

  kvmux_boot_info boot{};

 private:
  struct alignas(4096) Page {
    uint64_t words[512];
  };
  std::vector<Page> vcpus_;
  std::vector<kvmux_vcpu_results> results_;
  Page doorbell_{};
};
