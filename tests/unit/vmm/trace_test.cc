#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <thread>

#include "vmm/trace/dump.h"
#include "vmm/trace/picture.h"
#include "vmm/trace/recorder.h"
#include "vmm/trace/timeline.h"
#include "vmm/trace/trace_file.h"

namespace vmm {
namespace {

using sched::TraceEvent;
using sched::TraceKind;
using sched::TraceMark;
using sched::TraceOut;

TraceEvent numbered(int64_t at) {
  return {.at = at, .vcpu = 0, .value = static_cast<uint64_t>(at), .kind = TraceKind::kEnter};
}

template <class Why>
TraceEvent event(int64_t at, uint32_t vcpu, uint16_t worker, TraceKind kind, Why why) {
  return {.at = at, .vcpu = vcpu, .worker = worker, .kind = kind, .why = static_cast<uint8_t>(why)};
}

Trace two_vcpus() {
  Trace trace;
  trace.vms = {{"lock", "yield", 2}};
  trace.workers = 1;
  trace.backend = "sim";
  trace.command = "kvmux sim run";
  trace.window_begin = 100;
  trace.window_end = 1000;
  trace.events = {
      event(100, 0, 0, TraceKind::kIn, 0),
      event(200, 0, sched::kNoTraceWorker, TraceKind::kMark, TraceMark::kTakesLock),
      event(300, 0, 0, TraceKind::kOut, TraceOut::kPreempted),
      event(300, 1, 0, TraceKind::kIn, 0),
      event(400, 1, sched::kNoTraceWorker, TraceKind::kMark, TraceMark::kWaits),
      {.at = 500, .vcpu = 1, .other = 0, .value = 1, .worker = 0, .kind = TraceKind::kYield, .why = 5},
      event(500, 1, 0, TraceKind::kOut, TraceOut::kYielded),
      event(500, 0, 0, TraceKind::kIn, 0),
      event(700, 0, sched::kNoTraceWorker, TraceKind::kMark, TraceMark::kReleasesLock)};
  return trace;
}

std::string bytes_of(const Trace& trace) {
  const std::string path = std::tmpnam(nullptr);
  auto file = TraceFile::create(path);
  REQUIRE(file);
  REQUIRE(file->add(trace));
  std::string bytes;
  if (std::FILE* written = std::fopen(path.c_str(), "rb")) {
    char buffer[4096];
    for (size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, written)) > 0;) bytes.append(buffer, n);
    std::fclose(written);
  }
  std::remove(path.c_str());
  return bytes;
}

}  // namespace

TEST_CASE("trace ring: keeps the newest and says exactly how many are missing") {
  TraceRing ring(8);
  std::vector<TraceEvent> events;
  CHECK(ring.copy(events) == 0);
  CHECK(events.empty());
  for (int64_t i = 0; i < 20; ++i) ring.push(numbered(i));
  const uint64_t lost = ring.copy(events);
  CHECK(lost + events.size() == 20);
  // One place may be in the middle of being written: it is not trusted.
  REQUIRE(events.size() == 7);
  for (size_t i = 0; i < events.size(); ++i) CHECK(events[i].at == static_cast<int64_t>(lost + i));
}

TEST_CASE("trace ring: a copy beside a writer has whole events only, in order") {
  TraceRing ring(64);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int64_t i = 0; i < 200'000; ++i) ring.push(numbered(i));
    done = true;
  });
  size_t seen = 0;
  while (!done) {
    std::vector<TraceEvent> events;
    const uint64_t lost = ring.copy(events);
    for (size_t i = 0; i < events.size(); ++i) {
      REQUIRE(events[i].at == static_cast<int64_t>(lost + i));
      REQUIRE(events[i].value == lost + i);
    }
    seen += events.size();
  }
  writer.join();
  std::vector<TraceEvent> events;
  CHECK(ring.copy(events) + events.size() == 200'000);
}

TEST_CASE("trace recorder: each thread has its ring, and events come out in order of time") {
  TraceRecorder recorder(2, 1024);
  std::thread first([&] {
    recorder.attach(0);
    for (int64_t i = 0; i < 100; i += 2) recorder.record(numbered(i));
    TraceRecorder::detach();
  });
  std::thread second([&] {
    for (int64_t i = 1; i < 100; i += 2) recorder.record(numbered(i));  // not attached
  });
  first.join();
  second.join();
  const auto content = recorder.content();
  CHECK(content.lost == 0);
  REQUIRE(content.events.size() == 100);
  for (int64_t i = 0; i < 100; ++i) CHECK(content.events[static_cast<size_t>(i)].at == i);
}

TEST_CASE("trace file: reads what it wrote") {
  const Trace trace = two_vcpus();
  const auto all = parse_traces(bytes_of(trace), "x.trace");
  REQUIRE(all);
  REQUIRE(all->size() == 1);
  const Trace* read = &all->front();
  CHECK(read->events.size() == trace.events.size());
  CHECK(read->events[5].other == 0);
  CHECK(read->vms[0].policy == "yield");
  CHECK(read->window_end == 1000);
  CHECK(read->name_of(1) == "0.1");
  CHECK(read->name_of(2) == "-");
}

TEST_CASE("trace file: several runs, each read by itself; a part that was cut off is left out") {
  Trace first = two_vcpus();
  first.run = "lock block 1 yield";
  first.seed = 7;
  first.complete_from = 250;
  first.vms[0].running = {400, 200};
  Trace second = two_vcpus();
  second.run = "lock block 1 v2";
  second.events.resize(3);
  const std::string path = std::tmpnam(nullptr);
  {
    auto file = TraceFile::create(path);
    REQUIRE(file);
    REQUIRE(file->add(first));
    REQUIRE(file->add(second));
  }
  const auto reader = TraceReader::open(path);
  REQUIRE(reader);
  REQUIRE(reader->runs().size() == 2);
  CHECK(reader->runs()[0].run == first.run);
  CHECK(reader->runs()[0].seed == 7);
  CHECK(reader->runs()[0].complete_from == 250);
  CHECK(reader->runs()[0].vms[0].running == std::vector<int64_t>{400, 200});
  CHECK(reader->read(0)->events.size() == 9);
  CHECK(reader->read(1)->events.size() == 3);
  CHECK_FALSE(reader->cut_off());
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  const auto shorter = TraceReader::open(path);
  REQUIRE(shorter);
  CHECK(shorter->runs().size() == 1);
  CHECK(shorter->cut_off());
  std::filesystem::resize_file(path, 60);
  const auto nothing = TraceReader::open(path);
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().text().find("cut off") != std::string::npos);
  std::remove(path.c_str());
}

TEST_CASE("trace file: version 1 is read") {
  const std::string info =
      R"({"backend":"sim","command":"kvmux sim run","workers":1,"window_begin":0,"window_end":9,"lost":0,)"
      R"("vms":[{"guest":"lock","policy":"yield","vcpus":1}]})";
  std::string bytes = "KVMUXTRC";
  const auto put = [&](uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
  };
  put(1, 4);
  put(32, 4);
  put(info.size(), 8);
  put(1, 8);
  bytes += info;
  put(5, 8);  // at
  put(0, 4);  // vcpu
  put(0xffffffff, 4);
  put(0, 8);
  put(0, 2);  // worker
  put(3, 1);  // enter
  put(0, 5);
  const auto read = parse_traces(bytes, "old.trace");
  REQUIRE(read);
  CHECK(read->front().events.front().kind == TraceKind::kEnter);
  CHECK(read->front().complete_from == INT64_MIN);
}

TEST_CASE("trace file: what is damaged is refused by name") {
  const std::string good = bytes_of(two_vcpus());
  const auto refused = [](std::string_view bytes, std::string_view why) {
    const auto read = parse_traces(bytes, "x.trace");
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == ErrorKind::kUsage);
    CHECK(read.error().text().find("x.trace") != std::string::npos);
    CHECK(read.error().text().find(why) != std::string::npos);
  };
  refused("", "no trace");
  refused("#!/bin/sh\nexit 1\n                      ", "no trace");
  refused(std::string_view{good}.substr(0, good.size() - 8), "cut off");
  refused(std::string_view{good}.substr(0, 40), "cut off");
  std::string other = good;
  other[8] = 9;
  refused(other, "version 9");
  other = good;
  other[other.size() - 8] = 99;  // the last event's kind and worker
  other[other.size() - 6] = 99;
  refused(other, "damaged");
}

TEST_CASE("trace file: it brings the names of the places where vCPUs spun") {
  Trace trace = two_vcpus();
  trace.vms[0].functions = {{.name = "spin_turns", .address = 0xffffffff81000040, .bytes = 0x20}};
  for (sched::TraceEvent& event : trace.events) {
    if (event.kind == TraceKind::kSpin) event.value = 0xffffffff81000048;
  }
  trace.events.push_back({.at = 990, .vcpu = 0, .value = 0x7000, .worker = 0, .kind = TraceKind::kSpin});
  const auto read = parse_traces(bytes_of(trace), "x.trace");
  REQUIRE(read);
  const Trace& back = read->front();
  REQUIRE(back.vms[0].function_at(0xffffffff8100005f) != nullptr);
  CHECK(back.vms[0].function_at(0xffffffff8100005f)->name == "spin_turns");
  CHECK(back.vms[0].function_at(0xffffffff81000060) == nullptr);
  CHECK(code_name(back, 1, 0xffffffff81000040) == "spin_turns");
  CHECK(code_name(back, 9, 0xffffffff81000040) == "0xffffffff81000040");
  CHECK(value_of(back, {.vcpu = 0, .value = 0xffffffff81000048, .kind = TraceKind::kSpin}) == "at spin_turns+0x8");
  CHECK(value_of(back, {.vcpu = 0, .kind = TraceKind::kSpin}).empty());
  std::ostringstream out;
  dump_trace(back, {.from = 990, .kinds = {TraceKind::kSpin}}, out);
  CHECK_MESSAGE(out.str().find("spin     unknown  at 0x7000\n") != std::string::npos, out.str());
}

TEST_CASE("timeline: stays, waits, and a lock that is held by who does not run") {
  const Timeline timeline = timeline_of(two_vcpus(), 150, 800);
  REQUIRE(timeline.stays.size() == 3);
  CHECK(timeline.stays[0].vcpu == 0);
  CHECK(timeline.stays[0].from == 150);
  CHECK(timeline.stays[0].to == 300);
  CHECK(timeline.stays[1].why == TraceOut::kYielded);
  CHECK(timeline.stays[2].to == 800);
  REQUIRE(timeline.guests.size() == 2);
  CHECK(timeline.guests[0].kind == GuestStretch::Kind::kHolds);
  CHECK(timeline.guests[0].from == 200);
  CHECK(timeline.guests[0].to == 700);
  CHECK(timeline.guests[1].to == 800);
  REQUIRE(timeline.yields.size() == 1);
  CHECK(timeline.yields[0].to == 0);
}

TEST_CASE("timeline: across lost marks nobody is known to own a lock or to wait") {
  Trace trace = two_vcpus();
  trace.events.push_back({.at = 650, .vcpu = 0, .value = 3, .worker = 0, .kind = TraceKind::kLost});
  trace.events.push_back({.at = 650, .vcpu = 1, .value = 3, .worker = 0, .kind = TraceKind::kLost});
  std::stable_sort(trace.events.begin(), trace.events.end(),
                   [](const TraceEvent& a, const TraceEvent& b) { return a.at < b.at; });
  CHECK(timeline_of(trace, 150, 800).guests.empty());
}

TEST_CASE("picture: a row a vCPU, a bar a stay, and text that is escaped") {
  const Trace trace = two_vcpus();
  const std::string svg = svg_picture({{&trace, "a < b & c", 100}}, 900);
  CHECK(svg.starts_with("<svg "));
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(svg.find("a &lt; b &amp; c") != std::string::npos);
  CHECK(svg.find("vCPU 0.1") != std::string::npos);
  // vCPU 0 begins at the left edge and stays for 200 of 900 ns.
  CHECK(svg.find("<rect class=\"w0\" x=\"64.0\" y=\"34\" width=\"200.0\" height=\"12\"/>") !=
        std::string::npos);
}

TEST_CASE("trace dump: filters by kind, vCPU and time") {
  const Trace trace = two_vcpus();
  std::ostringstream out;
  dump_trace(trace, {.kinds = {TraceKind::kYield}}, out);
  CHECK(out.str() == "      0.000400 ms    w0    0.1  yield    holder → 0.0  here\n");
  out.str("");
  dump_trace(trace, {.from = 300, .to = 400, .kinds = {}, .vcpu = 1}, out);
  CHECK(out.str() == "      0.000200 ms    w0    0.1  in      \n");
  for (const std::string_view name : trace_kind_names()) {
    REQUIRE(trace_kind(name));
    CHECK(name_of(*trace_kind(name)) == name);
  }
}

}  // namespace vmm
