// What each register shows when read and does when written, in either mode. Access rules are in
// lapic_access.cc.
#include <algorithm>

#include "apic/lapic.h"

namespace apic {
namespace {

Lvt lvt_of(Reg reg) {
  switch (reg) {
    case Reg::kLvtCmci:
      return Lvt::kCmci;
    case Reg::kLvtTimer:
      return Lvt::kTimer;
    case Reg::kLvtThermal:
      return Lvt::kThermal;
    case Reg::kLvtPmc:
      return Lvt::kPmc;
    case Reg::kLvtLint0:
      return Lvt::kLint0;
    case Reg::kLvtLint1:
      return Lvt::kLint1;
    default:
      return Lvt::kError;
  }
}

constexpr std::uint32_t x2apic_logical_id(ApicId id) { return raw(id) >> 4 << 16 | 1u << (raw(id) & 0xf); }

bool has_vector(DeliveryMode mode) {
  return mode == DeliveryMode::kFixed || mode == DeliveryMode::kLowestPriority;
}

}  // namespace

// SDM, Arbitration Priority Register (computed as on the P6; later processors leave it undefined).
std::uint32_t Lapic::apr() const {
  const auto irr = irr_.highest();
  const auto isr = isr_.highest();
  const unsigned irrv = irr ? raw(*irr) : 0u;
  const unsigned isrv = isr ? raw(*isr) : 0u;
  const unsigned tpr_class = priority_class(tpr_);
  if (tpr_class >= priority_class(irrv) && tpr_class > priority_class(isrv)) return tpr_;
  return std::max({tpr_class, priority_class(irrv), priority_class(isrv)}) << 4;
}

// A request in the IRR shows its own trigger mode, every other vector the last one accepted.
std::uint32_t Lapic::tmr_word(unsigned i) const {
  return (tmr_.word32(i) & ~irr_.edge_word32(i)) | irr_.level_word32(i);
}

std::uint32_t Lapic::read_register(Reg reg, const Clock& clock) {
  const bool x2apic = mode() == ApicMode::kX2apic;
  const auto offset = static_cast<unsigned>(reg);
  const unsigned word = offset / 16 % 8;
  switch (reg) {
    case Reg::kId:
      return x2apic ? raw(config_.id) : raw(config_.id) << 24;
    case Reg::kVersion:
      return kVersionValue;
    case Reg::kTpr:
      return tpr_;
    case Reg::kApr:
      return apr();
    case Reg::kPpr:
      return processor_priority();
    case Reg::kLdr:
      return x2apic ? x2apic_logical_id(config_.id) : static_cast<std::uint32_t>(logical_id_) << 24;
    case Reg::kDfr:
      return static_cast<std::uint32_t>(dfr_model_) << 28 | 0x0fffffff;
    case Reg::kSvr:
      return svr_;
    case Reg::kEsr:
      return esr_;
    case Reg::kIcrLow:
      return static_cast<std::uint32_t>(icr_);
    case Reg::kIcrHigh:
      return static_cast<std::uint32_t>(icr_ >> 32);
    case Reg::kInitialCount:
      return timer_.initial_count();
    case Reg::kCurrentCount:
      return timer_.current_count(clock);
    case Reg::kDcr:
      return timer_.divide();
    case Reg::kLvtCmci:
    case Reg::kLvtTimer:
    case Reg::kLvtThermal:
    case Reg::kLvtPmc:
    case Reg::kLvtLint0:
    case Reg::kLvtLint1:
    case Reg::kLvtError:
      return lvt(lvt_of(reg));
    default:
      break;
  }
  if (offset >= static_cast<unsigned>(Reg::kIsr0) && offset < static_cast<unsigned>(Reg::kTmr0))
    return isr_.word32(word);
  if (offset >= static_cast<unsigned>(Reg::kTmr0) && offset < static_cast<unsigned>(Reg::kIrr0))
    return tmr_word(word);
  if (offset >= static_cast<unsigned>(Reg::kIrr0) && offset < static_cast<unsigned>(Reg::kEsr)) {
    return irr_.edge_word32(word) | irr_.level_word32(word);
  }
  return 0;
}

// `value` has only bits the register's rule lets a write change.
Effect Lapic::write_register(Reg reg, std::uint32_t value, const Clock& clock) {
  switch (reg) {
    case Reg::kTpr:
      tpr_ = static_cast<std::uint8_t>(value);
      update_ppr();
      return {};
    case Reg::kEoi:
      return end_of_interrupt();
    case Reg::kLdr:
      logical_id_ = static_cast<std::uint8_t>(value >> 24);
      publish_routing();
      return AcceptanceChanged{};
    case Reg::kDfr:
      dfr_model_ = static_cast<std::uint8_t>(value >> 28);
      publish_routing();
      return AcceptanceChanged{};
    case Reg::kSvr:
      return write_svr(value);
    case Reg::kEsr:
      // Latches what was logged since the last write and rearms the error interrupt (SDM, Error Handling).
      esr_ = static_cast<std::uint32_t>(
          errors_.fetch_and(~std::uint64_t{0xffffffff}, std::memory_order_relaxed));
      return {};
    case Reg::kIcrLow:
      return write_icr((icr_ >> 32 << 32) | value);
    case Reg::kIcrHigh:
      icr_ = static_cast<std::uint64_t>(value) << 32 | static_cast<std::uint32_t>(icr_);
      return {};
    case Reg::kInitialCount:
      timer_.write_initial_count(value, clock);
      return TimerChanged{};
    case Reg::kDcr:
      timer_.write_divide(value, clock);
      return TimerChanged{};
    case Reg::kSelfIpi:
      return write_self_ipi(value);
    case Reg::kLvtCmci:
    case Reg::kLvtTimer:
    case Reg::kLvtThermal:
    case Reg::kLvtPmc:
    case Reg::kLvtLint0:
    case Reg::kLvtLint1:
    case Reg::kLvtError:
      write_lvt(lvt_of(reg), value);
      return reg == Reg::kLvtTimer ? Effect{TimerChanged{}} : Effect{};
    default:
      return {};
  }
}

// SDM, Local APIC State After It Has Been Software Disabled: clearing the enable bit masks all LVT entries,
// and they stay masked.
Effect Lapic::write_svr(std::uint32_t value) {
  const bool toggled = (svr_ ^ value) & kSvrEnable;
  svr_ = value;
  publish_routing();
  if (!toggled) return {};
  if (value & kSvrEnable) return AcceptanceChanged{};
  for (unsigned i = 0; i < kLvtCount; ++i) set_lvt(Lvt(i), lvt(Lvt(i)) | kLvtMasked);
  return TimerChanged{};
}

void Lapic::write_lvt(Lvt entry, std::uint32_t value) {
  if (!(svr_ & kSvrEnable)) value |= kLvtMasked;
  if (entry == Lvt::kTimer) timer_.set_mode(TimerMode(value >> 17 & 3));
  if (entry == Lvt::kLint0 && (value & kLvtLevelTriggered)) value |= lvt(entry) & kLvtRemoteIrr;
  set_lvt(entry, value);
  if (entry == Lvt::kLint0) service_level_lint0();
}

// SDM, Interrupt Command Register. The trigger-mode and level bits mean something only in an INIT level
// de-assert; everything else is sent as an edge (Table "Valid Combinations ... ICR", note 1). Combinations
// the table calls invalid are sent as they stand.
Effect Lapic::write_icr(std::uint64_t value) {
  icr_ = value;
  const bool wide = mode() == ApicMode::kX2apic;
  const auto low = static_cast<std::uint32_t>(value);
  const auto high = static_cast<std::uint32_t>(value >> 32);
  IpiRequest request;
  request.shorthand = Shorthand(low >> 18 & 3);
  InterruptMessage& m = request.message;
  m.vector = Vector(low & 0xff);
  m.delivery = DeliveryMode(low >> kDeliveryShift & kDeliveryMask);
  m.dest_mode = low & kIcrLogical ? DestMode::kLogical : DestMode::kPhysical;
  m.width = wide ? DestWidth::kWide : DestWidth::kNarrow;
  m.destination = wide ? high : high >> 24;
  if (m.delivery == DeliveryMode::kInit && (low & kIcrLevelTriggered) && !(low & kIcrAssert)) {
    m.trigger = TriggerMode::kLevel;
    m.assert_level = false;
  }
  if (has_vector(m.delivery) && !is_legal(m.vector)) log_error(kEsrSendIllegalVector);
  return request;
}

Effect Lapic::write_self_ipi(std::uint32_t value) {
  IpiRequest request;
  request.shorthand = Shorthand::kSelf;
  request.message.vector = Vector(value & 0xff);
  request.message.width = DestWidth::kWide;
  if (!is_legal(request.message.vector)) log_error(kEsrSendIllegalVector);
  return request;
}

Lapic::Summary Lapic::summary() const {
  Summary summary{.irr = {},
                  .isr = {},
                  .tpr = tpr_,
                  .ppr = processor_priority(),
                  .enabled = software_enabled(),
                  .lvt_timer = lvt(Lvt::kTimer)};
  for (unsigned i = 0; i < summary.irr.size(); ++i) {
    summary.irr[i] = irr_.edge_word32(i) | irr_.level_word32(i);
    summary.isr[i] = isr_.word32(i);
  }
  return summary;
}

}  // namespace apic
