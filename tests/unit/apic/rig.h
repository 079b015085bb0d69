// What the APIC tests share: one local APIC with a clock to turn, and a machine of several with a router.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "apic/lapic.h"
#include "apic/router.h"

namespace apic_test {

using namespace apic;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

// A Lapic and the time it is told. The TSC runs at 2 GHz, the timer's bus at 1 GHz.
struct Chip {
  explicit Chip(LapicConfig config = {}) : lapic(with_clocks(config)) {}

  static LapicConfig with_clocks(LapicConfig config) {
    config.tsc_khz = 2'000'000;
    return config;
  }
  static Chip enabled(std::uint32_t id = 0) { return Chip(ApicId(id), 0x1ff); }
  static std::uint32_t msr_of(Reg reg) { return 0x800 + static_cast<std::uint32_t>(reg) / 16; }

  std::uint32_t read(Reg reg, unsigned i = 0) {
    return lapic.read_mmio(static_cast<std::uint32_t>(reg) + i * 16, clock);
  }
  Effect write(Reg reg, std::uint32_t value) {
    return lapic.write_mmio(static_cast<std::uint32_t>(reg), value, clock);
  }
  MsrResult<std::uint64_t> rdmsr(Reg reg, unsigned i = 0) { return lapic.read_msr(msr_of(reg) + i, clock); }
  MsrResult<Effect> wrmsr(Reg reg, std::uint64_t value) { return lapic.write_msr(msr_of(reg), value, clock); }
  std::uint64_t base() { return *lapic.read_msr(kMsrApicBase, clock); }
  MsrResult<Effect> set_base(std::uint64_t value) { return lapic.write_msr(kMsrApicBase, value, clock); }
  void to_x2apic() { REQUIRE(set_base(base() | kApicBaseX2apic).has_value()); }
  void software_enable() { (void)write(Reg::kSvr, 0x1ff); }

  void pass(nanoseconds time) {
    clock.now += time;
    clock.tsc += 2 * static_cast<std::uint64_t>(time.count());
  }
  // Delivers a fixed interrupt from outside and takes it into service.
  void serve(unsigned vector, TriggerMode trigger = TriggerMode::kEdge) {
    REQUIRE(lapic.post(Vector(vector), trigger) == Lapic::Post::kAccepted);
    REQUIRE(lapic.accept() == Vector(vector));
  }
  bool requested(unsigned vector) { return read(Reg::kIrr0, vector / 32) >> (vector % 32) & 1; }
  bool in_service(unsigned vector) { return read(Reg::kIsr0, vector / 32) >> (vector % 32) & 1; }
  bool trigger_level(unsigned vector) { return read(Reg::kTmr0, vector / 32) >> (vector % 32) & 1; }
  // ESR as software reads it: write, then read.
  std::uint32_t esr() {
    (void)write(Reg::kEsr, 0);
    return read(Reg::kEsr);
  }

  Lapic lapic;
  Clock clock{1s, 2'000'000'000};

 private:
  Chip(ApicId id, std::uint32_t svr) : Chip(LapicConfig{.id = id}) { (void)write(Reg::kSvr, svr); }
};

inline const IpiRequest* as_ipi(const Effect& effect) { return std::get_if<IpiRequest>(&effect); }
inline bool is_gp(const MsrResult<Effect>& result) { return !result.has_value(); }
inline bool is_nothing(const Effect& effect) { return std::holds_alternative<std::monostate>(effect); }

// Several APICs; delivers what they send and records who was told.
struct Machine {
  explicit Machine(std::vector<std::uint32_t> ids) {
    for (std::uint32_t id : ids) add(id);
  }
  explicit Machine(unsigned count) {
    for (std::uint32_t id = 0; id < count; ++id) add(id);
  }
  void add(std::uint32_t id) {
    chips.push_back(std::make_unique<Chip>(LapicConfig{.id = ApicId(id)}));
    chips.back()->software_enable();
    lapics.push_back(&chips.back()->lapic);
  }
  void all_to_x2apic() {
    for (auto& chip : chips) chip->to_x2apic();
  }
  Chip& operator[](std::size_t i) { return *chips[i]; }

  using Indices = std::vector<unsigned>;
  Indices told;  // by the last delivery
  unsigned accepted = 0;

  template <class Message>
  Indices send(const Message& message, auto... source) {
    told.clear();
    accepted = deliver(lapics, message, source..., [&](TargetIndex i) { told.push_back(raw(i)); }).accepted;
    return told;
  }
  // An xAPIC's two ICR writes.
  Indices icr(std::size_t source, std::uint32_t destination, std::uint32_t low) {
    (void)chips[source]->write(Reg::kIcrHigh, destination << 24);
    const Effect effect = chips[source]->write(Reg::kIcrLow, low);
    REQUIRE(as_ipi(effect));
    return send(*as_ipi(effect), TargetIndex(source));
  }
  // An x2APIC's one.
  Indices icr64(std::size_t source, std::uint64_t destination, std::uint32_t low) {
    const auto effect = chips[source]->wrmsr(Reg::kIcrLow, destination << 32 | low);
    REQUIRE(effect.has_value());
    REQUIRE(as_ipi(*effect));
    return send(*as_ipi(*effect), TargetIndex(source));
  }

  std::vector<std::unique_ptr<Chip>> chips;
  std::vector<Lapic*> lapics;
};

// ICR fields.
constexpr std::uint32_t kFixed = 0u << 8, kLowest = 1u << 8, kSmi = 2u << 8, kNmi = 4u << 8, kInit = 5u << 8,
                        kSipi = 6u << 8;
constexpr std::uint32_t kLogical = 1u << 11, kAssert = 1u << 14, kLevel = 1u << 15;
constexpr std::uint32_t kSelf = 1u << 18, kAll = 2u << 18, kOthers = 3u << 18;

}  // namespace apic_test
