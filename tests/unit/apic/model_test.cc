// A million random steps on the Lapic and on the naive model, compared after each one. A failure prints the
// seed and the step; KVMUX_SEED in the environment replays a seed.
#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>

#include "naive_lapic.h"
#include "rig.h"

namespace apic_test {
namespace {

constexpr std::uint32_t kIds[] = {0, 5, 0x23, 0x12345};

struct Pair {
  explicit Pair(std::uint64_t seed) : random(seed), chip(config(kIds[seed % 4])), naive(kIds[seed % 4]) {
    chip.clock = {};
  }

  static LapicConfig config(std::uint32_t id) {
    return {.id = ApicId(id), .phys_addr_bits = 36, .min_timer_interval = 0ns};
  }

  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); }
  bool chance(std::uint32_t percent) { return below(100) < percent; }
  template <class T, std::size_t N>
  T any_of(const T (&values)[N]) {
    return values[below(N)];
  }

  // Few vectors, so that they meet; some illegal.
  std::uint32_t vector() { return chance(5) ? below(20) : 16 + below(6) * 40 + below(3); }

  std::uint32_t offset() {
    constexpr std::uint32_t kBusy[] = {0x80,  0x80,  0xb0,  0xb0,  0xb0,  0xf0, 0x280,
                                       0x300, 0x320, 0x350, 0x370, 0x380, 0x3e0};
    return chance(70) ? any_of(kBusy) : below(0x42) * 16;
  }

  std::uint32_t value(std::uint32_t at) {
    if (chance(4)) return static_cast<std::uint32_t>(random());
    constexpr std::uint32_t kModes[] = {0, 0, 0, 1, 2, 3, 4, 5, 6, 7};
    constexpr std::uint32_t kDivides[] = {0, 1, 2, 3, 8, 9, 10, 11};
    switch (at) {
      case 0xb0:
      case 0x280:
        return 0;
      case 0xf0:
        return (chance(90) ? 0x100u : 0u) | (chance(20) ? 0x1000u : 0u) | (0xf0 + below(16));
      case 0x300:
        return vector() | any_of(kModes) << 8 | (chance(80) ? kAssert : 0) | (chance(20) ? kLevel : 0) |
               below(4) << 18;
      case 0x320:
        return vector() | below(8) / 2 << 17 | (chance(20) ? 1u << 16 : 0);
      case 0x350:
      case 0x360:
        return vector() | any_of(kModes) << 8 | (chance(50) ? kLevel : 0) | (chance(20) ? 1u << 16 : 0);
      case 0x2f0:
      case 0x330:
      case 0x340:
        return vector() | any_of(kModes) << 8 | (chance(30) ? 1u << 16 : 0);
      case 0x370:
        return vector() | (chance(30) ? 1u << 16 : 0);
      case 0x380:
        return below(2000);
      case 0x3e0:
        return any_of(kDivides);
      case 0x80:
        return chance(60) ? 0 : below(256);
      default:
        return vector();
    }
  }

  bool same(const MsrResult<Effect>& real, const std::optional<Effect>& model) {
    return real.has_value() == model.has_value() && (!model || *real == *model);
  }

  void pass(std::uint64_t ns) {
    const auto deadline = chip.lapic.timer_deadline();
    REQUIRE(deadline.has_value() == naive.timer_can_interrupt());
    chip.pass(nanoseconds(ns));
    naive.pass(ns);
    // As the run loop does: only when the deadline says so.
    if (deadline && *deadline <= chip.clock.now) (void)chip.lapic.expire_timer(chip.clock);
  }

  bool write() {
    const std::uint32_t at = offset(), bits = value(at);
    if (chip.lapic.mode() == ApicMode::kX2apic && chance(95)) {
      const std::uint64_t wide = bits | (at == 0x300 || chance(2) ? std::uint64_t{below(64)} << 32 : 0);
      return same(chip.lapic.write_msr(0x800 + at / 16, wide, chip.clock),
                  naive.write_msr(0x800 + at / 16, wide));
    }
    return chip.lapic.write_mmio(at, bits, chip.clock) == naive.write(at, bits);
  }

  bool read(std::uint32_t at) {
    if (chip.lapic.mode() == ApicMode::kX2apic) {
      const auto real = chip.lapic.read_msr(0x800 + at / 16, chip.clock);
      const auto model = naive.read_msr(0x800 + at / 16);
      return real.has_value() == model.has_value() && (!model || *real == *model);
    }
    return chip.lapic.read_mmio(at, chip.clock) == naive.read(at);
  }

  bool write_base() {
    constexpr std::uint64_t kBits[] = {0x800, 0x800, 0x800, 0xc00, 0xc00, 0x400, 0x900, 0x0, 0x801};
    const std::uint64_t base = 0xfee00000 | any_of(kBits) | (chance(2) ? std::uint64_t{1} << 36 : 0);
    return same(chip.lapic.write_msr(kMsrApicBase, base, chip.clock), naive.write_msr(kMsrApicBase, base));
  }

  bool write_deadline() {
    const std::uint64_t tsc = chance(20) ? 0 : chip.clock.tsc + below(4000);
    return same(chip.lapic.write_msr(kMsrTscDeadline, tsc, chip.clock),
                naive.write_msr(kMsrTscDeadline, tsc)) &&
           *chip.lapic.read_msr(kMsrTscDeadline, chip.clock) == *naive.read_msr(kMsrTscDeadline);
  }

  bool take_startup() {
    const bool waiting = chance(50);
    const StartupEvents real = chip.lapic.take_startup(waiting);
    const auto [init, sipi] = naive.take_startup(waiting);
    return real.init == init && (real.sipi ? static_cast<int>(raw(*real.sipi)) : -1) == sipi;
  }

  bool local() {
    constexpr std::pair<Lvt, std::uint32_t> kLocal[] = {
        {Lvt::kCmci, 0x2f0}, {Lvt::kThermal, 0x330}, {Lvt::kPmc, 0x340}};
    const auto [lvt, at] = any_of(kLocal);
    (void)chip.lapic.raise_local(lvt);
    naive.raise(at);
    return true;
  }

  bool event() {
    const std::uint32_t v = vector();
    switch (below(3)) {
      case 0:
        chip.lapic.post_nmi();
        naive.nmi();
        return true;
      case 1:
        if (!chance(10)) return true;  // an INIT wipes the state the other steps built up
        chip.lapic.post_init();
        naive.init();
        return true;
      default:
        chip.lapic.post_sipi(Vector(v));
        naive.sipi(static_cast<int>(v));
        return true;
    }
  }

  bool post() {
    const std::uint32_t v = vector();
    const bool level = chance(40);
    (void)chip.lapic.post(Vector(v), level ? TriggerMode::kLevel : TriggerMode::kEdge);
    naive.post(static_cast<int>(v), level);
    return true;
  }

  bool pin() {
    const bool second = chance(30), asserted = chance(50);
    chip.lapic.set_lint(second ? Lint::kLint1 : Lint::kLint0, asserted);
    naive.lint(second, asserted);
    return true;
  }

  bool step() {
    const std::uint32_t kind = below(1000);
    if (kind < 200) return post();
    if (kind < 450) return write();
    if (kind < 600) return raw(chip.lapic.accept()) == static_cast<unsigned>(naive.accept());
    if (kind < 700) return read(offset());
    if (kind < 850) return pass(below(700)), true;
    if (kind < 890) return write_deadline();
    if (kind < 920) return pin();
    if (kind < 940) return event();
    if (kind < 960) return local();
    if (kind < 970) return static_cast<int>(chip.lapic.take_nmis()) == naive.take_nmis();
    if (kind < 980) return take_startup();
    if (kind < 988) return set_cr8();
    if (kind < 990) return below(8) == 0 ? power_up() : tsc_jumps();
    if (kind < 995) return write_base();
    return read_all();
  }

  bool set_cr8() {
    const std::uint32_t cr8 = below(4);
    chip.lapic.set_cr8(static_cast<std::uint8_t>(cr8));
    naive.set_cr8(cr8);
    return true;
  }

  bool power_up() {
    chip.lapic.power_up_reset();
    naive.power_up();
    return true;
  }

  bool tsc_jumps() {
    (void)chip.lapic.expire_timer(chip.clock);
    const std::int64_t by = std::int64_t{below(8000)} - 4000;
    chip.clock.tsc = std::max<std::int64_t>(0, static_cast<std::int64_t>(chip.clock.tsc) + by);
    chip.lapic.tsc_changed(chip.clock);
    naive.tsc_jumps(chip.clock.tsc);
    return true;
  }

  bool read_all() {
    for (std::uint32_t at = 0; at < 0x400; at += 16) {
      if (!read(at)) return false;
    }
    return true;
  }

  bool outwardly_equal() {
    const auto pending = chip.lapic.pending();
    return (pending ? static_cast<int>(raw(*pending)) : -1) == naive.pending() &&
           chip.lapic.processor_priority() == naive.ppr() && chip.lapic.cr8() == naive.cr8() &&
           static_cast<int>(chip.lapic.mode()) == naive.mode() &&
           chip.lapic.software_enabled() == naive.software_enabled() &&
           chip.lapic.has_event() == naive.event() &&
           chip.lapic.has_deliverable() == (naive.event() || naive.pending() >= 0) &&
           chip.lapic.accepts_extint() == naive.extint();
  }

  std::mt19937_64 random;
  Chip chip;
  NaiveLapic naive;
};

TEST_CASE("a million random steps agree with the naive model") {
  const char* chosen = std::getenv("KVMUX_SEED");
  const std::uint64_t first = chosen ? std::stoull(chosen) : 20261101;
  const std::uint64_t runs = chosen ? 1 : 20;
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    Pair pair(seed);
    for (int step = 0; step < 52'000; ++step) {
      const bool same = pair.step() && pair.outwardly_equal();
      if (same) continue;
      FAIL("seed " << seed << " step " << step);
    }
    if (!pair.read_all()) FAIL("seed " << seed << " at the end");
  }
}

}  // namespace
}  // namespace apic_test
