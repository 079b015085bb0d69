#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "cli_fake.h"
#include "vmm/trace/stream.h"

using namespace vmm;

namespace {

using sched::TraceEvent;
using sched::TraceKind;

TraceEvent numbered(int64_t at) {
  return {.at = at, .vcpu = 0, .value = static_cast<uint64_t>(at), .worker = 0, .kind = TraceKind::kEnter};
}

Trace description() {
  Trace trace;
  trace.vms = {{"lock", "yield", 2}};
  trace.workers = 1;
  trace.backend = "kvm";
  trace.command = "kvmux run";
  return trace;
}

Trace finished(int64_t end) {
  Trace trace = description();
  trace.window_end = end;
  trace.vms[0].running = {3, 4};
  return trace;
}

// A file of the given pieces; with an end.
std::string file_of(const std::vector<std::vector<TraceEvent>>& pieces, uint64_t lost_before_second = 0) {
  const TemporaryFile path("pieces.trace");
  auto file = TraceFile::create(path.path());
  REQUIRE(file);
  REQUIRE(file->begin(description()));
  for (size_t i = 0; i < pieces.size(); ++i) {
    REQUIRE(file->add_piece(static_cast<uint32_t>(i % 2), i == 1 ? lost_before_second : 0, pieces[i]));
  }
  REQUIRE(file->end(finished(100)));
  return path.read();
}

}  // namespace

TEST_CASE("trace stream: pieces of several threads come out in order of time, with the last description") {
  const std::string bytes =
      file_of({{numbered(1), numbered(5)}, {numbered(2)}, {numbered(7)}, {numbered(6)}});
  const auto all = parse_traces(bytes, "x.trace");
  REQUIRE(all);
  REQUIRE(all->size() == 1);
  const Trace& trace = all->front();
  CHECK_FALSE(trace.unfinished);
  CHECK(trace.window_end == 100);
  CHECK(trace.vms[0].running == std::vector<int64_t>{3, 4});
  CHECK(trace.lost == 0);
  CHECK(trace.complete_from == INT64_MIN);
  std::vector<int64_t> times;
  for (const TraceEvent& event : trace.events) times.push_back(event.at);
  CHECK(times == std::vector<int64_t>{1, 2, 5, 6, 7});
}

TEST_CASE("trace stream: what is missing stands in its place, and is counted") {
  const auto all = parse_traces(file_of({{numbered(1)}, {numbered(4)}}, 17), "x.trace");
  REQUIRE(all);
  const Trace& trace = all->front();
  CHECK(trace.lost == 17);
  CHECK(trace.complete_from == 4);
  REQUIRE(trace.events.size() == 3);
  CHECK(trace.events[1].kind == TraceKind::kLost);
  CHECK(trace.events[1].value == 17);
  CHECK(trace.events[1].at == 4);
}

// Wherever the writer was stopped, what is there is read, and said to be a part.
TEST_CASE("trace stream: a file that ends anywhere gives what is complete") {
  const std::string bytes = file_of({{numbered(1), numbered(5)}, {numbered(2)}, {numbered(7)}});
  const TemporaryFile path("cut.trace");
  size_t most = 0;
  size_t readable = 0;
  for (size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    const auto all = parse_traces(std::string_view{bytes}.substr(0, size), "x.trace");
    path.write(bytes.substr(0, size));
    const auto reader = TraceReader::open(path.path());
    REQUIRE(reader.has_value() == all.has_value());
    if (!all) continue;
    ++readable;
    REQUIRE(all->size() == 1);
    const Trace& trace = all->front();
    CHECK(trace.unfinished);
    CHECK(trace.events.size() >= most);
    most = std::max(most, trace.events.size());
    CHECK(reader->cut_off());
    CHECK(reader->runs().front().unfinished);
    CHECK(reader->read(0)->events.size() == trace.events.size());
  }
  CHECK(most == 4);
  CHECK(readable > 100);
  CHECK_FALSE(parse_traces(bytes, "x.trace")->front().unfinished);
}

TEST_CASE("trace stream: pieces that are none are refused") {
  std::string bytes = file_of({{numbered(1)}});
  const std::string piece{"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0", 16};
  const size_t at = bytes.find(piece);
  REQUIRE(at != std::string::npos);
  bytes[at] = 9;
  CHECK_FALSE(parse_traces(bytes, "x.trace"));
  bytes[at] = 1;
  bytes[at + 15] = '\xff';  // more events than there are bytes in the world
  CHECK_FALSE(parse_traces(bytes, "x.trace"));
}

TEST_CASE("trace stream: several runs in one file") {
  const std::string bytes = file_of({{numbered(1)}}) + file_of({{numbered(2), numbered(3)}});
  const TemporaryFile path("runs.trace");
  path.write(bytes);
  const auto reader = TraceReader::open(path.path());
  REQUIRE(reader);
  REQUIRE(reader->runs().size() == 2);
  CHECK_FALSE(reader->cut_off());
  CHECK(reader->read(0)->events.size() == 1);
  CHECK(reader->read(1)->events.size() == 2);
}

// More events than a thousand rings hold, by a thread that goes on while they are written.
TEST_CASE(
    "trace stream: a small ring and a long run: what is in the file and what is lost are all there was") {
  const TemporaryFile path("long.trace");
  auto file = TraceFile::create(path.path());
  REQUIRE(file);
  TraceRecorder recorder(1, 1024);
  auto stream = TraceStream::start(recorder, *file, description(), TraceStream::By::kThread);
  REQUIRE(stream);
  constexpr int64_t kEvents = 300'000;
  std::thread writer([&] {
    recorder.attach(0);
    for (int64_t i = 0; i < kEvents; ++i) {
      recorder.record(numbered(i));
      if (i % 256 == 0) std::this_thread::sleep_for(std::chrono::microseconds{100});
    }
    TraceRecorder::detach();
  });
  writer.join();
  REQUIRE((*stream)->finish(finished(kEvents)));
  const auto all = parse_traces(path.read(), "x.trace");
  REQUIRE(all);
  const Trace& trace = all->front();
  uint64_t kept = 0;
  uint64_t gaps = 0;
  int64_t next = 0;
  bool consecutive = true;
  for (const TraceEvent& event : trace.events) {
    if (event.kind == TraceKind::kLost) {
      gaps += event.value;
      next += static_cast<int64_t>(event.value);
      continue;
    }
    ++kept;
    consecutive = consecutive && event.at == next++;
  }
  CHECK(consecutive);  // each event is there or counted in its place
  CHECK(kept + trace.lost == kEvents);
  CHECK(gaps == trace.lost);
  CHECK(kept > kEvents / 2);
}

TEST_CASE("trace stream: a disk that is full ends it with its reason") {
  auto file = TraceFile::create("/dev/full");
  REQUIRE(file);
  TraceRecorder recorder(0, 1024);
  auto stream = TraceStream::start(recorder, *file, description(), TraceStream::By::kThread);
  REQUIRE_FALSE(stream);
  CHECK(stream.error().text().find("/dev/full") != std::string::npos);
}
