// When a VM counts as silent for good, by what is known of its vCPUs, and when somebody looks. The clock is ours.
#include "tests/unit/vmm/exit_rig.h"
#include "vmm/run/entry.h"
#include "vmm/run/silence_watch.h"
#include "vmm/run/sleep_state.h"

using namespace vmm;
using exit_test::Rig;
using Kind = SleepState::Kind;

namespace {

constexpr Nanos ms(int64_t n) { return Nanos{n * 1'000'000}; }

SleepState in(Kind kind) {
  SleepState state;
  state.kind = kind;
  return state;
}

bool never(std::initializer_list<SleepState> vcpus, Wake devices = Wake::kNothing) {
  return never_again(std::vector<SleepState>(vcpus), devices);
}

SleepState seen(Rig& rig) { return sleep_state(rig.vcpu, LapicPlace::kUserSpace, Nanos{2'000}); }

void halt(Rig& rig, bool interrupts) {
  rig.area.if_flag = interrupts ? 1 : 0;
  CHECK(rig.exit(KVM_EXIT_HLT) == Next::kHalt);
}

}  // namespace

TEST_CASE("silence: halted with interrupts off is for good, unless an NMI or INIT may come") {
  CHECK(never({in(Kind::kDeaf)}));
  CHECK(never({in(Kind::kDeaf), in(Kind::kWaitsForSipi), in(Kind::kStopped)}, Wake::kInterrupts));
  CHECK_FALSE(never({in(Kind::kDeaf)}, Wake::kEvents));
  CHECK_FALSE(never({in(Kind::kDeaf), in(Kind::kAwake)}));
  for (const Kind kind : {Kind::kDeaf, Kind::kWaitsForSipi, Kind::kHalted}) {
    SleepState wakes = in(kind);
    wakes.pending = true;
    CHECK_FALSE(never({in(Kind::kDeaf), wakes}));
  }
  SleepState timed = in(Kind::kDeaf);
  timed.timer = true;  // it cannot take the interrupt
  CHECK(never({timed}));
  CHECK_FALSE(never({}));
}

TEST_CASE("silence: halted with interrupts on is for good only where no timer and no device is left") {
  CHECK(never({in(Kind::kHalted), in(Kind::kDeaf)}));
  CHECK_FALSE(never({in(Kind::kHalted)}, Wake::kInterrupts));
  CHECK_FALSE(never({in(Kind::kHalted)}, Wake::kEvents));
  SleepState timed = in(Kind::kHalted);
  timed.timer = true;
  CHECK_FALSE(never({in(Kind::kHalted), timed}));
}

TEST_CASE("silence: a vCPU's state is what it halted in, and what is on its way counts") {
  Rig rig;
  CHECK(seen(rig).kind == Kind::kAwake);
  halt(rig, false);
  CHECK(seen(rig).kind == Kind::kDeaf);
  CHECK_FALSE(seen(rig).pending);
  CHECK(seen(rig).rip == 0x101234);
  REQUIRE(rig.vcpu.lapic.post(apic::Vector{0x40}, apic::TriggerMode::kEdge) == apic::Lapic::Post::kAccepted);
  CHECK_FALSE(seen(rig).pending);  // it does not listen
  rig.vcpu.lapic.post_nmi();
  CHECK(seen(rig).pending);

  Rig listening;
  halt(listening, true);
  CHECK(seen(listening).kind == Kind::kHalted);
  CHECK_FALSE(seen(listening).pending);
  REQUIRE(listening.vcpu.lapic.post(apic::Vector{0x40}, apic::TriggerMode::kEdge) ==
          apic::Lapic::Post::kAccepted);
  CHECK(seen(listening).pending);

  Rig waiting;
  waiting.vcpu.waiting_for_sipi = true;
  CHECK(seen(waiting).kind == Kind::kWaitsForSipi);
  waiting.vcpu.lapic.post_sipi(apic::Vector{8});
  CHECK(seen(waiting).pending);
}

TEST_CASE("silence: the mark of a sleep changes when the vCPU has run, and a timer of its own is no sleep") {
  Rig rig;
  CHECK_FALSE(rig.vcpu.sleep.read());
  halt(rig, true);
  const auto first = rig.vcpu.sleep.read();
  REQUIRE(first);
  CHECK(prepare_entry(rig.vcpu, Nanos{2'000}) == Entry::kAsleep);
  CHECK(rig.vcpu.sleep.read() == first);  // woken in vain
  rig.vcpu.lapic.post_nmi();
  CHECK(prepare_entry(rig.vcpu, Nanos{3'000}) == Entry::kReady);
  CHECK_FALSE(rig.vcpu.sleep.read());
  halt(rig, false);
  REQUIRE(rig.vcpu.sleep.read());
  CHECK(rig.vcpu.sleep.read() != first);

  Rig timed;
  CHECK(timed.lapic_write32(apic::Reg::kLvtTimer, 0x40) == Next::kEnter);
  CHECK(timed.lapic_write32(apic::Reg::kInitialCount, 1'000'000'000) == Next::kEnter);
  halt(timed, true);
  CHECK_FALSE(timed.vcpu.sleep.read());
  CHECK(seen(timed).timer);
  CHECK(seen(timed).timer_due > ms(100));
}

TEST_CASE("silence: judged after two equal looks, and later and later while it is cleared") {
  Suspicion suspicion;
  CHECK_FALSE(suspicion.look(ms(0), {1, 3}));
  CHECK(suspicion.look(ms(100), {1, 3}));
  CHECK(suspicion.silent_since() == ms(0));
  suspicion.cleared(ms(100));
  CHECK_FALSE(suspicion.look(ms(199), {1, 3}));
  CHECK(suspicion.look(ms(200), {1, 3}));
  suspicion.cleared(ms(200));
  CHECK_FALSE(suspicion.look(ms(399), {1, 3}));
  CHECK_FALSE(suspicion.look(ms(400), {1, 5}));  // it has run
  CHECK(suspicion.silent_since() == ms(400));
  CHECK(suspicion.look(ms(500), {1, 5}));
  for (int i = 0; i < 20; ++i) suspicion.cleared(ms(500));
  CHECK(suspicion.look(ms(500) + Suspicion::kMost, {1, 5}));  // bounded
  CHECK_FALSE(suspicion.look(ms(9'000), {1, std::nullopt}));
  CHECK_FALSE(suspicion.look(ms(9'100), {1, std::nullopt}));  // the same, but awake
  CHECK_FALSE(suspicion.silent_since());
}

TEST_CASE("silence: the text names each vCPU's state and place, and no more than sixteen") {
  SleepState halted = in(Kind::kHalted);
  halted.rip = 0x1020;
  halted.timer = true;
  halted.timer_due = ms(2'500);
  SleepState deaf = in(Kind::kDeaf);
  deaf.rip = 0x7c02;
  const std::vector<SleepState> two{deaf, halted};
  CHECK(describe(two) ==
        "vCPU 0 halted with interrupts off at RIP 0x7c02, CPL 0; "
        "vCPU 1 halted with interrupts on at RIP 0x1020, CPL 0, its timer due in 2.5 s");
  const std::string many = describe(std::vector<SleepState>(40, in(Kind::kWaitsForSipi)));
  CHECK(many.find("vCPU 15 waits for a SIPI") != std::string::npos);
  CHECK(many.find("vCPU 16") == std::string::npos);
  CHECK(many.ends_with("; and 24 other vCPUs"));
}
