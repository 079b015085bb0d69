#include "vmm/load/layout.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using vmm::Gpa;
using vmm::LayoutPlan;
using vmm::plan_layout;
using vmm::VcpuIndex;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

struct Range {
  uint64_t start;
  uint64_t end;
};

// Everything that a plan places, with the stacks' least sizes.
std::vector<Range> places(const LayoutPlan& plan) {
  std::vector<Range> all = {{0, 0x1000},
                            {plan.boot_info().value, plan.boot_info().value + sizeof(kvmux_boot_info)},
                            {plan.page_tables().value, plan.page_tables().value + 9 * 4096},
                            {vmm::kImageStart.value, plan.guest_end.value}};
  for (uint32_t i = 0; i < plan.vcpu_count; ++i) {
    const VcpuIndex v{i};
    all.push_back({plan.gdt(v).value, plan.gdt(v).value + 56});
    all.push_back({plan.tss(v).value, plan.tss(v).value + 104});
    all.push_back({plan.start_stack_top(v).value - KVMUX_STACK_MIN, plan.start_stack_top(v).value});
    all.push_back({plan.rsp0_top(v).value - KVMUX_STACK_MIN / 2, plan.rsp0_top(v).value});
    all.push_back({plan.ist1_top(v).value - KVMUX_STACK_MIN / 2, plan.ist1_top(v).value});
    all.push_back({plan.results(v).value, plan.results(v).value + sizeof(kvmux_vcpu_results)});
  }
  return all;
}

std::string refusal(uint32_t vcpus, uint64_t memory, Gpa image_end = vmm::kImageStart) {
  const auto plan = plan_layout({vcpus, memory, image_end});
  REQUIRE(!plan);
  CHECK(plan.error().kind == vmm::ErrorKind::kUsage);
  return plan.error().text();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("no two things share memory, for any number of vCPUs") {
  for (const uint32_t vcpus : {1u, 2u, 3u, 64u, 255u, 256u, 1024u}) {
    CAPTURE(vcpus);
    const auto plan = plan_layout({.vcpu_count = vcpus});
    REQUIRE(plan);
    auto all = places(*plan);
    std::ranges::sort(all, {}, &Range::start);
    for (size_t i = 1; i < all.size(); ++i) REQUIRE(all[i - 1].end <= all[i].start);
    CHECK(all.back().end <= plan->memory_bytes);
  }
}

TEST_CASE("stacks are aligned as a C compiler expects, results to pages") {
  const auto plan = plan_layout({.vcpu_count = 7});
  REQUIRE(plan);
  for (uint32_t i = 0; i < 7; ++i) {
    CHECK(plan->start_stack_top(VcpuIndex{i}).value % 16 == 0);
    CHECK(plan->rsp0_top(VcpuIndex{i}).value % 16 == 0);
    CHECK(plan->ist1_top(VcpuIndex{i}).value % 16 == 0);
    CHECK(plan->results(VcpuIndex{i}).value % 4096 == 0);
  }
  CHECK(plan->results(VcpuIndex{1}).value - plan->results(VcpuIndex{0}).value == sizeof(kvmux_vcpu_results));
}

TEST_CASE("without a wish the guest gets room for image, vCPUs and some more") {
  const auto small = plan_layout({.vcpu_count = 1});
  REQUIRE(small);
  CHECK(small->memory_bytes % (2 * kMiB) == 0);
  CHECK(small->guest_end.value - vmm::kImageStart.value >= 2 * kMiB);
  CHECK(small->memory_bytes <= 4 * kMiB);
  const auto large = plan_layout({.vcpu_count = 1, .image_end = Gpa{100 * kMiB + 1}});
  REQUIRE(large);
  CHECK(large->guest_end.value >= 102 * kMiB);
}

TEST_CASE("the least memory that is named is enough, and less is not") {
  for (const uint32_t vcpus : {1u, 4u, 100u, 1024u}) {
    CAPTURE(vcpus);
    const std::string text = refusal(vcpus, kMiB / 2);
    const std::string marker = "needs at least ";
    REQUIRE(contains(text, "memory too small: 0.5 MiB given"));
    CHECK(contains(text, " MiB for " + std::to_string(vcpus) + " vCPU"));
    const uint64_t least = std::stoull(text.substr(text.find(marker) + marker.size())) * kMiB;
    const auto plan = plan_layout({vcpus, least});
    REQUIRE(plan);
    CHECK(plan->memory_bytes == least);
    CHECK(plan->guest_end > vmm::kImageStart);
    refusal(vcpus, least - 1);
  }
}

TEST_CASE("impossible requests are refused") {
  CHECK(contains(refusal(0, 0), "0 vCPUs asked for, a VM has 1 to 1024"));
  CHECK(contains(refusal(1025, 0), "1025 vCPUs"));
  CHECK(contains(refusal(1, uint64_t{4} << 30), "memory too large: 4096 MiB, a guest has at most 3072 MiB"));
  CHECK(contains(refusal(1, ~uint64_t{0}), "memory too large"));
  CHECK(contains(refusal(1, 0, Gpa{uint64_t{1} << 40}), "the image ends at 0x10000000000"));
  CHECK(contains(refusal(1, 0, Gpa{vmm::kMaxMemoryBytes}), "memory too large"));
  CHECK(plan_layout({1024, vmm::kMaxMemoryBytes}));
}

TEST_CASE("the boot info describes the plan") {
  const auto plan = plan_layout({.vcpu_count = 3, .image_end = Gpa{0x234567}});
  REQUIRE(plan);
  kvmux_boot_info info{};
  info.seed = 42;
  vmm::describe_layout(*plan, Gpa{0x234567}, info);
  CHECK(info.magic == KVMUX_ABI_MAGIC);
  CHECK(info.version == KVMUX_ABI_VERSION);
  CHECK(info.size == sizeof(kvmux_boot_info));
  CHECK(info.vcpu_count == 3);
  CHECK(info.memory_bytes == plan->memory_bytes);
  CHECK(info.free_start == 0x235000);
  CHECK(info.free_end == plan->guest_end.value);
  CHECK(info.free_end % 4096 == 0);
  CHECK(info.doorbell == vmm::kDoorbellPage.value);
  CHECK(info.lapic == 0xfee00000);
  CHECK(info.results == plan->results(VcpuIndex{0}).value);
  CHECK(info.seed == 42);
}
