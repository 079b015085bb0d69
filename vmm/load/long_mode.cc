#include "vmm/load/long_mode.h"

#include <array>
#include <cstring>

namespace vmm {

namespace {

// Page-table entries, SDM vol. 3, 4.5. Accessed and dirty are set from the start, so that no walk has to set
// them.
constexpr uint64_t kPresent = 1u << 0;
constexpr uint64_t kWritable = 1u << 1;
constexpr uint64_t kUser = 1u << 2;
constexpr uint64_t kUncached = 1u << 3 | 1u << 4;  // PWT and PCD: strong uncacheable with the default PAT
constexpr uint64_t kAccessed = 1u << 5;
constexpr uint64_t kDirty = 1u << 6;
constexpr uint64_t kLarge = 1u << 7;
constexpr uint64_t kTable = kPresent | kWritable | kUser | kAccessed;
constexpr uint64_t kLeaf = kTable | kDirty;

constexpr uint64_t kPage = 4096;
constexpr uint64_t kHugePage = uint64_t{2} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr unsigned kDirectories = 4;  // one a GiB: RAM below 3 GiB, devices in the fourth

using Table = std::array<uint64_t, 512>;

// Order of the tables in memory.
enum TableIndex : unsigned {
  kPml4,
  kPdpt,
  kFirstDirectory,
  kLowTable = kFirstDirectory + kDirectories,  // the first 2 MiB
  kDeviceTable,                                // the 2 MiB with IOAPIC and doorbell
  kLapicTable,                                 // the 2 MiB with the local APIC
  kTableCount,
};

static_assert(kIoapicPage.value / kHugePage == kDoorbellPage.value / kHugePage, "they share a page table");
static_assert(kMaxMemoryBytes <= (kDirectories - 1) * kGiB, "RAM ends below the devices' directory");

class TableBuilder {
 public:
  explicit TableBuilder(Gpa base) : base_(base) {}

  void link(TableIndex parent, uint64_t slot, unsigned child) {
    tables_[parent][slot] = (base_.value + child * kPage) | kTable;
  }
  void link_huge_slot(Gpa address, unsigned table) {
    huge_slot(address) = (base_.value + table * kPage) | kTable;
  }
  void map_huge(Gpa address) { huge_slot(address) = address.value | kLeaf | kLarge; }
  void map_page(TableIndex table, Gpa address, uint64_t more) {
    tables_[table][address.value / kPage % 512] = address.value | kLeaf | more;
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return std::as_bytes(std::span(tables_)); }

 private:
  uint64_t& huge_slot(Gpa address) {
    return tables_[kFirstDirectory + address.value / kGiB][address.value / kHugePage % 512];
  }

  Gpa base_;
  std::array<Table, kTableCount> tables_{};
};

// 64-bit segment descriptors, SDM vol. 3, 3.4.5 and 5.2.1: base 0, limit 4 GiB, accessed.
constexpr uint64_t kKernelCode = 0x00af9b000000ffff;
constexpr uint64_t kKernelData = 0x00cf93000000ffff;
constexpr uint64_t kUserData = 0x00cff3000000ffff;
constexpr uint64_t kUserCode = 0x00affb000000ffff;

constexpr uint32_t kTssBytes = 104;
constexpr uint8_t kBusyTss = 11;

using Gdt = std::array<uint64_t, 7>;  // the TSS descriptor takes two

// SDM vol. 3, 8.2.3: the 16-byte TSS descriptor of 64-bit mode.
Gdt make_gdt(Gpa tss) {
  const uint64_t base = tss.value;
  const uint64_t low =
      (kTssBytes - 1) | (base & 0xffffff) << 16 | uint64_t{0x80 | kBusyTss} << 40 | (base >> 24 & 0xff) << 56;
  return {0, kKernelCode, kKernelData, kUserData, kUserCode, low, base >> 32};
}

// SDM vol. 3, 8.7, figure of the 64-bit TSS: RSP0 at 4, IST1 at 36, I/O map base at 102 (none: at the limit).
std::array<std::byte, kTssBytes> make_tss(Gpa rsp0, Gpa ist1) {
  std::array<std::byte, kTssBytes> tss{};
  const uint16_t io_map = kTssBytes;
  std::memcpy(tss.data() + 4, &rsp0.value, 8);
  std::memcpy(tss.data() + 36, &ist1.value, 8);
  std::memcpy(tss.data() + 102, &io_map, 2);
  return tss;
}

kvm_segment make_segment(uint16_t selector, uint8_t type, bool code) {
  kvm_segment s{};
  s.selector = selector;
  s.limit = 0xffffffff;
  s.type = type;
  s.present = 1;
  s.dpl = selector & 3;
  s.s = 1;
  s.l = code ? 1 : 0;
  s.db = code ? 0 : 1;
  s.g = 1;
  return s;
}

kvm_segment make_task(Gpa tss) {
  kvm_segment s{};
  s.base = tss.value;
  s.limit = kTssBytes - 1;
  s.selector = KVMUX_SEL_TSS;
  s.type = kBusyTss;
  s.present = 1;
  return s;
}

constexpr uint64_t kCr0 =
    1u << 31 | 1u << 18 | 1u << 16 | 1u << 5 | 1u << 4 | 1u << 1 | 1u << 0;  // PG AM WP NE ET MP PE
constexpr uint64_t kCr4 = 1u << 10 | 1u << 9 | 1u << 5;              // OSXMMEXCPT OSFXSR PAE: SSE works
constexpr uint64_t kEfer = 1u << 11 | 1u << 10 | 1u << 8 | 1u << 0;  // NXE LMA LME SCE

}  // namespace

Result<void> write_tables(const LayoutPlan& plan, const GuestMemory& memory) {
  TableBuilder pages(plan.page_tables());
  pages.link(kPml4, 0, kPdpt);
  for (unsigned gib = 0; gib < kDirectories; ++gib) pages.link(kPdpt, gib, kFirstDirectory + gib);
  for (uint64_t at = kPage; at < kHugePage; at += kPage) pages.map_page(kLowTable, Gpa{at}, 0);
  pages.link_huge_slot(Gpa{0}, kLowTable);
  for (uint64_t at = kHugePage; at < plan.memory_bytes; at += kHugePage) pages.map_huge(Gpa{at});
  pages.map_page(kDeviceTable, kIoapicPage, kUncached);
  pages.map_page(kDeviceTable, kDoorbellPage, kUncached);
  pages.link_huge_slot(kIoapicPage, kDeviceTable);
  pages.map_page(kLapicTable, kLapicPage, kUncached);
  pages.link_huge_slot(kLapicPage, kLapicTable);
  auto ok = memory.write(plan.page_tables(), pages.bytes());
  for (uint32_t i = 0; ok && i < plan.vcpu_count; ++i) {
    const VcpuIndex vcpu{i};
    ok = memory.store(plan.gdt(vcpu), make_gdt(plan.tss(vcpu))).and_then([&] {
      return memory.store(plan.tss(vcpu), make_tss(plan.rsp0_top(vcpu), plan.ist1_top(vcpu)));
    });
  }
  return ok;
}

void enter_long_mode(const LayoutPlan& plan, VcpuIndex vcpu, Gpa entry, kvm_regs& regs, kvm_sregs& sregs) {
  constexpr uint8_t kCodeType = 11;  // execute, read, accessed
  constexpr uint8_t kDataType = 3;   // read, write, accessed
  sregs.cs = make_segment(KVMUX_SEL_KERNEL_CODE, kCodeType, true);
  sregs.ss = make_segment(KVMUX_SEL_KERNEL_DATA, kDataType, false);
  // Data segments are the user's already, so that nothing needs reloading on the way to CPL 3.
  sregs.ds = sregs.es = sregs.fs = sregs.gs = make_segment(KVMUX_SEL_USER_DATA, kDataType, false);
  sregs.tr = make_task(plan.tss(vcpu));
  sregs.gdt.base = plan.gdt(vcpu).value;
  sregs.gdt.limit = sizeof(Gdt) - 1;
  sregs.idt.base = 0;
  sregs.idt.limit = 0;
  sregs.cr0 = kCr0;
  sregs.cr2 = 0;
  sregs.cr3 = plan.page_tables().value;
  sregs.cr4 = kCr4;
  sregs.efer = kEfer;
  regs = {};
  regs.rip = entry.value;
  // As if called: the ABI wants RSP + 8 to be a multiple of 16 at a function's entry. The return address is
  // 0, an unmapped page.
  regs.rsp = plan.start_stack_top(vcpu).value - 8;
  regs.rflags = 2;  // bit 1 is always set
  regs.rdi = plan.boot_info().value;
  regs.rsi = index_of(vcpu);
}

}  // namespace vmm
