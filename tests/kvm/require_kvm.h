// Tests on real KVM: where /dev/kvm cannot be used, a test is skipped, which is said and counted, never
// silent.
//
//   TEST_CASE("halt wakes up") {
//     REQUIRE_KVM(system);            // const vmm::System& system, or the test case ends here
//     auto vm = vmm::VmFd::create(system, {});
//   }
//
// At the end the program prints how many ran and how many were skipped. Any thread of one test program.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "vmm/kvm/system.h"

namespace kvm_test {

// Counts over the whole program, printed when it ends.
class Tally {
 public:
  ~Tally() { std::printf("KVM test cases: %d ran, %d skipped\n", ran_.load(), skipped_.load()); }
  void ran() { ++ran_; }
  void skipped(const char* test, const std::string& reason) {
    ++skipped_;
    std::printf("SKIP %s: %s\n", test, reason.c_str());
  }

 private:
  std::atomic<int> ran_{0};
  std::atomic<int> skipped_{0};
};

inline Tally& tally() {
  static Tally count;
  return count;
}

// An emulated host, says whoever runs the tests there (tests/hw): exits cost a hundred times as much, and
// CPUs stand still for milliseconds unnoticed. Tests run longer there and do not compare shares of time.
inline bool is_slow_host() {
  static const bool slow = std::getenv("KVMUX_SLOW_HOST") != nullptr;
  return slow;
}

// The host's KVM, opened once; an error says why it cannot be used.
inline const vmm::Result<vmm::System>& system() {
  static const vmm::Result<vmm::System> opened = [] {
    auto result = vmm::System::open();
    if (!result) return result;
    if (auto fit = result->capabilities().check_required(); !fit) {
      return vmm::Result<vmm::System>(vmm::Failure(fit.error()));
    }
    return result;
  }();
  return opened;
}

}  // namespace kvm_test

// `met` false: the test case ends here, skipped for `reason`.
#define REQUIRE_OR_SKIP(met, reason)                                                      \
  if (!(met)) {                                                                           \
    kvm_test::tally().skipped(doctest::getContextOptions()->currentTest->m_name, reason); \
    return;                                                                               \
  }                                                                                       \
  static_assert(true)

#define REQUIRE_KVM(name)                                                 \
  REQUIRE_OR_SKIP(kvm_test::system(), kvm_test::system().error().text()); \
  kvm_test::tally().ran();                                                \
  [[maybe_unused]] const vmm::System& name = *kvm_test::system()

// Behind REQUIRE_KVM, in tests that compare times.
#define REQUIRE_STEADY_HOST()                                                                            \
  REQUIRE_OR_SKIP(!kvm_test::is_slow_host(), "an emulated host's CPUs are not steady enough to compare " \
                                             "times")
