// Every register in both modes: reset value, what reads back, reserved bits, read-only, write-only and
// absent.
#include "rig.h"

namespace apic_test {
namespace {

struct Row {
  const char* name;
  Reg reg;
  std::uint32_t reset;       // xAPIC, id 5
  std::uint32_t after_ones;  // read back after FFFFFFFFH was written in xAPIC mode, software-enabled
  bool in_x2apic;
  bool x2apic_readable;
  bool x2apic_writable;
  std::uint32_t x2apic_reserved;  // bits that raise #GP when set
};

// SDM, Local APIC Register Map, the figures of each register, and x2APIC Register Address Space.
constexpr Row kRows[] = {
    {"ID", Reg::kId, 0x05000000, 0x05000000, true, true, false, 0},
    {"version", Reg::kVersion, 0x01060014, 0x01060014, true, true, false, 0},
    {"TPR", Reg::kTpr, 0, 0xff, true, true, true, 0xffffff00},
    {"APR", Reg::kApr, 0, 0, false, false, false, 0},
    {"PPR", Reg::kPpr, 0, 0, true, true, false, 0},
    {"EOI", Reg::kEoi, 0, 0, true, false, true, 0xffffffff},
    {"RRD", Reg::kRrd, 0, 0, false, false, false, 0},
    {"LDR", Reg::kLdr, 0, 0xff000000, true, true, false, 0},
    {"DFR", Reg::kDfr, 0xffffffff, 0xffffffff, false, false, false, 0},
    {"SVR", Reg::kSvr, 0xff, 0x13ff, true, true, true, 0xffffec00},
    {"ESR", Reg::kEsr, 0, 0, true, true, true, 0xffffffff},
    {"LVT CMCI", Reg::kLvtCmci, 0x10000, 0x107ff, true, true, true, 0xfffee800},
    {"LVT timer", Reg::kLvtTimer, 0x10000, 0x700ff, true, true, true, 0xfff8ef00},
    {"LVT thermal", Reg::kLvtThermal, 0x10000, 0x107ff, true, true, true, 0xfffee800},
    {"LVT PMC", Reg::kLvtPmc, 0x10000, 0x107ff, true, true, true, 0xfffee800},
    {"LVT LINT0", Reg::kLvtLint0, 0x10000, 0x1a7ff, true, true, true, 0xfffe0800},
    {"LVT LINT1", Reg::kLvtLint1, 0x10000, 0x1a7ff, true, true, true, 0xfffe0800},
    {"LVT error", Reg::kLvtError, 0x10000, 0x100ff, true, true, true, 0xfffeef00},
    {"ICR low", Reg::kIcrLow, 0, 0xccfff, true, true, true, 0xfff32000},
    {"ICR high", Reg::kIcrHigh, 0, 0xff000000, false, false, false, 0},
    {"initial count", Reg::kInitialCount, 0, 0xffffffff, true, true, true, 0},
    {"current count", Reg::kCurrentCount, 0, 0, true, true, false, 0},
    {"DCR", Reg::kDcr, 0, 0xb, true, true, true, 0xfffffff4},
    {"self IPI", Reg::kSelfIpi, 0, 0, true, false, true, 0xffffff00},
};

bool listed(std::uint32_t offset) {
  for (const Row& row : kRows) {
    if (static_cast<std::uint32_t>(row.reg) == offset) return true;
  }
  return offset >= 0x100 && offset < 0x280;
}

TEST_CASE("registers have the SDM's values after reset") {
  for (const Row& row : kRows) {
    CAPTURE(row.name);
    Chip chip(LapicConfig{.id = ApicId(5)});
    if (row.reg != Reg::kSelfIpi) CHECK(chip.read(row.reg) == row.reset);
    if (!row.in_x2apic || !row.x2apic_readable) continue;
    chip.to_x2apic();
    const std::uint32_t reset = row.reg == Reg::kId ? 5 : row.reg == Reg::kLdr ? 1u << 5 : row.reset;
    CHECK(chip.rdmsr(row.reg) == reset);
  }
}

TEST_CASE("ISR, TMR and IRR are empty after reset") {
  Chip chip;
  for (unsigned i = 0; i < 8; ++i) {
    CHECK(chip.read(Reg::kIsr0, i) == 0);
    CHECK(chip.read(Reg::kTmr0, i) == 0);
    CHECK(chip.read(Reg::kIrr0, i) == 0);
  }
}

TEST_CASE("xAPIC: a write of all ones changes exactly the writable bits and is no error") {
  for (const Row& row : kRows) {
    if (row.reg == Reg::kSelfIpi) continue;
    CAPTURE(row.name);
    auto chip = Chip::enabled(5);
    if (row.reg == Reg::kLvtTimer) CHECK(chip.read(Reg::kInitialCount) == 0);
    (void)chip.write(row.reg, 0xffffffff);
    CHECK(chip.read(row.reg) == row.after_ones);
    CHECK(chip.esr() == 0);
  }
}

TEST_CASE("xAPIC: reserved registers read 0, ignore writes and log an illegal register address") {
  for (std::uint32_t offset = 0; offset < 0x1000; offset += 16) {
    CAPTURE(offset);
    Chip chip;
    const bool exists = listed(offset) && offset != 0x3f0;
    const std::uint32_t expected = exists ? 0 : kEsrIllegalRegister;
    if (!exists) CHECK(chip.lapic.read_mmio(offset, chip.clock) == 0);
    if (exists) (void)chip.lapic.read_mmio(offset, chip.clock);
    CHECK(chip.esr() == expected);
    if (!exists) CHECK(is_nothing(chip.lapic.write_mmio(offset, 0xffffffff, chip.clock)));
    if (!exists) CHECK(chip.esr() == expected);
  }
}

TEST_CASE("xAPIC: odd bytes read from there on, bytes 4 to 15 are empty, and only byte 0 can be written") {
  auto chip = Chip::enabled(7);
  (void)chip.write(Reg::kTpr, 0x30);
  CHECK(chip.lapic.read_mmio(0x23, chip.clock) == 7);
  CHECK(chip.lapic.read_mmio(0x32, chip.clock) == 0x0106);
  for (std::uint32_t byte = 1; byte < 16; ++byte) {
    if (byte > 3) CHECK(chip.lapic.read_mmio(0x30 + byte, chip.clock) == 0);
    CHECK(is_nothing(chip.lapic.write_mmio(0x80 + byte, 0xff, chip.clock)));
  }
  CHECK(chip.read(Reg::kTpr) == 0x30);
  CHECK(chip.esr() == 0);
}

TEST_CASE("x2APIC: absent, read-only and write-only registers raise #GP") {
  for (const Row& row : kRows) {
    CAPTURE(row.name);
    Chip chip;
    chip.to_x2apic();
    CHECK(chip.rdmsr(row.reg).has_value() == (row.in_x2apic && row.x2apic_readable));
    CHECK(chip.wrmsr(row.reg, 0).has_value() == (row.in_x2apic && row.x2apic_writable));
  }
  for (std::uint32_t msr = 0x800; msr <= 0x8ff; ++msr) {
    if (listed((msr - 0x800) * 16)) continue;
    CAPTURE(msr);
    Chip chip;
    chip.to_x2apic();
    CHECK_FALSE(chip.lapic.read_msr(msr, chip.clock).has_value());
    CHECK(is_gp(chip.lapic.write_msr(msr, 0, chip.clock)));
    CHECK(chip.rdmsr(Reg::kEsr) == 0);
  }
}

TEST_CASE("x2APIC: ISR, TMR and IRR are read-only") {
  Chip chip;
  chip.to_x2apic();
  for (Reg first : {Reg::kIsr0, Reg::kTmr0, Reg::kIrr0}) {
    for (unsigned i = 0; i < 8; ++i) {
      CHECK(chip.rdmsr(first, i) == 0);
      CHECK(is_gp(chip.lapic.write_msr(Chip::msr_of(first) + i, 0, chip.clock)));
    }
  }
}

TEST_CASE("x2APIC: each reserved bit raises #GP, each defined one does not") {
  for (const Row& row : kRows) {
    if (!row.in_x2apic || !row.x2apic_writable) continue;
    for (unsigned bit = 0; bit < 64; ++bit) {
      CAPTURE(row.name);
      CAPTURE(bit);
      Chip chip;
      chip.to_x2apic();
      const bool upper = bit >= 32;
      const bool reserved = upper ? row.reg != Reg::kIcrLow : row.x2apic_reserved >> bit & 1;
      CHECK(is_gp(chip.wrmsr(row.reg, std::uint64_t{1} << bit)) == reserved);
    }
  }
}

TEST_CASE("x2APIC registers raise #GP in the other modes, and their MMIO page is gone in x2APIC mode") {
  auto chip = Chip::enabled(3);
  CHECK_FALSE(chip.rdmsr(Reg::kId).has_value());
  CHECK(is_gp(chip.wrmsr(Reg::kTpr, 0)));
  chip.to_x2apic();
  CHECK(chip.read(Reg::kId) == 0xffffffff);
  CHECK(is_nothing(chip.write(Reg::kTpr, 0x20)));
  CHECK(chip.rdmsr(Reg::kTpr) == 0);
  REQUIRE(chip.set_base(kApicDefaultAddress).has_value());
  CHECK_FALSE(chip.rdmsr(Reg::kId).has_value());
  CHECK(chip.read(Reg::kId) == 0xffffffff);
}

TEST_CASE("MSRs that are not the APIC's are not claimed and raise #GP") {
  Chip chip;
  for (std::uint32_t msr : {0u, 0x1au, 0x1cu, 0x6dfu, 0x6e1u, 0x7ffu, 0x900u, 0xffffffffu}) {
    CHECK_FALSE(Lapic::owns_msr(msr));
    CHECK_FALSE(chip.lapic.read_msr(msr, chip.clock).has_value());
    CHECK(is_gp(chip.lapic.write_msr(msr, 0, chip.clock)));
  }
  for (std::uint32_t msr : {0x1bu, 0x6e0u, 0x800u, 0x8ffu}) CHECK(Lapic::owns_msr(msr));
}

TEST_CASE("ids beyond 8 bits show in full in x2APIC mode, with the logical id made of them") {
  Chip chip(LapicConfig{.id = ApicId(0x12345)});
  CHECK(chip.read(Reg::kId) == 0x45000000);
  chip.to_x2apic();
  CHECK(chip.rdmsr(Reg::kId) == 0x12345);
  CHECK(chip.rdmsr(Reg::kLdr) == (0x1234u << 16 | 1u << 5));
}

}  // namespace
}  // namespace apic_test
