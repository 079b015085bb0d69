#include "vmm/load/long_mode.h"

#include <doctest/doctest.h>

#include <optional>

using vmm::Gpa;
using vmm::GuestMemory;
using vmm::VcpuIndex;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

struct Built {
  vmm::LayoutPlan plan;
  GuestMemory memory;
};

Built build(uint32_t vcpus) {
  auto plan = vmm::plan_layout({.vcpu_count = vcpus}).value();
  auto memory = GuestMemory::allocate(plan.memory_bytes, vmm::Prefault::kNo).value();
  REQUIRE(vmm::write_tables(plan, memory));
  return {plan, std::move(memory)};
}

struct Translation {
  uint64_t address;
  bool user;
  bool writable;
  bool uncached;
};

// An independent page walk as the SDM describes it (vol. 3, 4.5), for 4-level paging.
std::optional<Translation> walk(const Built& built, uint64_t address) {
  uint64_t table = built.plan.page_tables().value;
  uint64_t rights = ~uint64_t{0};
  for (unsigned shift = 39;; shift -= 9) {
    const uint64_t entry = built.memory.load<uint64_t>(Gpa{table + (address >> shift & 511) * 8}).value();
    if ((entry & 1) == 0) return std::nullopt;
    rights &= entry;
    const bool leaf = shift == 12 || (entry >> 7 & 1) != 0;
    const uint64_t page = uint64_t{1} << shift;
    if (leaf) {
      return Translation{(entry & 0x000ffffffffff000 & ~(page - 1)) | (address & (page - 1)),
                         (rights & 4) != 0, (rights & 2) != 0, (entry & 0x18) == 0x18};
    }
    table = entry & 0x000ffffffffff000;
  }
}

uint64_t descriptor_base(uint64_t low, uint64_t high) {
  return (low >> 16 & 0xffffff) | (low >> 56) << 24 | high << 32;
}

}  // namespace

TEST_CASE("RAM is mapped one to one for the user, page 0 is not") {
  const Built built = build(2);
  CHECK(!walk(built, 0));
  CHECK(!walk(built, 0xfff));
  for (const uint64_t at :
       {uint64_t{0x1000}, uint64_t{0x1fffff}, 2 * kMiB, 3 * kMiB + 123, built.plan.memory_bytes - 1}) {
    CAPTURE(at);
    const auto page = walk(built, at);
    REQUIRE(page);
    CHECK(page->address == at);
    CHECK(page->user);
    CHECK(page->writable);
    CHECK(!page->uncached);
  }
  CHECK(!walk(built, built.plan.memory_bytes));
}

TEST_CASE("device pages are mapped uncached, their neighbours are not mapped") {
  const Built built = build(1);
  for (const Gpa device : {vmm::kLapicPage, vmm::kIoapicPage, vmm::kDoorbellPage}) {
    CAPTURE(device.value);
    const auto page = walk(built, device.value + 0x300);
    REQUIRE(page);
    CHECK(page->address == device.value + 0x300);
    CHECK(page->user);
    CHECK(page->writable);
    CHECK(page->uncached);
    CHECK(!walk(built, device.value - 1));
    CHECK(!walk(built, device.value + 4096));
  }
}

TEST_CASE("the largest guest is mapped to its end") {
  vmm::LayoutPlan plan = vmm::plan_layout({1, vmm::kMaxMemoryBytes}).value();
  plan.vcpu_count = 0;  // only page tables are written then, so a little memory will do
  const Built built{plan, GuestMemory::allocate(2 * kMiB, vmm::Prefault::kNo).value()};
  REQUIRE(vmm::write_tables(plan, built.memory));
  const auto last = walk(built, vmm::kMaxMemoryBytes - 1);
  REQUIRE(last);
  CHECK(last->address == vmm::kMaxMemoryBytes - 1);
  CHECK(!walk(built, vmm::kMaxMemoryBytes));
}

TEST_CASE("each vCPU has a TSS with stacks of its own, reached through its GDT") {
  const Built built = build(3);
  for (uint32_t i = 0; i < 3; ++i) {
    const VcpuIndex v{i};
    const auto low = built.memory.load<uint64_t>(built.plan.gdt(v) + KVMUX_SEL_TSS).value();
    const auto high = built.memory.load<uint64_t>(built.plan.gdt(v) + KVMUX_SEL_TSS + 8).value();
    CHECK(descriptor_base(low, high) == built.plan.tss(v).value);
    CHECK((low & 0xffff) == 103);
    CHECK((low >> 40 & 0x9f) == 0x8b);  // present, busy 64-bit TSS
    CHECK(built.memory.load<uint64_t>(built.plan.tss(v) + 4).value() == built.plan.rsp0_top(v).value);
    CHECK(built.memory.load<uint64_t>(built.plan.tss(v) + 36).value() == built.plan.ist1_top(v).value);
  }
}

TEST_CASE("selectors of the ABI name the segments they say") {
  const Built built = build(1);
  const auto access = [&](uint32_t selector) {
    return built.memory.load<uint64_t>(built.plan.gdt(VcpuIndex{0}) + (selector & ~7u)).value() >> 40 & 0xff;
  };
  CHECK(access(KVMUX_SEL_KERNEL_CODE) == 0x9b);  // present, DPL 0, code
  CHECK(access(KVMUX_SEL_KERNEL_DATA) == 0x93);
  CHECK(access(KVMUX_SEL_USER_DATA) == 0xf3);  // DPL 3
  CHECK(access(KVMUX_SEL_USER_CODE) == 0xfb);
}

TEST_CASE("registers are those that the ABI promises") {
  const Built built = build(4);
  kvm_regs regs{};
  kvm_sregs sregs{};
  sregs.apic_base = 0xfee00900;
  regs.rax = 99;
  vmm::enter_long_mode(built.plan, VcpuIndex{3}, Gpa{0x123456}, regs, sregs);
  CHECK(regs.rip == 0x123456);
  CHECK(regs.rdi == built.plan.boot_info().value);
  CHECK(regs.rsi == 3);
  CHECK((regs.rsp + 8) % 16 == 0);  // as at a C function's entry
  CHECK(regs.rsp == built.plan.start_stack_top(VcpuIndex{3}).value - 8);
  CHECK(regs.rflags == 2);  // interrupts off
  CHECK(regs.rax == 0);
  CHECK(sregs.cs.selector == KVMUX_SEL_KERNEL_CODE);
  CHECK(sregs.cs.l == 1);
  CHECK(sregs.cs.dpl == 0);
  CHECK(sregs.ss.dpl == 0);
  CHECK(sregs.cr3 == built.plan.page_tables().value);
  CHECK((sregs.cr0 & 0x80000001) == 0x80000001);
  CHECK((sregs.cr4 & 0x220) == 0x220);
  CHECK((sregs.efer & 0x500) == 0x500);
  CHECK(sregs.gdt.base == built.plan.gdt(VcpuIndex{3}).value);
  CHECK(sregs.gdt.limit == 55);
  CHECK(sregs.tr.base == built.plan.tss(VcpuIndex{3}).value);
  CHECK(sregs.idt.limit == 0);
  CHECK(sregs.apic_base == 0xfee00900);
}
