#include "vmm/kvm/capability.h"

#include <doctest/doctest.h>
#include <linux/kvm.h>

#include <set>

#include "vmm/kvm/system.h"

using vmm::Capabilities;

namespace {

// A host that answers `other` for one capability and plenty for all else.
Capabilities host(int special = -1, int other = 0) {
  return Capabilities::read([=](int number) { return number == special ? other : 0xff; });
}

}  // namespace

TEST_CASE("each required capability is missed by name and number") {
  CHECK(host().check_required());
  for (const auto& info : Capabilities::known()) {
    CAPTURE(info.name);
    const auto result = host(info.number).check_required();
    REQUIRE(result.has_value() == (info.use != vmm::CapabilityUse::kRequired));
    if (result) continue;
    CHECK(result.error().kind == vmm::ErrorKind::kHost);
    CHECK(result.error().text().find(info.name) != std::string::npos);
    CHECK(result.error().text().find(std::to_string(info.number)) != std::string::npos);
    CHECK(result.error().text().find(info.why) != std::string::npos);
  }
}

TEST_CASE("a capability without the bits that are needed is missing") {
  const auto result = host(KVM_CAP_SYNC_REGS, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS).check_required();
  REQUIRE(!result);
  CHECK(result.error().text().find("KVM_CAP_SYNC_REGS (74, answers 0x3, needs 0x7") != std::string::npos);
  CHECK(!host(KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_HLT).can_disable_pause_exits());
  CHECK(host(KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_PAUSE).can_disable_pause_exits());
  CHECK(!host(KVM_CAP_SPLIT_IRQCHIP, -1).has(KVM_CAP_SPLIT_IRQCHIP));
}

TEST_CASE("the vCPU limit falls back as the KVM API says") {
  CHECK(host(KVM_CAP_MAX_VCPUS, 1024).max_vcpus() == 1024);
  const auto old = Capabilities::read([](int n) { return n == KVM_CAP_NR_VCPUS ? 16 : 0; });
  CHECK(old.max_vcpus() == 16);
  const auto oldest = Capabilities::read([](int) { return 0; });
  CHECK(oldest.recommended_vcpus() == 4);
}

TEST_CASE("no capability is listed twice") {
  std::set<int> seen;
  for (const auto& info : Capabilities::known()) CHECK(seen.insert(info.number).second);
}

TEST_CASE("a device that is missing or is not KVM is told with advice") {
  const auto missing = vmm::System::open("/dev/no-such-kvm");
  REQUIRE(!missing);
  CHECK(missing.error().kind == vmm::ErrorKind::kHost);
  CHECK(missing.error().text().find("open /dev/no-such-kvm: No such file or directory (ENOENT): ") == 0);
  CHECK(missing.error().text().find("modprobe kvm_intel") != std::string::npos);
  const auto other = vmm::System::open("/dev/null");
  REQUIRE(!other);
  CHECK(other.error().text().find("/dev/null is not KVM") != std::string::npos);
}
