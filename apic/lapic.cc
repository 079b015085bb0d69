// Posting, matching, injection, local sources and reset. Register accesses are in lapic_registers.cc.
#include "apic/lapic.h"

namespace apic {
namespace {

// routing_
constexpr std::uint32_t kRoutingModeMask = 3;
constexpr std::uint32_t kRoutingEnabled = 1u << 2;
constexpr unsigned kRoutingDfrShift = 4;
constexpr unsigned kRoutingLogicalIdShift = 8;
constexpr unsigned kRoutingLifeShift =
    32;                                    // in the same word, so that who sees "enabled" knows in which life
constexpr unsigned kErrorsLifeShift = 32;  // errors_

constexpr std::uint32_t kDfrFlat = 0xf;
constexpr std::uint32_t kDfrCluster = 0;

DeliveryMode delivery_of(std::uint32_t lvt) { return DeliveryMode((lvt >> kDeliveryShift) & kDeliveryMask); }

}  // namespace

Lapic::Lapic(const LapicConfig& config)
    : config_(config), timer_(config.timer_hz, config.tsc_khz, config.min_timer_interval) {
  require(config.phys_addr_bits >= 32 && config.phys_addr_bits <= 52);
  power_up_reset();
}

// ---- Posting ------------------------------------------------------------------------------------------

// An INIT, or a disabling, may come at any point of this. Then the request is of a life that is over, and
// nothing of it stays (pending_vectors.h).
Lapic::Post Lapic::post(Vector vector, TriggerMode trigger) {
  const std::uint64_t routing = routing_.load(std::memory_order_acquire);
  if (!(routing & kRoutingEnabled)) return Post::kRejected;
  return post_in(static_cast<PendingVectors::Life>(routing >> kRoutingLifeShift), vector, trigger);
}

Lapic::Post Lapic::post_in(PendingVectors::Life life, Vector vector, TriggerMode trigger) {
  if (!is_legal(vector)) return log_error(kEsrReceiveIllegalVector, life);
  return irr_.post(vector, trigger, life) ? Post::kAccepted : Post::kRejected;
}

Lapic::Post Lapic::log_error(std::uint32_t esr_bit, PendingVectors::Life life) {
  std::uint64_t old = errors_.load(std::memory_order_relaxed);
  do {
    if (old >> kErrorsLifeShift != life) return Post::kRejected;
  } while (!errors_.compare_exchange_weak(old, old | esr_bit, std::memory_order_relaxed));
  if (static_cast<std::uint32_t>(old) != 0) return Post::kRejected;
  const std::uint32_t entry = lvt(Lvt::kError);
  if ((entry & kLvtMasked) || !software_enabled()) return Post::kRejected;
  // An illegal vector in this very entry ends here, since the error is logged already.
  const Post posted = post_in(life, Vector(entry & 0xff), TriggerMode::kEdge);
  return posted == Post::kAccepted ? Post::kError : Post::kRejected;
}

// ---- Matching -----------------------------------------------------------------------------------------

void Lapic::publish_routing() {
  const bool hardware = apic_base_ & kApicBaseEnable;
  const ApicMode mode = !hardware                      ? ApicMode::kDisabled
                        : apic_base_ & kApicBaseX2apic ? ApicMode::kX2apic
                                                       : ApicMode::kXapic;
  std::uint64_t word = static_cast<std::uint64_t>(mode);
  if (hardware && (svr_ & kSvrEnable)) word |= kRoutingEnabled;
  word |= static_cast<std::uint64_t>(dfr_model_) << kRoutingDfrShift;
  word |= static_cast<std::uint64_t>(logical_id_) << kRoutingLogicalIdShift;
  word |= static_cast<std::uint64_t>(life_) << kRoutingLifeShift;
  // release: its partners are the acquire loads below, in threads that deliver to this APIC.
  routing_.store(word, std::memory_order_release);
}

ApicMode Lapic::mode() const { return ApicMode(routing_.load(std::memory_order_acquire) & kRoutingModeMask); }

bool Lapic::software_enabled() const { return routing_.load(std::memory_order_acquire) & kRoutingEnabled; }

// SDM, Determining IPI Destination, and Logical Destination Mode in x2APIC Mode.
bool Lapic::matches(const InterruptMessage& message) const {
  const std::uint64_t routing = routing_.load(std::memory_order_acquire);
  const auto mode = ApicMode(routing & kRoutingModeMask);
  const std::uint32_t dest = message.destination;
  const bool wide = message.width == DestWidth::kWide;
  if (mode == ApicMode::kDisabled) return false;
  if (dest == (wide ? 0xffffffffu : 0xffu)) return true;
  // The full id also in xAPIC mode: an AP whose id exceeds 8 bits must be reachable for INIT and SIPI before
  // it can enter x2APIC mode, and must not answer to its truncated id.
  if (message.dest_mode == DestMode::kPhysical) return dest == raw(config_.id);
  if (mode == ApicMode::kX2apic) {
    const std::uint32_t cluster = raw(config_.id) >> 4;
    const std::uint32_t member = 1u << (raw(config_.id) & 0xf);
    return dest >> 16 == cluster && (dest & member);
  }
  if (wide) return false;
  const auto logical_id = static_cast<std::uint32_t>(routing >> kRoutingLogicalIdShift & 0xff);
  switch (routing >> kRoutingDfrShift & 0xf) {
    case kDfrFlat:
      return dest & logical_id;
    case kDfrCluster:
      return dest >> 4 == logical_id >> 4 && (dest & logical_id & 0xf);
    default:
      return false;
  }
}

// ---- Is there anything to wake for? -------------------------------------------------------------------

bool Lapic::accepts_extint() const {
  if (mode() == ApicMode::kDisabled) return true;
  const std::uint32_t entry = lvt(Lvt::kLint0);
  return !(entry & kLvtMasked) && delivery_of(entry) == DeliveryMode::kExtInt;
}

bool Lapic::listens_to_lint0() const {
  const std::uint32_t entry = lvt(Lvt::kLint0);
  return mode() != ApicMode::kDisabled && !(entry & kLvtMasked) &&
         delivery_of(entry) != DeliveryMode::kExtInt;
}

bool Lapic::lint0_sends_event() const {
  const DeliveryMode delivery = delivery_of(lvt(Lvt::kLint0));
  return listens_to_lint0() && (delivery == DeliveryMode::kNmi || delivery == DeliveryMode::kInit);
}

// ---- Injection ----------------------------------------------------------------------------------------

// Software-disabling holds what is in IRR and ISR but does not stop it from being dispatched (SDM, Local APIC
// State After It Has Been Software Disabled: it requires "masking or handling by the CPU").
std::optional<Vector> Lapic::pending() const {
  if (mode() == ApicMode::kDisabled) return std::nullopt;
  const auto vector = irr_.highest();
  if (!vector || priority_class(raw(*vector)) <= priority_class(processor_priority())) return std::nullopt;
  return vector;
}

Vector Lapic::accept() {
  const auto vector = pending();
  if (!vector) return Vector(svr_ & 0xff);
  const bool level = irr_.take(*vector) == TriggerMode::kLevel;
  tmr_.set(*vector, level);
  isr_level_.set(*vector, level);
  isr_.set(*vector);
  update_ppr();
  return *vector;
}

StartupEvents Lapic::take_startup(bool waiting_for_sipi) {
  const StartupEvents events = events_.take_startup(waiting_for_sipi);
  if (events.init) init_reset();
  return events;
}

void Lapic::set_cr8(std::uint8_t cr8) {
  if (cr8 == tpr_ >> 4) return;
  tpr_ = static_cast<std::uint8_t>(cr8 << 4);
  update_ppr();
}

// SDM, Processor Priority Register.
void Lapic::update_ppr() {
  const auto in_service = isr_.highest();
  const unsigned isrv = in_service ? raw(*in_service) : 0u;
  const unsigned ppr = priority_class(tpr_) >= priority_class(isrv) ? tpr_ : isrv & 0xf0;
  ppr_.store(static_cast<std::uint8_t>(ppr), std::memory_order_relaxed);
}

Effect Lapic::end_of_interrupt() {
  const auto vector = isr_.highest();
  if (!vector) return {};
  const bool level = isr_level_.contains(*vector);
  isr_.set(*vector, false);
  update_ppr();
  // SDM, Local Vector Table, Remote IRR: set when the interrupt is accepted, reset by its EOI. Which one that
  // is was settled then: software may have written another vector into the entry since.
  const std::uint32_t lint0 = lvt(Lvt::kLint0);
  if ((lint0 & kLvtRemoteIrr) && lint0_vector_ == *vector) {
    set_lvt(Lvt::kLint0, lint0 & ~kLvtRemoteIrr);
    service_level_lint0();
  }
  return EndOfInterrupt{*vector, level, level && !(svr_ & kSvrSuppressEoiBroadcast)};
}

// ---- Timer and local sources --------------------------------------------------------------------------

bool Lapic::expire_timer(const Clock& clock) {
  if (!timer_.expire(clock)) return false;
  return raise_local(Lvt::kTimer);
}

void Lapic::tsc_changed(const Clock& clock) {
  timer_.tsc_changed(clock);
  expire_timer(clock);
}

bool Lapic::raise_local(Lvt source) {
  const std::uint32_t entry = lvt(source);
  if (mode() == ApicMode::kDisabled || (entry & kLvtMasked)) return false;
  // A performance-monitoring interrupt masks its entry (SDM, Local Vector Table).
  if (source == Lvt::kPmc) set_lvt(source, entry | kLvtMasked);
  const bool pin = source == Lvt::kLint0 || source == Lvt::kLint1;
  switch (delivery_of(entry)) {
    case DeliveryMode::kFixed: {
      // LINT1 knows no level triggering; the other sources have no pin.
      const bool level = source == Lvt::kLint0 && (entry & kLvtLevelTriggered);
      const Post posted = post(Vector(entry & 0xff), level ? TriggerMode::kLevel : TriggerMode::kEdge);
      if (level && posted == Post::kAccepted) {
        lint0_vector_ = Vector(entry & 0xff);
        set_lvt(source, entry | kLvtRemoteIrr);
      }
      return posted != Post::kRejected;
    }
    case DeliveryMode::kNmi:
      post_nmi();
      return true;
    case DeliveryMode::kInit:
      if (pin) post_init();
      return pin;
    // There is no SMM here; an ExtINT waits at its source (accepts_extint()); the rest is reserved.
    case DeliveryMode::kSmi:
    case DeliveryMode::kExtInt:
    case DeliveryMode::kLowestPriority:
    case DeliveryMode::kReserved3:
    case DeliveryMode::kStartUp:
      return false;
  }
  return false;
}

void Lapic::set_lint(Lint pin, bool asserted) {
  bool& line = lint_asserted_[static_cast<unsigned>(pin)];
  const bool rises = asserted && !line;
  line = asserted;
  const Lvt source = pin == Lint::kLint0 ? Lvt::kLint0 : Lvt::kLint1;
  if (source == Lvt::kLint0 && lint0_is_level()) {
    service_level_lint0();
  } else if (rises) {
    raise_local(source);
  }
}

bool Lapic::lint0_is_level() const {
  const std::uint32_t entry = lvt(Lvt::kLint0);
  return delivery_of(entry) == DeliveryMode::kFixed && (entry & kLvtLevelTriggered);
}

void Lapic::service_level_lint0() {
  if (lint_asserted_[0] && lint0_is_level() && !(lvt(Lvt::kLint0) & kLvtRemoteIrr)) raise_local(Lvt::kLint0);
}

// ---- Reset --------------------------------------------------------------------------------------------

void Lapic::power_up_reset() {
  apic_base_ = kApicDefaultAddress | kApicBaseEnable | (config_.is_bsp ? kApicBaseBsp : 0);
  lint_asserted_ = {};
  reset_registers();
  events_.clear();
}

void Lapic::init_reset() { reset_registers(); }

// SDM, Local APIC State After Power-Up or Reset.
void Lapic::reset_registers() {
  svr_ = 0xff;
  logical_id_ = 0;
  dfr_model_ = kDfrFlat;
  tpr_ = 0;
  esr_ = 0;
  icr_ = 0;
  for (auto& entry : lvt_) entry.store(kLvtMasked, std::memory_order_release);  // see set_lvt()
  timer_.reset();
  drop_requests();
}

// Ends the life of all that was posted or is in service. The registers say already that nothing is accepted.
void Lapic::drop_requests() {
  ++life_;
  publish_routing();
  irr_.begin_life(life_);
  errors_.store(static_cast<std::uint64_t>(life_) << kErrorsLifeShift, std::memory_order_relaxed);
  isr_ = {};
  isr_level_ = {};
  tmr_ = {};
  set_lvt(Lvt::kLint0, lvt(Lvt::kLint0) & ~kLvtRemoteIrr);  // its EOI will not come
  update_ppr();
}

void Lapic::enter_virtual_wire_mode() {
  svr_ |= kSvrEnable;
  publish_routing();
  set_lvt(Lvt::kLint0, static_cast<std::uint32_t>(DeliveryMode::kExtInt) << kDeliveryShift);
  set_lvt(Lvt::kLint1, static_cast<std::uint32_t>(DeliveryMode::kNmi) << kDeliveryShift);
}

}  // namespace apic
