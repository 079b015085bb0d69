// The host's side of the talk with the agent in a Linux guest (guest/linux/protocol.h): bytes that the guest
// wrote on COM2 go in, bytes to be typed there come out. A state machine: no I/O, no clock, no thread.
//
//   Session session("dbench:8");
//   session.receive(bytes);            // as the guest writes; any pieces
//   … until session.state() == kReady
//   session.go();
//   const auto first = session.ask_counters();
//   type(session.take_output());       // after every call of this class there may be some
//   … until session.counters(first)
//   session.stop();                    // … until kStopped; the guest powers off by itself then
//
// What the guest writes is not believed: lines, numbers and lists are bounded, nothing grows with what it
// sends, and what is no answer to what it was asked is the end of the session (kFailed) with a sentence that
// says why. In that state all calls are allowed and do nothing. That a guest is silent is the caller's to
// notice: nothing here knows time.
//
// Not thread-safe: one caller at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sched/base/types.h"

namespace vmm::linux_guest {

using sched::Nanos;

enum class SessionState : uint8_t {
  kBooting,  // nothing or `hello` has come: the guest boots, or the agent prepares the load
  kReady,    // warmed up, waits for go()
  kRunning,  // since go()
  kStopped,  // stop() was asked for and answered
  kFailed,   // why() says why
};
// "booting", "ready", …
[[nodiscard]] std::string_view name_of(SessionState state);

struct Latency {
  std::string name;  // "p99.9", "max"
  double us = 0;
};

// One answer. Throughput between two: Δoperations / Δat. Share of time stolen from CPU i: Δsteal[i] / Δnow,
// to one `tick`.
struct Counters {
  uint64_t number = 0;
  uint64_t operations = 0;         // finished since go(), by all of the load
  Nanos at{};                      // the guest's CLOCK_MONOTONIC when `operations` was so
  Nanos now{};                     // and when it answered
  Nanos tick{};                    // the grain of `steal`
  std::vector<Nanos> steal;        // by CPU, of /proc/stat, read at `now`
  std::vector<Latency> latencies;  // of what finished since the answer before, or go(); may be empty
  [[nodiscard]] Nanos steal_sum() const;
};

class Session {
 public:
  // Questions that may be without an answer at the same time, and answers that are kept.
  static constexpr size_t kMaxAsked = 64;

  // `load`: what the kernel's command line asks the agent for ("dbench:8"). Another one in its hello is a
  // failure.
  explicit Session(std::string load) : load_(std::move(load)) {}

  void receive(std::span<const uint8_t> bytes);
  // What is to be typed into COM2 next; empty if nothing is.
  [[nodiscard]] std::vector<uint8_t> take_output();

  // In kReady only; elsewhere nothing happens.
  void go();
  // In kRunning; the number is what counters() takes. Elsewhere, or with kMaxAsked questions open, nothing is
  // asked and no answer will come.
  uint64_t ask_counters();
  // Nothing until the answer is there, or if it is older than the last kMaxAsked.
  [[nodiscard]] std::optional<Counters> counters(uint64_t number) const;
  // Any time. Before the agent's hello it is kept until then.
  void stop();

  [[nodiscard]] SessionState state() const { return state_; }
  // The agent has said hello: the kernel is up and the load is being prepared.
  [[nodiscard]] bool has_agent() const { return greeted_; }
  // One printable line; empty unless kFailed.
  [[nodiscard]] const std::string& why() const { return why_; }

 private:
  void take_line(std::string_view line);
  void take_hello(std::string_view rest);
  void take_ready();
  void take_counters(std::string_view rest);
  void take_ended();
  void say(std::string_view line);
  void fail(std::string why);

  std::string load_;
  SessionState state_ = SessionState::kBooting;
  bool greeted_ = false;
  bool stopping_ = false;
  std::string why_;
  std::string line_;  // what has come of the line that is not whole
  std::vector<uint8_t> output_;
  uint64_t last_number_ = 0;
  std::deque<uint64_t> asked_;
  std::deque<Counters> answers_;
};

}  // namespace vmm::linux_guest
