// Workers that are handed from thread to thread (vmm/run/carrier.h): tokens and threads as there, seats
// instead of vCPUs. A token that sleeps on a thread which another one wants and does not go home is a lost
// hand-over; two owners of one token at a time, or one that nobody has, is worse.
#include <algorithm>
#include <memory>
#include <optional>

#include "race_support.h"
#include "vmm/run/inbox.h"

using namespace race;

namespace {

constexpr uint32_t kTokens = 2;
constexpr uint32_t kSeats = 5;

struct Token {
  explicit Token(uint64_t seed) : rng(seed) {}
  Rng rng;
  uint64_t turns = 0;  // its owner's
  std::atomic<bool> owned{true};
  std::atomic<uint32_t> kicks{0};  // what it sleeps on
};

struct Way {
  Token* token = nullptr;
  uint32_t seat = kSeats;  // kSeats: none
};

struct Place {
  vmm::Inbox<Way> inbox;
  std::atomic<Token*> sleeps_with{nullptr};
  std::atomic<bool> chosen{false};  // by a token: at most one at a time
};

class Handovers {
 public:
  Handovers(uint64_t seed, uint64_t turns) : limit_(turns) {
    for (uint32_t t = 0; t < kTokens; ++t) tokens_[t] = std::make_unique<Token>(seed * kTokens + t);
  }

  void run() {
    std::vector<std::thread> homes;
    std::vector<std::thread> seats;
    for (uint32_t s = 0; s < kSeats; ++s) {
      seats.emplace_back([this, s] {
        while (const auto way = seats_[s].inbox.take(failed)) hold(s, *way);
      });
    }
    for (uint32_t t = 0; t < kTokens; ++t) {
      homes.emplace_back([this, t] {
        bool ended = go_on(kSeats, *tokens_[t]);
        while (!ended) ended = hold(kSeats, *homes_[t].inbox.take(failed));
      });
    }
    for (std::thread& home : homes) home.join();
    for (Place& seat : seats_) CHECK(seat.inbox.close() == 0);
    for (std::thread& seat : seats) seat.join();
  }

  std::atomic<uint64_t> went_home{0};
  std::atomic<bool> doubled{false};
  uint64_t turns() const { return tokens_[0]->turns + tokens_[1]->turns; }

 private:
  static void failed(int) {}

  bool hold(uint32_t here, const Way& way) {
    if (way.token->owned.exchange(true, std::memory_order_acquire)) doubled = true;
    if (way.seat != kSeats)
      seats_[way.seat].chosen.store(false, std::memory_order_release);  // its stay is over
    return go_on(here, *way.token);
  }
  // As Worker::loop(): true, it has ended, at home.
  bool go_on(uint32_t here, Token& token) {
    const uint32_t me = &token == tokens_[0].get() ? 0 : 1;
    for (;;) {
      if (token.turns >= limit_) {
        if (here != kSeats) return give(homes_[me], token, kSeats);
        return true;
      }
      ++token.turns;
      const auto seat = static_cast<uint32_t>(token.rng.below(kSeats + 1));
      if (seat == kSeats || seats_[seat].chosen.exchange(true, std::memory_order_acquire)) {
        if (here != kSeats && !sleep(seats_[here], token)) {
          went_home.fetch_add(1, std::memory_order_relaxed);
          return give(homes_[me], token, kSeats);
        }
        continue;
      }
      if (seat != here) return give(seats_[seat], token, seat);
      seats_[seat].chosen.store(false, std::memory_order_release);
    }
  }
  bool give(Place& there, Token& token, uint32_t seat) {
    token.owned.store(false, std::memory_order_release);
    CHECK(there.inbox.give({&token, seat}) == 0);
    if (Token* const sleeper = there.sleeps_with.load(std::memory_order_seq_cst)) {
      sleeper->kicks.store(1, std::memory_order_seq_cst);
    }
    return false;
  }
  // False: the thread is wanted. For a while only: nobody else has anything for it.
  bool sleep(Place& here, Token& token) {
    here.sleeps_with.store(&token, std::memory_order_seq_cst);
    const bool wanted = here.inbox.has_mail();
    for (int i = 0; !wanted && i < 50 && token.kicks.exchange(0, std::memory_order_seq_cst) == 0; ++i)
      pause(10);
    here.sleeps_with.store(nullptr, std::memory_order_seq_cst);
    return !wanted;
  }

  const uint64_t limit_;
  std::array<std::unique_ptr<Token>, kTokens> tokens_;
  std::array<Place, kSeats> seats_;
  std::array<Place, kTokens> homes_;
};

// Two threads alone: one sleeps with a token unless it sees mail, the other brings mail and kicks if it sees
// a sleeper.
class GiverAndSleeper {
 public:
  void begin(uint64_t seed) {
    meeting_.begin(seed);
    places_ = std::vector<Place>(kCells);
    seen_.assign(kCells, false);
    kicked_.assign(kCells, false);
  }
  void walk(uint32_t thread, uint64_t seed) {
    if (thread > 1) {
      for (uint32_t i = 0; i < kCells; ++i) meeting_.arrive(thread, i);
      return;
    }
    Rng rng(seed * kThreads + thread);
    for (uint32_t i = 0; i < kCells; ++i) {
      const uint64_t units = rng.below(16);
      meeting_.arrive(thread, i);
      pause(units);
      if (thread == 0) {
        places_[i].sleeps_with.store(&sleeper_, std::memory_order_seq_cst);
        seen_[i] = places_[i].inbox.has_mail() ? 1 : 0;
      } else {
        failed_ = failed_ || places_[i].inbox.give({}) != 0;
        kicked_[i] = places_[i].sleeps_with.load(std::memory_order_seq_cst) != nullptr ? 1 : 0;
      }
    }
  }
  std::string verdict(uint64_t) {
    if (failed_) return "no futex";
    for (uint32_t i = 0; i < kCells; ++i) {
      if (seen_[i] == 0 && kicked_[i] == 0) return "lost hand-over at cell " + std::to_string(i);
      both_ += seen_[i] != 0 && kicked_[i] != 0 ? 1 : 0;
    }
    return {};
  }
  uint64_t both() const { return both_; }
  static constexpr uint32_t kCells = 4096;

 private:
  Token sleeper_{1};
  std::vector<Place> places_;
  std::vector<char> seen_;    // the sleeper's
  std::vector<char> kicked_;  // the giver's
  Meeting meeting_;
  bool failed_ = false;
  uint64_t both_ = 0;
};

}  // namespace

TEST_CASE("race: workers go from thread to thread, and each has one owner") {
  const uint64_t turns = std::max<uint64_t>(races() / 100, 1000);
  Handovers test(batch_seed(0), turns);
  test.run();
  CHECK_FALSE(test.doubled.load());
  CHECK(test.turns() == kTokens * turns);
  MESSAGE(test.turns() << " turns; " << test.went_home.load() << " times a thread was wanted elsewhere");
}

TEST_CASE("race: whoever brings mail to a sleeper's thread is seen, or sees the sleeper") {
  GiverAndSleeper test;
  const uint64_t done = run_batches(test, GiverAndSleeper::kCells);
  MESSAGE(done << " races; in " << test.both() << " of them both saw the other");
}
