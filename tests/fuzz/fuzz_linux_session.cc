// The host's side of a Linux guest's agent on arbitrary bytes: no crash, nothing that grows, and every state
// is one that the calls before it explain.
//
// An input is what the guest writes; bytes 0x80 … 0xff are the host's calls in between, so that whole
// dialogues can be found.
#include <cstdint>
#include <span>
#include <string>

#include "guest/linux/protocol.h"
#include "tests/fuzz/input.h"
#include "vmm/linux/session.h"

namespace {

using vmm::linux_guest::Session;
using vmm::linux_guest::SessionState;

void call(Session& session, uint8_t which) {
  const SessionState before = session.state();
  switch (which & 3) {
    case 0:
      session.go();
      fuzz::expect(session.state() == before || before == SessionState::kReady);
      break;
    case 1: {
      const uint64_t number = session.ask_counters();
      fuzz::expect(!session.counters(number));
      break;
    }
    case 2:
      if ((which & 0x7c) == 0) session.stop();
      break;
    default:
      for (const uint8_t byte : session.take_output())
        fuzz::expect(byte == '\n' || (byte >= 0x20 && byte < 0x7f));
      fuzz::expect(session.take_output().empty());
  }
}

void check(const Session& session, uint64_t asked) {
  const bool failed = session.state() == SessionState::kFailed;
  fuzz::expect(failed != session.why().empty());
  fuzz::expect(session.why().size() < 3 * KVMUX_LINUX_TEXT_MAX);
  fuzz::expect(session.state() == SessionState::kBooting || failed || session.has_agent());
  uint64_t kept = 0;
  const vmm::linux_guest::Counters* last = nullptr;
  vmm::linux_guest::Counters previous;
  for (uint64_t i = 1; i <= asked; ++i) {
    const auto counters = session.counters(i);
    if (!counters) continue;
    ++kept;
    fuzz::expect(counters->number == i && counters->tick.count() > 0 && counters->at <= counters->now);
    fuzz::expect(counters->steal_sum().count() >= 0);
    fuzz::expect(counters->latencies.size() <= KVMUX_LINUX_LATENCIES_MAX);
    if (last != nullptr)
      fuzz::expect(counters->operations >= previous.operations && counters->at >= previous.at);
    previous = *counters;
    last = &previous;
  }
  fuzz::expect(kept <= Session::kMaxAsked);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Session session("dbench:8");
  uint64_t asked = 0;
  for (size_t i = 0; i < size; ++i) {
    if (data[i] >= 0x80) {
      if ((data[i] & 3) == 1) ++asked;
      call(session, data[i]);
    } else {
      session.receive({data + i, 1});
    }
  }
  check(session, asked);
  // All at once, bytes above 0x7f among what the guest writes.
  Session other("dbench:8");
  other.receive({data, size});
  check(other, 0);
  return 0;
}
