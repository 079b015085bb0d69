#include "vmm/output/outlet.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <string>
#include <thread>

#include "vmm/output/stream.h"

using vmm::Outlet;
using namespace std::chrono_literals;

namespace {

constexpr size_t kPipeHolds = 64 * 1024;

struct Pipe {
  int reader = -1;
  int writer = -1;

  Pipe() {
    std::signal(SIGPIPE, SIG_IGN);  // as main() does
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    reader = ends[0];
    writer = ends[1];
  }
  ~Pipe() {
    close_reader();
    ::close(writer);
  }
  void close_reader() {
    if (reader >= 0) ::close(reader);
    reader = -1;
  }
  std::string read(size_t bytes) const {
    std::string text(bytes, '\0');
    for (size_t got = 0; got < bytes;) {
      const ssize_t more = ::read(reader, text.data() + got, bytes - got);
      REQUIRE(more > 0);
      got += static_cast<size_t>(more);
    }
    return text;
  }
};

bool never() { return false; }
bool at_once() { return true; }

// Bytes that tell their place.
std::string pattern(size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

}  // namespace

TEST_CASE("what goes into an outlet comes out, all of it and in order") {
  Pipe pipe;
  Outlet outlet(pipe.writer);
  const std::string text = pattern(kPipeHolds / 2);
  for (size_t at = 0; at < text.size(); at += 7) outlet.put(std::string_view(text).substr(at, 7));
  CHECK(outlet.drain(never));
  CHECK(pipe.read(text.size()) == text);
  CHECK(outlet.waiting() == 0);
  CHECK(outlet.error() == 0);
}

TEST_CASE("a reader that does not read holds up nobody, and gets everything once it reads") {
  Pipe pipe;
  Outlet outlet(pipe.writer);
  const std::string text = pattern(4 * kPipeHolds);
  const auto before = std::chrono::steady_clock::now();
  outlet.put(text);
  CHECK_FALSE(outlet.drain(at_once));
  outlet.flush();                                // in vain, for a moment
  for (int i = 0; i < 100; ++i) outlet.flush();  // and no more
  CHECK(std::chrono::steady_clock::now() - before < 2s);
  CHECK(outlet.waiting() >= text.size() - kPipeHolds);
  CHECK_FALSE(outlet.finish("it"));
  CHECK(pipe.read(text.size()) == text);
  CHECK(outlet.drain(never));
  CHECK(outlet.finish("it"));
}

TEST_CASE("an outlet tells when there is room again") {
  Pipe pipe;
  Outlet outlet(pipe.writer);
  std::atomic<int> told{0};
  outlet.when_ready([&told] { ++told; });
  CHECK(outlet.ready(1000));
  const std::string text = pattern(2 * kPipeHolds);
  outlet.put(text);
  CHECK_FALSE(outlet.ready(1000));
  CHECK(told == 0);
  CHECK(pipe.read(text.size()) == text);
  CHECK(outlet.drain(never));
  CHECK(told == 1);
  CHECK(outlet.ready(1000));
  outlet.when_ready(nullptr);
}

TEST_CASE("a reader that has gone and a disk that is full end an outlet and are counted") {
  Pipe pipe;
  pipe.close_reader();
  Outlet closed(pipe.writer);
  closed.put("hello\n");
  CHECK(closed.drain(never));
  closed.put("again\n");
  CHECK(closed.error() == EPIPE);
  CHECK(closed.lost() == 12);
  CHECK(closed.ready(1));  // who writes there waits for nobody

  Outlet full(::open("/dev/full", O_WRONLY | O_CLOEXEC), Outlet::Owns::kYes);
  full.put("hello\n");
  CHECK(full.drain(never));
  CHECK(full.error() == ENOSPC);
  const auto finished = full.finish("--json x");
  REQUIRE_FALSE(finished);
  CHECK(finished.error().text().find("--json x: No space left on device (ENOSPC)") != std::string::npos);
}

TEST_CASE("a reader that has gone meanwhile frees who waits") {
  Pipe pipe;
  Outlet outlet(pipe.writer);
  outlet.put(pattern(4 * kPipeHolds));
  CHECK_FALSE(outlet.drain(at_once));
  pipe.close_reader();
  CHECK(outlet.drain(never));
  CHECK(outlet.error() == EPIPE);
  CHECK(outlet.lost() >= 3 * kPipeHolds);
}

TEST_CASE("a descriptor that somebody made non-blocking loses nothing") {
  Pipe pipe;
  REQUIRE(::fcntl(pipe.writer, F_SETFL, O_NONBLOCK) == 0);
  Outlet outlet(pipe.writer);
  const std::string text = pattern(4 * kPipeHolds);
  outlet.put(text);
  CHECK(pipe.read(text.size()) == text);
  CHECK(outlet.drain(never));
  CHECK(outlet.error() == 0);
}

TEST_CASE("an outlet may go while its writer hangs") {
  Pipe pipe;
  {
    Outlet outlet(pipe.writer);
    outlet.put(pattern(2 * kPipeHolds));
    CHECK_FALSE(outlet.drain(at_once));
  }
  CHECK(pipe.read(2 * kPipeHolds) == pattern(2 * kPipeHolds));  // the writer goes on alone
}

TEST_CASE("a stream on an outlet writes what is printed") {
  Pipe pipe;
  Outlet outlet(pipe.writer);
  vmm::OutletStream stream(outlet);
  stream << "one " << 2 << '\n' << std::flush;
  CHECK(outlet.waiting() == 0);
  CHECK(pipe.read(6) == "one 2\n");
}

TEST_CASE(
    "an outlet with a cap drops what nobody reads, counts it in its place, and goes on when there is room") {
  Pipe pipe;
  Outlet outlet(pipe.writer);
  constexpr size_t kCap = 100'000;
  outlet.cap(kCap);
  outlet.put(pattern(kPipeHolds));
  while (outlet.waiting() > 0) std::this_thread::sleep_for(1ms);
  outlet.put(pattern(kCap / 2));  // the pipe is full
  const std::string line(1000, 'x');
  constexpr uint64_t kLines = 1000;
  for (uint64_t i = 0; i < kLines; ++i) outlet.put(line);
  CHECK(outlet.waiting() <= kCap);
  const uint64_t dropped = outlet.dropped();
  CHECK(dropped >= kLines * line.size() - kCap);
  CHECK(dropped % line.size() == 0);  // whole lines
  const size_t kept = kPipeHolds + kCap / 2 + kLines * line.size() - dropped;
  CHECK(pipe.read(kept).size() == kept);
  CHECK(outlet.drain(never));
  outlet.put("after\n");
  const std::string says =
      "\nkvmux: " + std::to_string(dropped) + " bytes are missing here: nobody read them in time\nafter\n";
  CHECK(pipe.read(says.size()) == says);
  CHECK(outlet.dropped() == dropped);
}

TEST_CASE("an outlet that is held takes all and writes nothing until it is let go") {
  const Pipe pipe;
  Outlet outlet(pipe.writer);
  outlet.put("before ");
  CHECK(outlet.drain(never));
  outlet.hold();
  outlet.put("meanwhile ");
  CHECK_FALSE(outlet.drain(never));  // nobody waits for it
  outlet.flush();
  std::this_thread::sleep_for(20ms);
  CHECK(pipe.read(7) == "before ");
  CHECK(outlet.waiting() == 10);
  outlet.release();
  outlet.put("after");
  CHECK(outlet.drain(never));
  CHECK(pipe.read(15) == "meanwhile after");
}

TEST_CASE("an outlet that is held when it goes writes what it has") {
  const Pipe pipe;
  {
    Outlet outlet(pipe.writer);
    outlet.hold();
    outlet.put("kept");
  }
  CHECK(pipe.read(4) == "kept");
}
