#include "vmm/load/layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/check.h"

namespace vmm {

namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kPage = 4 * kKiB;
constexpr uint64_t kHugePage = 2 * kMiB;

constexpr Gpa kBootInfo{0x1000};
constexpr Gpa kPageTables{0x2000};
constexpr Gpa kDescriptors{0x10000};
constexpr uint64_t kDescriptorStride = 256;  // GDT (56 bytes), then from kTssOffset the TSS (104 bytes)
constexpr uint64_t kTssOffset = 64;

constexpr uint64_t kStartStack = 32 * kKiB;
constexpr uint64_t kRsp0Stack = 16 * kKiB;
constexpr uint64_t kIst1Stack = 8 * kKiB;
constexpr uint64_t kStacks = kStartStack + kRsp0Stack + kIst1Stack;
constexpr uint64_t kPerVcpu = kStacks + sizeof(kvmux_vcpu_results);

// What a guest gets beyond its image: at least, and if the user names no memory size.
constexpr uint64_t kLeastFree = 64 * kKiB;
constexpr uint64_t kDefaultFree = 2 * kMiB;

static_assert(sizeof(kvmux_boot_info) <= kPage, "the boot info has one page");
static_assert(kDescriptors.value + kMaxVcpus * kDescriptorStride <= kImageStart.value,
              "tables end below images");

constexpr uint64_t round_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

constexpr uint64_t per_vcpu(bool marks) { return kPerVcpu + (marks ? KVMUX_MARK_RING_BYTES : 0); }

uint64_t needed(const LayoutRequest& request, uint64_t free_bytes, bool marks) {
  return round_up(
      round_up(request.image_end.value, kPage) + free_bytes + request.vcpu_count * per_vcpu(marks),
      kHugePage);
}

}  // namespace

Result<LayoutPlan> plan_layout(const LayoutRequest& request) {
  const auto refuse = [](std::string why) { return usage_error("lay out guest memory", std::move(why)); };
  if (request.vcpu_count == 0 || request.vcpu_count > kMaxVcpus) {
    return refuse(fmt::format("{} vCPUs asked for, a VM has 1 to {}", request.vcpu_count, kMaxVcpus));
  }
  if (request.image_end.value > kMaxMemoryBytes) {
    return refuse(fmt::format("the image ends at {:#x}, a guest has at most {} MiB", request.image_end.value,
                              kMaxMemoryBytes / kMiB));
  }
  const uint64_t least = needed(request, kLeastFree, false);
  const uint64_t wanted = needed(request, kDefaultFree, request.marks);
  const uint64_t bytes = request.memory_bytes == 0 ? wanted : request.memory_bytes;
  if (bytes < least) {
    return refuse(fmt::format("memory too small: {:.4g} MiB given, needs at least {} MiB for {} vCPU{}",
                              static_cast<double>(bytes) / static_cast<double>(kMiB), least / kMiB,
                              request.vcpu_count, request.vcpu_count == 1 ? "" : "s"));
  }
  if (bytes > kMaxMemoryBytes) {
    return refuse(fmt::format("memory too large: {} MiB, a guest has at most {} MiB",
                              (bytes + kMiB - 1) / kMiB, kMaxMemoryBytes / kMiB));
  }
  LayoutPlan plan;
  plan.vcpu_count = request.vcpu_count;
  plan.memory_bytes = round_up(bytes, kHugePage);
  plan.has_marks = request.marks && plan.memory_bytes >= needed(request, kLeastFree, true);
  plan.guest_end = Gpa{plan.memory_bytes - request.vcpu_count * per_vcpu(plan.has_marks)};
  return plan;
}

Gpa LayoutPlan::boot_info() const { return kBootInfo; }

Gpa LayoutPlan::page_tables() const { return kPageTables; }

Gpa LayoutPlan::gdt(VcpuIndex vcpu) const {
  KVMUX_CHECK(index_of(vcpu) < vcpu_count, "a vCPU of this VM");
  return kDescriptors + index_of(vcpu) * kDescriptorStride;
}

Gpa LayoutPlan::tss(VcpuIndex vcpu) const { return gdt(vcpu) + kTssOffset; }

Gpa LayoutPlan::start_stack_top(VcpuIndex vcpu) const {
  KVMUX_CHECK(index_of(vcpu) < vcpu_count, "a vCPU of this VM");
  return guest_end + (index_of(vcpu) * kStacks + kStartStack);
}

Gpa LayoutPlan::rsp0_top(VcpuIndex vcpu) const { return start_stack_top(vcpu) + kRsp0Stack; }

Gpa LayoutPlan::ist1_top(VcpuIndex vcpu) const { return rsp0_top(vcpu) + kIst1Stack; }

Gpa LayoutPlan::results(VcpuIndex vcpu) const {
  KVMUX_CHECK(index_of(vcpu) < vcpu_count, "a vCPU of this VM");
  const Gpa first{memory_bytes - vcpu_count * sizeof(kvmux_vcpu_results)};
  return first + index_of(vcpu) * sizeof(kvmux_vcpu_results);
}

Gpa LayoutPlan::marks(VcpuIndex vcpu) const {
  KVMUX_CHECK(has_marks && index_of(vcpu) < vcpu_count, "a vCPU of this VM, which has mark rings");
  const Gpa first{results(VcpuIndex{0}).value - uint64_t{vcpu_count} * KVMUX_MARK_RING_BYTES};
  return first + uint64_t{index_of(vcpu)} * KVMUX_MARK_RING_BYTES;
}

void describe_layout(const LayoutPlan& plan, Gpa image_end, kvmux_boot_info& info) {
  info.magic = KVMUX_ABI_MAGIC;
  info.version = KVMUX_ABI_VERSION;
  info.size = sizeof(kvmux_boot_info);
  info.vcpu_count = plan.vcpu_count;
  info.memory_bytes = plan.memory_bytes;
  info.free_start = round_up(std::max(image_end, kImageStart).value, kPage);
  info.free_end = plan.guest_end.value;
  info.doorbell = kDoorbellPage.value;
  info.lapic = kLapicPage.value;
  info.results = plan.results(VcpuIndex{0}).value;
  info.marks = plan.has_marks ? plan.marks(VcpuIndex{0}).value : 0;
}

}  // namespace vmm
