// The host's side of the talk with a Linux guest's agent: the whole way, and everything that an agent may do
// wrong.
#include <doctest/doctest.h>

#include <string>

#include "guest/linux/protocol.h"
#include "vmm/linux/session.h"

using namespace vmm::linux_guest;
using State = SessionState;

namespace {

void guest_writes(Session& session, std::string_view text) {
  session.receive({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::string typed(Session& session) {
  const auto bytes = session.take_output();
  return {bytes.begin(), bytes.end()};
}

Session ready_session() {
  Session session("dbench:2");
  guest_writes(session, "hello 1 dbench:2\nready\n");
  REQUIRE(session.state() == State::kReady);
  return session;
}

Session running_session() {
  Session session = ready_session();
  session.go();
  REQUIRE(typed(session) == "go\n");
  return session;
}

// What the session says of an agent that writes this, having been asked twice.
std::string why_after(std::string_view text) {
  Session session = running_session();
  (void)session.ask_counters();
  (void)session.ask_counters();
  guest_writes(session, text);
  return session.why();
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("linux session: from boot to power-off, byte by byte") {
  Session session("dbench:2");
  const auto write = [&](std::string_view text) {
    for (const char& c : text) guest_writes(session, {&c, 1});
  };
  CHECK(session.state() == State::kBooting);
  CHECK_FALSE(session.has_agent());
  session.go();  // too early: nothing happens
  CHECK(session.counters(session.ask_counters()) == std::nullopt);
  CHECK(typed(session).empty());
  write("hello 1 dbench:2\r\n");
  CHECK(session.has_agent());
  CHECK(session.state() == State::kBooting);
  write("ready\n");
  CHECK(session.state() == State::kReady);
  session.go();
  CHECK(session.state() == State::kRunning);
  CHECK(typed(session) == "go\n");
  const uint64_t first = session.ask_counters();
  CHECK(typed(session) == "count 2\n");
  const uint64_t second = session.ask_counters();
  write("counters 2 ops=100 at=5000 now=6000 tick=10000000 steal=3,4 us.p50=12.5 us.max=90\n");
  CHECK_FALSE(session.counters(second));
  const auto answer = session.counters(first);
  REQUIRE(answer);
  CHECK(answer->operations == 100);
  CHECK(answer->at == Nanos{5000});
  CHECK(answer->now == Nanos{6000});
  CHECK(answer->tick == Nanos{10'000'000});
  REQUIRE(answer->steal.size() == 2);
  CHECK(answer->steal[1] == Nanos{40'000'000});
  CHECK(answer->steal_sum() == Nanos{70'000'000});
  REQUIRE(answer->latencies.size() == 2);
  CHECK(answer->latencies[0].name == "p50");
  CHECK(answer->latencies[0].us == doctest::Approx(12.5));
  write("counters 3 now=7000 later=x steal=3,5 tick=10000000 at=7000 ops=100\n");
  CHECK(session.counters(second)->latencies.empty());
  session.stop();
  session.stop();
  CHECK(typed(session) == "count 3\nstop\n");
  write("ended\n");
  CHECK(session.state() == State::kStopped);
  CHECK(session.counters(first));
  write("whatever comes while it powers off\n");
  CHECK(session.state() == State::kStopped);
  CHECK(session.why().empty());
}

TEST_CASE("linux session: a stop before the agent's hello is kept until then") {
  Session session("idle");
  session.stop();
  CHECK(typed(session).empty());
  guest_writes(session, "hello 1 idle\n");
  CHECK(typed(session) == "stop\n");
  guest_writes(session, "ready\n");  // was on its way
  session.go();
  CHECK(typed(session).empty());
  guest_writes(session, "ended\n");
  CHECK(session.state() == State::kStopped);
}

TEST_CASE("linux session: hellos of other agents say what to do") {
  const auto why = [](std::string_view text) {
    Session session("dbench:2");
    guest_writes(session, text);
    CHECK(session.state() == State::kFailed);
    CHECK(typed(session).empty());
    return session.why();
  };
  CHECK(contains(why("hello 7 dbench:2\n"),
                 "version 7 of the protocol and this kvmux 1: build the image again"));
  CHECK(contains(why("hello 1 idle\n"), "runs 'idle' where 'dbench:2' was asked for"));
  CHECK(contains(why("hello one idle\n"), "hello is none"));
  CHECK(contains(why("hello\n"), "hello is none"));
  CHECK(contains(why("ready\n"), "where the agent's hello was expected"));
  CHECK(contains(why("SeaBIOS\n"), "'SeaBIOS' where"));
  CHECK(contains(why("hello 1 dbench:2\nhello 1 dbench:2\n"), "booted again"));
  CHECK(contains(why("hello 1 dbench:2\nready\nready\n"), "ready twice"));
  CHECK(contains(why("hello 1 dbench:2\nended\n"), "nobody asked"));
  CHECK(why("error dbench: no such file\n") == "the agent reports: dbench: no such file");
  CHECK(contains(why("error a\x1b[2J\n"), "no text: error a.[2J"));
}

TEST_CASE("linux session: counters that cannot be are refused with a reason") {
  const std::string good = "counters 1 ops=5 at=10 now=10 tick=1 steal=1\n";
  CHECK(why_after(good).empty());
  CHECK(contains(why_after("counters 2 ops=5 at=10 now=10 tick=1 steal=1\n"),
                 "question 2, which was not next"));
  CHECK(contains(why_after(good + good), "was not next"));
  CHECK(contains(why_after(good + "counters 2 ops=4 at=10 now=10 tick=1 steal=1\n"), "operations fell"));
  CHECK(contains(why_after(good + "counters 2 ops=5 at=9 now=10 tick=1 steal=1\n"), "clock went back"));
  CHECK(contains(why_after(good + "counters 2 ops=5 at=10 now=10 tick=1 steal=0\n"), "steal fell"));
  CHECK(contains(why_after(good + "counters 2 ops=5 at=10 now=10 tick=1 steal=1,1\n"), "number of CPUs"));
  CHECK(contains(why_after("counters 1 ops=5 at=11 now=10 tick=1 steal=1\n"), "future"));
  CHECK(contains(why_after("counters 1 ops=5 at=10 now=10 tick=0 steal=1\n"), "tick of 0"));
  CHECK(contains(why_after("counters 1 ops=5 ops=5 at=10 now=10 tick=1 steal=1\n"), "bad or second 'ops'"));
  CHECK(contains(why_after("counters 1 ops=-5 at=10 now=10 tick=1 steal=1\n"), "bad or second 'ops'"));
  CHECK(contains(why_after("counters 1 ops=9223372036854775808 at=1 now=1 tick=1 steal=1\n"), "'ops'"));
  CHECK(
      contains(why_after("counters 1 ops=5 at=10 now=10 tick=9223372036854775807 steal=1\n"), "more steal"));
  CHECK(contains(why_after("counters 1 ops=5 at=10 now=10 tick=1 steal=\n"), "'steal'"));
  CHECK(contains(why_after("counters 1 ops=5 at=10 now=10 tick=1\n"), "without one of"));
  CHECK(contains(why_after("counters 1 ops\n"), "with 'ops'"));
  CHECK(contains(why_after("counters\n"), "without a number"));
  CHECK(contains(why_after("counters 1 ops=5 at=10 now=10 tick=1 steal=1 us.P=1\n"), "'us.P'"));
  CHECK(contains(why_after("counters 1 ops=5 at=10 now=10 tick=1 steal=1 us.p=1.2345\n"), "'us.p'"));
  CHECK(contains(why_after("counters 1 ops=5 at=10 now=10 tick=1 steal=1 us.p=1 us.p=1\n"), "'us.p'"));
  CHECK(contains(why_after("tralala\n"), "none of the protocol's: tralala"));
}

TEST_CASE("linux session: what a guest sends without end does not make it grow") {
  Session session = running_session();
  const std::string much(1 << 20, 'a');
  guest_writes(session, much);
  CHECK(session.state() == State::kFailed);
  CHECK(session.why().size() < 400);
  // A line as long as allowed is one.
  Session other = running_session();
  (void)other.ask_counters();
  std::string line = "counters 1 ops=5 at=10 now=10 tick=1 steal=1 x=";
  line.resize(KVMUX_LINUX_LINE_MAX, 'y');
  guest_writes(other, line + "\r\n");
  CHECK(other.counters(1));
  std::string cpus = "counters 1 ops=5 at=10 now=10 tick=1 steal=0";
  for (unsigned i = 0; i < KVMUX_LINUX_CPUS_MAX; ++i) cpus += ",0";
  CHECK(contains(why_after(cpus + "\n"), "'steal'"));
}

TEST_CASE("linux session: open questions and answers are bounded") {
  Session session = running_session();
  for (size_t i = 0; i < Session::kMaxAsked + 10; ++i) (void)session.ask_counters();
  for (size_t i = 1; i <= Session::kMaxAsked; ++i) {
    guest_writes(session, "counters " + std::to_string(i) + " ops=1 at=1 now=1 tick=1 steal=1\n");
  }
  CHECK(session.state() == State::kRunning);
  CHECK(session.counters(1));
  const uint64_t next = session.ask_counters();
  guest_writes(session, "counters " + std::to_string(next) + " ops=1 at=1 now=1 tick=1 steal=1\n");
  CHECK(session.counters(next));
  CHECK_FALSE(session.counters(1));
}
