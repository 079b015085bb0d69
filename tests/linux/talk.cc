#include "tests/linux/talk.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>

namespace linux_test {
namespace {

using vmm::linux_guest::Session;
using vmm::linux_guest::SessionState;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

class Line {
 public:
  Line(int fd, Session& session) : fd_(fd), session_(session) {}

  // Moves bytes until it holds, the session has failed, or the time is over.
  bool until(const std::function<bool()>& holds, Clock::duration limit) {
    const auto end = Clock::now() + limit;
    while (!holds()) {
      if (session_.state() == SessionState::kFailed || Clock::now() >= end) return false;
      type();
      pollfd readable{fd_, POLLIN, 0};
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
      if (::poll(&readable, 1, static_cast<int>(std::min<int64_t>(std::max<int64_t>(left.count(), 0), 20))) <=
          0)
        continue;
      std::array<uint8_t, 4096> bytes;
      const ssize_t got = ::read(fd_, bytes.data(), bytes.size());
      if (got > 0) session_.receive({bytes.data(), static_cast<size_t>(got)});
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EIO)) return holds();
    }
    type();
    return true;
  }

 private:
  void type() {
    const auto bytes = session_.take_output();
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t written = ::write(fd_, bytes.data() + done, bytes.size() - done);
      if (written > 0) done += static_cast<size_t>(written);
    }
  }

  int fd_;
  Session& session_;
};

}  // namespace

Talk talk(int fd, const std::string& load, std::chrono::milliseconds warmup, std::chrono::milliseconds window,
          std::chrono::seconds limit) {
  Talk result;
  Session session(load);
  Line line(fd, session);
  const auto begin = Clock::now();
  const auto failed = [&](const char* where) {
    result.failure =
        std::string{where} + (session.why().empty() ? ": nothing came in time" : ": " + session.why());
    return result;
  };
  const auto never = [] { return false; };
  const auto count = [&](vmm::linux_guest::Counters& into) {
    const uint64_t number = session.ask_counters();
    if (!line.until([&] { return session.counters(number).has_value(); }, limit)) return false;
    into = *session.counters(number);
    return true;
  };
  if (!line.until([&] { return session.has_agent(); }, limit)) return failed("hello");
  result.to_hello = Clock::now() - begin;
  if (!line.until([&] { return session.state() == SessionState::kReady; }, limit)) return failed("ready");
  result.to_ready = Clock::now() - begin;
  session.go();
  const auto warm = Clock::now() + warmup;
  do {
    if (!count(result.first)) return failed("first count");
    if (result.first.operations == 0) (void)line.until(never, 200ms);
  } while (result.first.operations == 0 && Clock::now() < warm);
  (void)line.until(never, window);
  if (!count(result.second)) return failed("second count");
  session.stop();
  if (!line.until([&] { return session.state() == SessionState::kStopped; }, limit)) return failed("stop");
  return result;
}

}  // namespace linux_test
