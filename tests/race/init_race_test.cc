// INIT against senders: whoever posts to a local APIC looks whether it takes interrupts and then posts, and
// an INIT may come between the two (apic/pending_vectors.h). One thread resets local APICs as their vCPUs'
// lease holder does and starts them anew, two others send interrupts to them, legal and illegal, by way of
// the router, all at once. What is requested after the INIT must have been sent to the APIC as it was after
// it was enabled anew: nothing of before may be left, neither a request nor an error.
#include <memory>
#include <string>

#include "apic/router.h"
#include "race_support.h"

using namespace race;

namespace {

constexpr uint32_t kCells = 1024;
constexpr uint64_t kLongestPause = 40;
constexpr uint32_t kSoftwareEnable = 0x1ff;
constexpr unsigned kOld = 0x40;    // + thread: sent before this INIT is over, perhaps too late
constexpr unsigned kAgain = 0x80;  // sent by the INITing thread itself afterwards

struct Cell {
  apic::Lapic lapic{apic::LapicConfig{}};
  // The holder's own: what it found when the APIC was still disabled after its reset, and when it was enabled
  // anew.
  bool found_request = false;
  bool lost_again = false;
};

class InitAgainstSenders {
 public:
  InitAgainstSenders() {
    for (uint32_t i = 0; i < kCells; ++i) cells_.push_back(std::make_unique<Cell>());
  }

  void begin(uint64_t seed) {
    meeting_.begin(seed);
    for (const auto& cell : cells_) {
      apic::Lapic& lapic = cell->lapic;
      lapic.power_up_reset();
      write(lapic, apic::Reg::kSvr, kSoftwareEnable);
      write(lapic, apic::Reg::kLvtError, 0x35);
      cell->found_request = cell->lost_again = false;
    }
  }

  void walk(uint32_t thread, uint64_t seed) {
    if (thread >= meeting_.threads()) return;
    Rng rng(seed * kThreads + thread);
    for (uint32_t i = 0; i < kCells; ++i) {
      const uint64_t units = rng.below(kLongestPause);
      const bool illegal = rng.below(4) == 0;
      const bool level = rng.below(2) == 0;
      meeting_.arrive(thread, i);
      pause(units);
      if (thread == 0) {
        restart(*cells_[i], seed % 3 == 0);
      } else {
        send(cells_[i]->lapic, illegal ? thread : kOld + thread, level);
      }
    }
  }

  // By now every sender is done: a request that came after the look into the disabled APIC shows here.
  std::string verdict(uint64_t) {
    for (uint32_t i = 0; i < kCells; ++i) {
      Cell& cell = *cells_[i];
      const char* wrong = nullptr;
      if (cell.found_request) wrong = "a request is there while the APIC is disabled";
      if (cell.lost_again) wrong = "what is sent to the new life is lost";
      const apic::Clock clock;
      write(cell.lapic, apic::Reg::kEsr, 0);
      for (uint32_t word = 0; word < 8; ++word) {
        const auto at = static_cast<uint32_t>(apic::Reg::kIrr0) + 16 * word;
        if (cell.lapic.read_mmio(at, clock) != 0) wrong = "a request survived the INIT";
      }
      if (cell.lapic.read_mmio(static_cast<uint32_t>(apic::Reg::kEsr), clock) != 0) {
        wrong = "an error survived the INIT";
      }
      if (wrong != nullptr) return std::string(wrong) + " at cell " + std::to_string(i);
    }
    return {};
  }

 private:
  static void write(apic::Lapic& lapic, apic::Reg reg, uint32_t value) {
    (void)lapic.write_mmio(static_cast<uint32_t>(reg), value, apic::Clock{});
  }

  static void send(apic::Lapic& lapic, unsigned vector, bool level) {
    apic::Lapic* const targets[] = {&lapic};
    const apic::InterruptMessage message{
        .trigger = level ? apic::TriggerMode::kLevel : apic::TriggerMode::kEdge,
        .vector = apic::Vector(vector)};
    (void)apic::deliver(apic::Targets(targets), message, [](apic::TargetIndex) {});
  }

  // INIT (or, in some batches, a disabling and enabling of the APIC, after which it stays software-disabled).
  // The APIC is left software-disabled: so whatever is found in it at the end was posted by a look of before.
  static void restart(Cell& cell, bool by_base) {
    apic::Lapic& lapic = cell.lapic;
    const apic::Clock clock;
    lapic.post_init();
    (void)lapic.take_startup(false);
    if (by_base) {
      const uint64_t base = *lapic.read_msr(apic::kMsrApicBase, clock);
      (void)lapic.write_msr(apic::kMsrApicBase, base & ~apic::kApicBaseEnable, clock);
      (void)lapic.write_msr(apic::kMsrApicBase, base, clock);
    }
    cell.found_request = lapic.pending().has_value();
    // A life of its own between two INITs takes what is sent to it.
    write(lapic, apic::Reg::kSvr, kSoftwareEnable);
    const auto posted = lapic.post(apic::Vector(kAgain), apic::TriggerMode::kEdge);
    cell.lost_again = posted != apic::Lapic::Post::kAccepted || lapic.accept() != apic::Vector(kAgain);
    lapic.post_init();
    (void)lapic.take_startup(false);
  }

  std::vector<std::unique_ptr<Cell>> cells_;
  Meeting meeting_;
};

}  // namespace

TEST_CASE("race: nothing that was sent before an INIT is found after it") {
  InitAgainstSenders test;
  const uint64_t done = run_batches(test, kCells, races() / 10);  // each with two resets of an APIC
  MESSAGE(done << " races");
}
