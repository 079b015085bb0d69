// How a worker is made to look up (vmm/run/kick.h): one thread owns many of these and enters the guest
// or falls asleep on each, two others kick it at that very moment. A guest that goes on, or a
// sleep that goes on, after somebody has asked is a lost kick; a reason that is nowhere to be seen is lost
// too.
#include <string>

#include "manual_timer.h"
#include "race_support.h"

using namespace race;

namespace {

constexpr uint32_t kCells = 4096;
constexpr uint64_t kLongestPause = 16;        // the owner's
constexpr uint64_t kLongestAskerPause = 160;  // it has further to go

using Kicks = vmm::BasicKicks<ManualTimer>;

struct alignas(64) Cell {
  std::unique_ptr<Kicks> kicks;
  ManualTimer* timer = nullptr;
  std::atomic<uint32_t> to_ask{0};  // askers that are not through
  std::atomic<uint32_t> reasons{0};
  std::atomic<bool> woken{false};
  uint32_t taken = 0;
  bool stayed = false;  // entered, or fell asleep
  bool lost = false;

  void await_askers() {
    wait_until([this] { return to_ask.load(std::memory_order_acquire) == 0; });
  }
};

// Its guest goes on until the askers are through; then a signal must have been there to end it.
class LongGuest final : public Guest {
 public:
  explicit LongGuest(Cell& cell) : Guest(*cell.timer), cell_(cell) {}

 private:
  void inside() override {
    cell_.stayed = true;
    cell_.await_askers();
    cell_.lost = !exit_requested();
  }
  Cell& cell_;
};

class KickRace {
 public:
  void begin(uint64_t seed) {
    meeting_.begin(seed);
    for (Cell& cell : cells_) {
      cell.kicks = std::make_unique<Kicks>(0);
      set_up_ = set_up_ && cell.kicks->set_up(trouble_).has_value();
      cell.timer = ManualTimer::created;
      cell.to_ask.store(meeting_.threads() - 1, std::memory_order_relaxed);
      cell.reasons.store(0, std::memory_order_relaxed);
      cell.woken.store(false, std::memory_order_relaxed);
      cell.taken = 0;
      cell.stayed = cell.lost = false;
    }
  }

  void walk(uint32_t thread, uint64_t seed) {
    if (thread >= meeting_.threads()) return;
    Rng rng(seed * kThreads + thread);
    for (uint32_t i = 0; i < kCells; ++i) {
      Cell& cell = cells_[i];
      const uint64_t units = rng.below(thread == 0 ? kLongestPause : kLongestAskerPause);
      const uint64_t choice = rng.below(2);
      meeting_.arrive(thread, i);
      pause(units);
      if (thread != 0) {
        // Half the time a reason that the other asker may have as well: then only the first has to kick.
        ask(cell, 1u << (choice * thread));
      } else if ((cell.taken = cell.kicks->take()) == 0) {
        choice == 0 ? enter(cell) : sleep(cell);
      }
    }
  }

  std::string verdict(uint64_t) {
    if (!set_up_) return "no timer";
    for (uint32_t i = 0; i < kCells; ++i) {
      Cell& cell = cells_[i];
      stayed_ += cell.stayed ? 1 : 0;
      const char* wrong = nullptr;
      if (cell.lost) wrong = "lost kick";
      if ((cell.taken | cell.kicks->take()) != cell.reasons.load()) wrong = "lost reason";
      if (wrong != nullptr) {
        return std::string(wrong) + " at cell " + std::to_string(i);
      }
    }
    return {};
  }

  uint64_t stayed() const { return stayed_; }

 private:
  static void enter(Cell& cell) {
    LongGuest guest(cell);
    static_cast<void>(cell.kicks->run(guest));
  }

  static void sleep(Cell& cell) {
    cell.kicks->sleep([&] {
      cell.stayed = true;
      cell.await_askers();
      cell.lost = !cell.woken.load(std::memory_order_relaxed);
    });
  }

  static void ask(Cell& cell, uint32_t why) {
    cell.reasons.fetch_or(why, std::memory_order_relaxed);
    cell.kicks->ask(why, false, [&] { cell.woken.store(true, std::memory_order_relaxed); });
    cell.to_ask.fetch_sub(1, std::memory_order_release);
  }

  std::vector<Cell> cells_ = std::vector<Cell>(kCells);
  Meeting meeting_;
  vmm::Trouble trouble_;
  uint64_t stayed_ = 0;
  bool set_up_ = true;
};

}  // namespace

TEST_CASE("race: nobody stays in the guest or asleep after being asked to look up") {
  KickRace test;
  const uint64_t done = run_batches(test, kCells);
  MESSAGE(done << " races; in " << test.stayed() << " of them the owner was in before it was asked");
}
