// Tests on real KVM: where /dev/kvm cannot be used, a test is skipped, which is said and counted, never
// silent.
//
//   TEST_CASE("halt wakes up") {
//     REQUIRE_KVM(system);            // const vmm::System& system, or the test case ends here
//     auto vm = vmm::VmFd::create(system, {});
//   }
//
// At the end the program prints how many were skipped and why. Any thread of one test program.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <cstdio>
#include <string>

#include "vmm/kvm/system.h"

namespace kvm_test {

// Counts over the whole program, printed when it ends.
class SkipCount {
 public:
  ~SkipCount() {
    if (count_ != 0) std::printf("SKIPPED %d KVM test cases\n", count_.load());
  }
  void add(const char* test, const std::string& reason) {
    ++count_;
    std::printf("SKIP %s: %s\n", test, reason.c_str());
  }

 private:
  std::atomic<int> count_{0};
};

inline SkipCount& skips() {
  static SkipCount count;
  return count;
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

#define REQUIRE_KVM(name)                                                    \
  if (!kvm_test::system()) {                                                 \
    kvm_test::skips().add(doctest::getContextOptions()->currentTest->m_name, \
                          kvm_test::system().error().text());                \
    return;                                                                  \
  }                                                                          \
  const vmm::System& name = *kvm_test::system()
