// Guest accesses: which registers and bits exist in which mode, and the MSRs around them. What a register
// then does is in lapic_registers.cc.
#include <array>

#include "apic/lapic.h"

namespace apic {
namespace {

// One register's rules. In x2APIC mode everything outside them raises #GP; in xAPIC mode an unknown register
// logs an error, and bits or directions that do not exist are ignored.
struct Rule {
  bool xapic = false;
  bool x2apic = false;
  bool readable = false;
  bool writable = false;
  std::uint32_t stored = 0;   // bits a write changes
  std::uint32_t ignored = 0;  // read-only status bits: defined, so writing them is no error
};

constexpr std::uint32_t kLvtStatus = 1u << 12;  // delivery status; always idle, delivery here takes no time

constexpr std::array<Rule, 64> make_rules() {
  std::array<Rule, 64> rules{};
  const auto at = [&](Reg reg, unsigned i = 0) -> Rule& {
    return rules[static_cast<unsigned>(reg) / 16 + i];
  };
  constexpr Rule kReadOnly{.xapic = true, .x2apic = true, .readable = true};
  constexpr Rule kXapicReadOnly{.xapic = true, .readable = true};
  const auto both = [](std::uint32_t stored, std::uint32_t ignored = 0) {
    return Rule{true, true, true, true, stored, ignored};
  };
  // Whether software may change the id is model specific (SDM, Local APIC ID); here it may not.
  at(Reg::kId) = at(Reg::kVersion) = at(Reg::kPpr) = at(Reg::kCurrentCount) = kReadOnly;
  for (unsigned i = 0; i < 8; ++i) at(Reg::kIsr0, i) = at(Reg::kTmr0, i) = at(Reg::kIrr0, i) = kReadOnly;
  at(Reg::kApr) = at(Reg::kRrd) = kXapicReadOnly;
  at(Reg::kTpr) = both(0xff);
  at(Reg::kEoi) = {.xapic = true, .x2apic = true, .writable = true};
  at(Reg::kLdr) = {true, true, true, true, 0xff000000, 0};
  at(Reg::kDfr) = {true, false, true, true, 0xf0000000, 0};
  at(Reg::kSvr) = both(0x13ff);
  at(Reg::kEsr) = both(0);
  // Bit 12 was the delivery status; processors ignore it in x2APIC mode too.
  at(Reg::kIcrLow) = both(0xccfff, kLvtStatus);
  at(Reg::kIcrHigh) = {true, false, true, true, 0xff000000, 0};
  at(Reg::kLvtTimer) = both(0x700ff, kLvtStatus);
  at(Reg::kLvtCmci) = at(Reg::kLvtThermal) = at(Reg::kLvtPmc) = both(0x107ff, kLvtStatus);
  at(Reg::kLvtLint0) = at(Reg::kLvtLint1) = both(0x1a7ff, kLvtStatus | kLvtRemoteIrr);
  at(Reg::kLvtError) = both(0x100ff, kLvtStatus);
  at(Reg::kInitialCount) = both(0xffffffff);
  at(Reg::kDcr) = both(0xb);
  at(Reg::kSelfIpi) = {.x2apic = true, .writable = true, .stored = 0xff};
  return rules;
}
constexpr std::array<Rule, 64> kRules = make_rules();

const Rule* rule_of(std::uint32_t offset) {
  return offset / 16 < kRules.size() ? &kRules[offset / 16] : nullptr;
}

}  // namespace

// ---- xAPIC --------------------------------------------------------------------------------------------

bool Lapic::claims(std::uint64_t gpa) const {
  return mode() == ApicMode::kXapic && (gpa & ~(kApicPageSize - 1)) == base_address();
}

std::uint32_t Lapic::read_mmio(std::uint32_t offset, const Clock& clock) {
  if (mode() != ApicMode::kXapic) return 0xffffffff;
  catch_up(clock);
  const Rule* rule = rule_of(offset);
  if (!rule || !rule->xapic) {
    log_error(kEsrIllegalRegister);
    return 0;
  }
  const std::uint32_t byte = offset % 16;
  if (!rule->readable || byte >= 4) return 0;
  return read_register(Reg(offset - byte), clock) >> (byte * 8);
}

Effect Lapic::write_mmio(std::uint32_t offset, std::uint32_t value, const Clock& clock) {
  if (mode() != ApicMode::kXapic) return {};
  catch_up(clock);
  const Rule* rule = rule_of(offset);
  if (!rule || !rule->xapic) {
    log_error(kEsrIllegalRegister);
    return {};
  }
  if (!rule->writable || offset % 16 != 0) return {};
  return write_register(Reg(offset), value & rule->stored, clock);
}

Effect Lapic::write_mmio64_icr(std::uint64_t value, const Clock& clock) {
  const auto high = static_cast<std::uint32_t>(value >> 32);
  (void)write_mmio(static_cast<std::uint32_t>(Reg::kIcrHigh), high, clock);
  return write_mmio(static_cast<std::uint32_t>(Reg::kIcrLow), static_cast<std::uint32_t>(value), clock);
}

// ---- MSRs ---------------------------------------------------------------------------------------------

bool Lapic::owns_msr(std::uint32_t msr) {
  return msr == kMsrApicBase || msr == kMsrTscDeadline || (msr >= kX2apicMsrFirst && msr <= kX2apicMsrLast);
}

MsrResult<std::uint64_t> Lapic::read_msr(std::uint32_t msr, const Clock& clock) {
  catch_up(clock);
  if (msr == kMsrApicBase) return apic_base_;
  if (msr == kMsrTscDeadline) return timer_.tsc_deadline();
  if (!owns_msr(msr) || mode() != ApicMode::kX2apic) return tl::unexpected(GeneralProtection{});
  const std::uint32_t offset = (msr - kX2apicMsrFirst) * 16;
  const Rule* rule = rule_of(offset);
  if (!rule || !rule->x2apic || !rule->readable) return tl::unexpected(GeneralProtection{});
  if (Reg(offset) == Reg::kIcrLow) return icr_;
  return read_register(Reg(offset), clock);
}

MsrResult<Effect> Lapic::write_msr(std::uint32_t msr, std::uint64_t value, const Clock& clock) {
  catch_up(clock);
  if (msr == kMsrApicBase) return write_apic_base(value);
  if (msr == kMsrTscDeadline) {
    if (mode() != ApicMode::kDisabled) timer_.write_tsc_deadline(value, clock);
    catch_up(clock);  // a deadline in the past fires at once
    return Effect{TimerChanged{}};
  }
  return write_x2apic(msr, value, clock);
}

// SDM, x2APIC Register Address Space, and Reserved Bit Checking.
MsrResult<Effect> Lapic::write_x2apic(std::uint32_t msr, std::uint64_t value, const Clock& clock) {
  if (!owns_msr(msr) || mode() != ApicMode::kX2apic) return tl::unexpected(GeneralProtection{});
  const std::uint32_t offset = (msr - kX2apicMsrFirst) * 16;
  const Rule* rule = rule_of(offset);
  const auto reg = Reg(offset);
  const bool writable = rule && rule->x2apic && rule->writable && reg != Reg::kLdr;
  if (!writable) return tl::unexpected(GeneralProtection{});
  const auto low = static_cast<std::uint32_t>(value);
  if (low & ~(rule->stored | rule->ignored)) return tl::unexpected(GeneralProtection{});
  if (reg == Reg::kIcrLow) return write_icr((value >> 32 << 32) | (low & rule->stored));
  if (value >> 32) return tl::unexpected(GeneralProtection{});
  return write_register(reg, low & rule->stored, clock);
}

// SDM, x2APIC State Transitions.
MsrResult<Effect> Lapic::write_apic_base(std::uint64_t value) {
  std::uint64_t reserved = 0x2ff | ~std::uint64_t{0} << config_.phys_addr_bits;
  if (!config_.x2apic) reserved |= kApicBaseX2apic;
  const bool enable = value & kApicBaseEnable;
  const bool x2apic = value & kApicBaseX2apic;
  const ApicMode old = mode();
  const bool illegal = (x2apic && !enable) || (old == ApicMode::kX2apic && enable && !x2apic) ||
                       (old == ApicMode::kDisabled && x2apic);
  if ((value & reserved) || illegal) return tl::unexpected(GeneralProtection{});
  if (value == apic_base_) return Effect{};
  apic_base_ = value;
  // Hardware-disabling may lose what was programmed (SDM, Enabling or Disabling the Local APIC). Like KVM we
  // keep it, since guests that switch modes count on that, except what means something else or nothing in the
  // next mode. What was requested or in service is lost: a processor without APIC has no such things, and an
  // interrupt of before the disabling would surprise whoever enables the APIC again. (Software-disabling
  // holds them; see pending().)
  if (!enable) {
    timer_.disarm();
    drop_requests();
  }
  if (!enable && old == ApicMode::kX2apic) {
    logical_id_ = 0;
    dfr_model_ = 0xf;
    icr_ = 0;
  }
  if (x2apic && old == ApicMode::kXapic) icr_ &= 0xffffffff;
  publish_routing();
  return Effect{ApicBaseChanged{}};
}

}  // namespace apic
