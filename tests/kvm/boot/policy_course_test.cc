// `boot --at`: another policy while a booted image runs.
#include <chrono>
#include <cmath>

#include "tests/kvm/boot/boot_guest.h"

using namespace std::chrono_literals;
using kvm_test::boot_guest;
using kvm_test::Booted;
using vmm::Nanos;

TEST_CASE("a booted image lives through a change of policy every 5 ms, and each section has its ledger") {
  REQUIRE_KVM(system);
  constexpr uint32_t kVcpus = 4;
  constexpr size_t kMostChanges = 40;
  constexpr const char* kCourse[] = {"kvmux", "v3", "yield", "v2,deboost=off"};
  std::vector<vmm::PolicyChange> changes;
  for (size_t i = 0; i < kMostChanges; ++i) {
    const auto policy = sched::parse_policy(kCourse[i % std::size(kCourse)]);
    REQUIRE(policy);
    changes.push_back({.at = static_cast<int64_t>(i + 1) * 5ms, .vms = {{*policy, std::nullopt}}});
  }
  const Booted guest = boot_guest("interrupts.elf", {.vcpus = kVcpus, .policy = "yield", .changes = changes});
  CHECK_MESSAGE(guest.good(), guest.text(), guest.result.failure);
  const auto& sections = guest.result.sections;
  REQUIRE(sections.size() > 2);
  CHECK(sections.size() <= kMostChanges + 1);
  CHECK(sections[0].policy == "yield");
  CHECK(sections[1].policy == "kvmux");
  CHECK(sections[2].policy == "v3");
  for (size_t i = 0; i < sections.size(); ++i) {
    CAPTURE(i);
    const auto& section = sections[i];
    CHECK(section.from == (i == 0 ? Nanos{} : sections[i - 1].to));
    if (i > 0) CHECK(section.from >= changes[i - 1].at);
    const Nanos whole = kVcpus * (section.to - section.from);
    const Nanos slack = whole / 50 + Nanos{100'000};
    CHECK(section.ledger.sum() < whole + slack);
    // The first begins before the workers are there.
    if (i > 0) CHECK(section.ledger.sum() > whole - slack);
  }
}
