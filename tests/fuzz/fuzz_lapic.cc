// Register traffic of one local APIC, compared with the naive model of the unit tests, and the IPIs it sends
// routed to a machine of three.
#include <array>
#include <chrono>

#include "../unit/apic/naive_lapic.h"
#include "apic/lapic.h"
#include "apic/router.h"
#include "input.h"

namespace {

using namespace apic;
using apic_test::NaiveLapic;
using fuzz::expect;
using std::chrono::nanoseconds;

LapicConfig config(std::uint32_t id) {
  return {.id = ApicId(id), .tsc_khz = 2'000'000, .min_timer_interval = nanoseconds(0)};
}

class Machine {
 public:
  explicit Machine(std::uint32_t id)
      : lapic_(config(id)), naive_(id), other_(config(id + 1)), far_(config(id ^ 0x40)) {
    (void)other_.write_mmio(static_cast<std::uint32_t>(Reg::kSvr), 0x1ff, clock_);
  }

  void step(fuzz::Input& in) {
    switch (in.take<std::uint8_t>() % 16) {
      case 0:
      case 1:
        return write(in.take<std::uint16_t>() & 0xfffu, in.take<std::uint32_t>());
      case 2:
      case 3:
        // Only registers, so that blind inputs get somewhere.
        return write((in.take<std::uint8_t>() & 0x3fu) * 16, in.take<std::uint32_t>());
      case 4:
        return read(in.take<std::uint16_t>() & 0xfffu);
      case 5:
        return write_msr(0x800 + in.take<std::uint8_t>(), in.take<std::uint64_t>());
      case 6:
        return read_msr(0x800u + in.take<std::uint8_t>());
      case 7:
        return write_msr(kMsrApicBase, 0xfee00000 | in.take<std::uint16_t>());
      case 8:
        return write_msr(kMsrTscDeadline, clock_.tsc + in.take<std::uint16_t>());
      case 9:
        return pass(in.take<std::uint16_t>());
      case 10:
        return post(in.take<std::uint8_t>(), in.take<std::uint8_t>() & 1);
      case 11:
        return expect(raw(lapic_.accept()) == static_cast<unsigned>(naive_.accept()));
      case 12:
        return event(in);
      case 13:
        return set_line(in.take<std::uint8_t>());
      case 14:
        return set_cr8(in.take<std::uint8_t>());
      default:
        return write_icr64(in.take<std::uint64_t>());
    }
  }

  void compare() {
    const auto pending = lapic_.pending();
    expect((pending ? static_cast<int>(raw(*pending)) : -1) == naive_.pending());
    expect(lapic_.processor_priority() == naive_.ppr());
    expect(lapic_.cr8() == naive_.cr8());
    expect(static_cast<int>(lapic_.mode()) == naive_.mode());
    expect(lapic_.software_enabled() == naive_.software_enabled());
    expect(lapic_.has_event() == naive_.event());
    expect(lapic_.accepts_extint() == naive_.extint());
    expect(lapic_.timer_deadline().has_value() == naive_.timer_can_interrupt());
  }

  void compare_registers() {
    for (std::uint32_t i = 0; i < 0x40; ++i) {
      read(i * 16);
      read_msr(0x800 + i);
    }
  }

 private:
  void write(std::uint32_t offset, std::uint32_t value) {
    const Effect effect = lapic_.write_mmio(offset, value, clock_);
    expect(effect == naive_.write(offset, value));
    act(effect);
  }
  void write_icr64(std::uint64_t value) {
    const Effect effect = lapic_.write_mmio64_icr(value, clock_);
    (void)naive_.write(0x310, static_cast<std::uint32_t>(value >> 32));
    expect(effect == naive_.write(0x300, static_cast<std::uint32_t>(value)));
    act(effect);
  }
  void read(std::uint32_t offset) { expect(lapic_.read_mmio(offset, clock_) == naive_.read(offset)); }
  void write_msr(std::uint32_t msr, std::uint64_t value) {
    const auto real = lapic_.write_msr(msr, value, clock_);
    const auto model = naive_.write_msr(msr, value);
    expect(real.has_value() == model.has_value());
    if (!model) return;
    expect(*real == *model);
    act(*real);
  }
  void read_msr(std::uint32_t msr) {
    const auto real = lapic_.read_msr(msr, clock_);
    const auto model = naive_.read_msr(msr);
    expect(real.has_value() == model.has_value());
    if (model) expect(*real == *model);
  }

  void pass(std::uint64_t ns) {
    clock_.now += nanoseconds(ns);
    clock_.tsc += 2 * ns;
    naive_.pass(ns);
    const auto deadline = lapic_.timer_deadline();
    if (deadline && *deadline <= clock_.now) (void)lapic_.expire_timer(clock_);
  }

  void post(std::uint8_t vector, bool level) {
    (void)lapic_.post(Vector(vector), level ? TriggerMode::kLevel : TriggerMode::kEdge);
    naive_.post(vector, level);
  }

  void event(fuzz::Input& in) {
    const auto vector = in.take<std::uint8_t>();
    switch (in.take<std::uint8_t>() % 5) {
      case 0:
        lapic_.post_nmi();
        return naive_.nmi();
      case 1:
        lapic_.post_init();
        return naive_.init();
      case 2:
        lapic_.post_sipi(Vector(vector));
        return naive_.sipi(vector);
      case 3:
        return expect(static_cast<int>(lapic_.take_nmis()) == naive_.take_nmis());
      default: {
        const StartupEvents real = lapic_.take_startup(vector & 1);
        const auto [init, sipi] = naive_.take_startup(vector & 1);
        expect(real.init == init);
        expect((real.sipi ? static_cast<int>(raw(*real.sipi)) : -1) == sipi);
      }
    }
  }

  void set_line(std::uint8_t what) {
    const bool second = what & 1, asserted = what & 2;
    lapic_.set_lint(second ? Lint::kLint1 : Lint::kLint0, asserted);
    naive_.lint(second, asserted);
  }
  void set_cr8(std::uint8_t what) {
    if (what == 0xf0) return power_up();
    if (what >= 0xe0) return tsc_jumps(what & 0xfu);
    lapic_.set_cr8(what & 0xf);
    naive_.set_cr8(what & 0xf);
  }
  void power_up() {
    lapic_.power_up_reset();
    naive_.power_up();
  }
  void tsc_jumps(std::uint64_t to) {
    (void)lapic_.expire_timer(clock_);
    clock_.tsc = to * 100'000;
    lapic_.tsc_changed(clock_);
    naive_.tsc_jumps(clock_.tsc);
  }

  // Routes an IPI and repeats at the model what arrived at the APIC it mirrors.
  void act(const Effect& effect) {
    const auto* ipi = std::get_if<IpiRequest>(&effect);
    if (!ipi) return;
    const std::array<Lapic*, 3> targets = {&lapic_, &other_, &far_};
    std::array<unsigned, 3> told{};
    const bool carries_vector = ipi->message.delivery == DeliveryMode::kFixed ||
                                ipi->message.delivery == DeliveryMode::kLowestPriority;
    // Who logged an illegal vector without an interrupt is not reported: leave those to the others.
    const bool alone = carries_vector && !is_legal(ipi->message.vector);
    const Targets span = Targets(targets).subspan(alone ? 1 : 0);
    const std::size_t first = targets.size() - span.size();
    const auto report = deliver(span, *ipi, TargetIndex(0), [&](TargetIndex i) { ++told[raw(i) + first]; });
    unsigned total = 0;
    for (unsigned count : told) {
      expect(count <= 1);
      total += count;
    }
    expect(report.accepted <= total);
    if (told[0]) mirror(ipi->message);
  }

  void mirror(const InterruptMessage& message) {
    const int vector = raw(message.vector);
    switch (message.delivery) {
      case DeliveryMode::kFixed:
      case DeliveryMode::kLowestPriority:
        return naive_.post(vector, message.trigger == TriggerMode::kLevel);
      case DeliveryMode::kNmi:
        return naive_.nmi();
      case DeliveryMode::kInit:
        return naive_.init();
      case DeliveryMode::kStartUp:
        return naive_.sipi(vector);
      default:
        return expect(false);
    }
  }

  Clock clock_;
  Lapic lapic_;
  NaiveLapic naive_;
  Lapic other_;  // software-enabled from the start
  Lapic far_;    // as after reset
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  Machine machine(in.take<std::uint16_t>());
  while (!in.empty()) {
    machine.step(in);
    machine.compare();
  }
  machine.compare_registers();
  return 0;
}
