// The halt/wake protocol (sched/base/status.h, apic/pending_vectors.h): one thread halts vCPUs as their
// worker does, two others post interrupts to them as Scheduler::interrupt_posted() does, all at once. Each
// vCPU must end up woken by exactly one of the three, with every interrupt and the hint still there.
#include <bit>
#include <string>

#include "apic/pending_vectors.h"
#include "race_support.h"
#include "sched/base/status.h"

using namespace race;
using sched::RunState;
using sched::Status;
using sched::WorkerId;

namespace {

constexpr uint32_t kCells = 4096;
constexpr uint64_t kLongestPause = 48;

struct alignas(64) Cell {
  Status status;
  apic::PendingVectors irr;
  uint64_t owned = 0;     // no atomic: only who holds or claims the vCPU may touch it, which TSan checks
  uint32_t woken_by = 0;  // the same; a bit for each thread
  std::array<std::atomic<bool>, kThreads> saw{};  // the other side's write
};

class HaltWake {
 public:
  void begin(uint64_t seed) {
    meeting_.begin(seed);
    for (Cell& cell : cells_) {
      cell.irr.clear();
      cell.owned = 0;
      cell.woken_by = 0;
      for (auto& saw : cell.saw) saw.store(false, std::memory_order_relaxed);
      cell.status.clear_irq_pending();
      cell.status.set_running(WorkerId{7});
    }
  }

  void walk(uint32_t thread, uint64_t seed) {
    if (thread >= meeting_.threads()) return;
    Rng rng(seed * kThreads + thread);
    for (uint32_t i = 0; i < kCells; ++i) {
      const uint64_t units = rng.below(kLongestPause);
      const bool hint = rng.below(8) == 0;
      meeting_.arrive(thread, i);
      pause(units);
      if (thread == 0) {
        halt(cells_[i]);
      } else {
        post(cells_[i], thread, hint, seed);
      }
    }
  }

  std::string verdict(uint64_t seed) {
    for (uint32_t i = 0; i < kCells; ++i) {
      Cell& cell = cells_[i];
      const Status::View view = cell.status.view();
      both_saw_ += cell.saw[0] && (cell.saw[1] || cell.saw[2]) ? 1 : 0;
      const char* wrong = nullptr;
      if (view.state() == RunState::kHalted) wrong = "lost wake-up: halted with an interrupt to take";
      if (std::popcount(cell.woken_by) > 1) wrong = "woken more than once";
      if (view.state() != RunState::kHalted && (view.state() != RunState::kMoving || cell.woken_by == 0)) {
        wrong = "its state was overwritten";
      }
      if (view.worker() != WorkerId{7} || !view.irq_pending()) wrong = "a part of its word was lost";
      for (uint32_t t = 1; t < meeting_.threads(); ++t) {
        const unsigned v = apic::raw(vector(t, seed));
        const uint32_t word = cell.irr.edge_word32(v / 32) | cell.irr.level_word32(v / 32);
        if ((word >> v % 32 & 1) == 0) wrong = "an interrupt was lost";
      }
      if (wrong != nullptr) {
        return std::string(wrong) + " at cell " + std::to_string(i);
      }
    }
    return {};
  }

  uint64_t both_saw() const { return both_saw_; }

 private:
  // Of both posters in the same word of the IRR, now and then the same bit of its two sets.
  static apic::TriggerMode trigger(uint32_t thread, uint64_t seed) {
    return thread == 2 && seed % 4 == 0 ? apic::TriggerMode::kLevel : apic::TriggerMode::kEdge;
  }
  static apic::Vector vector(uint32_t thread, uint64_t seed) {
    return apic::Vector(static_cast<uint8_t>(64 + (seed % 8 == 0 ? 0 : thread)));
  }

  void claim(Cell& cell, uint32_t thread) {
    if (!cell.status.claim(RunState::kHalted)) return;
    ++cell.owned;  // as interrupt_posted() counts the wake-up
    cell.woken_by |= 1u << thread;
  }

  void halt(Cell& cell) {
    ++cell.owned;  // as halt() accounts the vCPU's time
    cell.status.set_halted();
    if (!cell.irr.highest()) return;
    cell.saw[0].store(true, std::memory_order_relaxed);
    cell.status.set_irq_pending();
    claim(cell, 0);
  }

  void post(Cell& cell, uint32_t thread, bool hint, uint64_t seed) {
    if (hint) cell.status.set_spinning();  // any thread may set a flag of the word at any time
    cell.irr.post(vector(thread, seed), trigger(thread, seed));
    cell.status.set_irq_pending();
    if (cell.status.view().state() != RunState::kRunning) {
      cell.saw[thread].store(true, std::memory_order_relaxed);
    }
    claim(cell, thread);
  }

  std::vector<Cell> cells_ = std::vector<Cell>(kCells);
  Meeting meeting_;
  uint64_t both_saw_ = 0;
};

}  // namespace

TEST_CASE("race: a vCPU that halts while interrupts are posted is woken exactly once") {
  HaltWake test;
  const uint64_t done = run_batches(test, kCells);
  MESSAGE(done << " races; in " << test.both_saw() << " of them both sides saw each other");
}
