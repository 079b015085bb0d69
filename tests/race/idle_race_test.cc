// A vCPU that begins to wait against a worker that goes to sleep, and two threads that count one VM's exits.
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "race_support.h"
#include "sched/learn/trial.h"
#include "sched/workers/idle_workers.h"

using namespace race;
using namespace sched;

namespace {

constexpr uint32_t kCells = 4096;
constexpr WorkerId kBusy{0};
constexpr WorkerId kSleepy{1};

// At each cell one thread makes a vCPU wait and looks for an idle worker, the other goes idle and looks for a
// vCPU. Both in vain: the vCPU waits while the worker sleeps.
class IdleRace {
 public:
  void begin(uint64_t seed) {
    meeting_.begin(seed | 1);  // two threads
    cells_.clear();
    for (uint32_t i = 0; i < kCells; ++i) cells_.emplace_back();
  }
  void walk(uint32_t me, uint64_t seed) {
    if (me >= 2) return;
    Rng rng(seed * 2 + me);
    for (uint32_t i = 0; i < kCells; ++i) {
      Cell& cell = cells_[i];
      meeting_.arrive(me, i);
      pause(rng.below(16));
      if (me == 0) {
        cell.workers.set_waiting(kBusy, 1);
        cell.kicked = cell.workers.take_idle(kBusy).has_value();
      } else {
        cell.workers.set_idle(kSleepy, true);
        cell.seen = cell.workers.is_waited_for(kSleepy);
      }
    }
  }
  std::string verdict(uint64_t) {
    for (const Cell& cell : cells_) {
      if (!cell.kicked && !cell.seen) return "a vCPU waits while a worker sleeps";
    }
    return {};
  }

 private:
  struct Cell {
    IdleWorkers workers{2};
    bool kicked = false;  // one thread's
    bool seen = false;    // the other's
  };
  Meeting meeting_;
  std::deque<Cell> cells_;
};

}  // namespace

TEST_CASE("race: no vCPU waits while a worker sleeps") {
  IdleRace race;
  MESSAGE(run_batches(race, kCells) << " races");
}

TEST_CASE("race: exits of one VM are counted by several workers at once") {
  for (int round = 0; round < 50; ++round) {
    Trial trial;
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&trial] {
        for (int64_t i = 0; i < 4'000; ++i) trial.count_exit(Nanos{i});
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}
