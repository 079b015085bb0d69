// Spans, IPI ways, statistics and Perfetto's bytes, from events that no run made.
#include <doctest/doctest.h>

#include <thread>

#include "tests/unit/vmm/exit_rig.h"
#include "vmm/run/worker_trace.h"
#include "vmm/trace/ipis.h"
#include "vmm/trace/perfetto.h"
#include "vmm/trace/perfetto_writer.h"
#include "vmm/trace/recorder.h"
#include "vmm/trace/spans.h"
#include "vmm/trace/stats.h"

namespace vmm {
namespace {

using sched::TraceEvent;
using sched::TraceExit;
using sched::TraceKind;
using sched::TraceOut;
using State = VcpuSpan::State;

template <class Why = int>
TraceEvent event(int64_t at, uint32_t vcpu, uint16_t worker, TraceKind kind, Why why = {}) {
  return {.at = at, .vcpu = vcpu, .worker = worker, .kind = kind, .why = static_cast<uint8_t>(why)};
}

TraceEvent ipi(int64_t at, uint32_t from, uint32_t to, uint64_t vector) {
  return {.at = at, .vcpu = from, .other = to, .value = vector, .worker = 0, .kind = TraceKind::kIpiSend};
}
TraceEvent of_vector(int64_t at, uint32_t vcpu, TraceKind kind, uint64_t vector) {
  return {.at = at, .vcpu = vcpu, .value = vector, .worker = 0, .kind = kind};
}

// Two VMs of two vCPUs on two workers.
Trace made_of(std::vector<TraceEvent> events) {
  Trace trace;
  trace.vms = {{"lock", "v2", 2}, {"ipi", "v2", 2}};
  trace.workers = 2;
  trace.window_end = 1000;
  trace.events = std::move(events);
  return trace;
}

}  // namespace

TEST_CASE("spans: runs, waits, sleeps and is woken") {
  const Trace trace =
      made_of({event(100, 0, 0, TraceKind::kIn), event(110, 0, 0, TraceKind::kEnter),
               event(150, 0, 0, TraceKind::kExit, TraceExit::kIpi),
               event(200, 0, 0, TraceKind::kOut, TraceOut::kPreempted), event(300, 0, 1, TraceKind::kIn),
               event(400, 0, 1, TraceKind::kOut, TraceOut::kHalted), event(500, 0, 0, TraceKind::kWake),
               event(520, 0, 0, TraceKind::kIn)});
  const TraceSpans spans = spans_of(trace, 0, 600);
  REQUIRE(spans.vcpus.size() == 6);
  const std::vector<std::tuple<State, int64_t, int64_t>> expected{
      {State::kRuns, 100, 200},   {State::kWaits, 200, 300}, {State::kRuns, 300, 400},
      {State::kHalted, 400, 500}, {State::kWaits, 500, 520}, {State::kRuns, 520, 600}};
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(std::tuple(spans.vcpus[i].state, spans.vcpus[i].from, spans.vcpus[i].to) == expected[i]);
  }
  CHECK(spans.vcpus[2].worker == 1);
  CHECK_FALSE(spans.vcpus[1].woken);
  CHECK(spans.vcpus[4].woken);
  for (size_t i = 0; i < 5; ++i) CHECK_FALSE(spans.vcpus[i].cut);
  CHECK(spans.vcpus[5].cut);
  REQUIRE(spans.guests.size() == 1);
  CHECK(spans.guests[0].from == 110);
  CHECK(spans.guests[0].why == TraceExit::kIpi);
}

TEST_CASE("trace stats: where vCPUs spin, by VM and function") {
  const auto spin = [](int64_t at, uint32_t vcpu, uint64_t rip) {
    return TraceEvent{.at = at, .vcpu = vcpu, .value = rip, .worker = 0, .kind = TraceKind::kSpin};
  };
  Trace trace = made_of({spin(10, 0, 0x1000), spin(20, 0, 0x1008), spin(30, 1, 0x2000), spin(40, 1, 0),
                         spin(50, 2, 0x1000), spin(60, 0, 0x100f), spin(700, 0, 0x1000)});
  trace.vms[0].functions = {{.name = "spin_turns", .address = 0x1000, .bytes = 0x10}};
  const TraceStats stats = stats_of(trace, 0, 600);
  REQUIRE(stats.spin_sites.size() == 2);
  REQUIRE(stats.spin_sites[0].sites.size() == 2);
  CHECK(stats.spin_sites[0].sites[0] ==
        CodeSite{.symbol = "spin_turns", .address = 0x1000, .bytes = 0x10, .samples = 3});
  CHECK(stats.spin_sites[0].sites[1] == CodeSite{.symbol = {}, .address = 0x2000, .bytes = 1, .samples = 1});
  REQUIRE(stats.spin_sites[1].sites.size() == 1);
  CHECK(stats.spin_sites[1].sites[0].symbol.empty());
  const Json json = stats_json(trace, stats);
  CHECK(json["vms"][0]["spin_sites"][0] ==
        Json{{"symbol", "spin_turns"}, {"address", "0x1000"}, {"samples", 3}});
  const std::string exported = perfetto_trace(trace, 0, 600);
  CHECK(exported.find("at spin_turns+0x8") != std::string::npos);
  CHECK(exported.find("at 0x2000") != std::string::npos);
}

TEST_CASE("spans: workers whose clocks were read in another order do not make a vCPU be at two places") {
  const Trace trace =
      made_of({event(50, 0, 0, TraceKind::kIn), event(51, 0, 0, TraceKind::kEnter),
               event(100, 0, 1, TraceKind::kIn), event(104, 0, 0, TraceKind::kExit),
               event(105, 0, 0, TraceKind::kOut, TraceOut::kPreempted), event(106, 0, 1, TraceKind::kEnter),
               event(180, 0, 1, TraceKind::kExit), event(200, 0, 1, TraceKind::kOut, TraceOut::kHalted)});
  const TraceSpans spans = spans_of(trace, 0, 200);
  REQUIRE(spans.vcpus.size() == 2);
  CHECK(spans.vcpus[0].to == 100);
  CHECK(spans.vcpus[1].from == 100);
  CHECK(spans.vcpus[1].to == 200);
  REQUIRE(spans.guests.size() == 2);
  CHECK(spans.guests[0].to == 100);
  CHECK(spans.guests[1].from == 106);
}

TEST_CASE("spans: a trace that begins in the middle, and a part that is cut out") {
  Trace trace =
      made_of({event(100, 1, 0, TraceKind::kIn), event(200, 0, 1, TraceKind::kOut, TraceOut::kYielded),
               event(300, 0, 0, TraceKind::kIn)});
  const TraceSpans all = spans_of(trace, 0, 400);
  REQUIRE(all.vcpus.size() == 4);
  CHECK(all.vcpus[0].vcpu == 0);  // it was on before the first event
  CHECK(all.vcpus[0].from == 100);
  trace.complete_from = 150;
  CHECK(spans_of(trace, 0, 400).vcpus[0].from == 150);
  const TraceSpans part = spans_of(trace, 220, 280);
  REQUIRE(part.vcpus.size() == 2);
  CHECK(part.vcpus[0].from == 220);
  CHECK(part.vcpus[0].to == 280);
}

TEST_CASE("IPI ways: those of a vector are taken together, others not; fan-outs and chains") {
  const Trace trace = made_of({ipi(100, 0, 2, 0xf0), ipi(100, 0, 3, 0xf0), ipi(110, 1, 2, 0xf0),
                               ipi(120, 1, 2, 0xf1), of_vector(200, 2, TraceKind::kInject, 0xf0),
                               ipi(250, 2, 1, 0xf2), of_vector(300, 2, TraceKind::kEoi, 0xf0),
                               of_vector(310, 2, TraceKind::kEoi, 0xf1),  // it was never injected
                               of_vector(400, 1, TraceKind::kInject, 0xf2), ipi(420, 1, 0, 0xf2)});
  const auto ways = ipi_ways(trace, 0, 1000);
  REQUIRE(ways.size() == 6);
  CHECK(ways[0].fanout == 2);
  CHECK(ways[1].fanout == 2);
  CHECK(ways[2].fanout == 1);
  CHECK(ways[0].injected == 200);
  CHECK(ways[0].acknowledged == 300);
  CHECK(ways[2].acknowledged == 300);
  CHECK_FALSE(ways[1].injected);
  CHECK_FALSE(ways[3].injected);
  CHECK_FALSE(ways[3].acknowledged);
  CHECK(ways[4].depth == 1);
  CHECK(ways[4].injected == 400);
  CHECK_FALSE(ways[4].acknowledged);
  CHECK(ways[5].depth == 2);
}

TEST_CASE("latencies: exact quantiles") {
  Latencies latencies;
  for (int64_t i = 1000; i > 0; --i) latencies.add(i);
  latencies.finish();
  CHECK(latencies.quantile(0.5) == 500);
  CHECK(latencies.quantile(0.99) == 990);
  CHECK(latencies.quantile(0.999) == 999);
  CHECK(latencies.largest() == 1000);
  CHECK(latencies.histogram()[1] == 1);     // 1
  CHECK(latencies.histogram()[10] == 489);  // 512 … 1000
  CHECK(Latencies{}.quantile(0.5) == 0);
}

TEST_CASE("statistics: who preempts whom, which yields help, who wakes whom") {
  const Trace trace = made_of(
      {event(0, 0, 0, TraceKind::kIn),
       event(100, 0, 0, TraceKind::kOut, TraceOut::kPreempted),
       event(110, 2, 0, TraceKind::kIn),
       {.at = 150, .vcpu = 2, .other = 3, .value = 1, .worker = 0, .kind = TraceKind::kYield, .why = 5},
       event(150, 2, 0, TraceKind::kOut, TraceOut::kYielded),
       event(150, 3, 0, TraceKind::kIn),
       event(200, 3, 0, TraceKind::kOut, TraceOut::kHalted),
       event(210, 2, 0, TraceKind::kIn),
       event(220, 2, 0, TraceKind::kOutcome, 0),
       {.at = 230, .vcpu = 2, .value = 0, .worker = 0, .kind = TraceKind::kYield, .why = 2},
       ipi(240, 2, 3, 0xf0),
       event(241, 3, 1, TraceKind::kWake),
       event(260, 3, 1, TraceKind::kIn),
       of_vector(261, 3, TraceKind::kInject, 0xf0),
       event(300, 1, 0, TraceKind::kWake)});
  const TraceStats stats = stats_of(trace, 0, 1000);
  REQUIRE(stats.preempted.size() == 1);  // who yielded was not preempted
  CHECK(stats.preempted.at({1, 0}) == 1);
  CHECK(stats.yields.at(5).how[1] == 1);
  CHECK(stats.yields.at(5).outcome[0] == 1);
  CHECK(stats.yields.at(2).how[0] == 1);
  CHECK(stats.yields.at(2).outcome[0] == 0);
  CHECK(stats.all.wait.count() == 2);  // of vCPU 2, and of 3 when it was woken
  CHECK(stats.all.wait.largest() == 60);
  CHECK(stats.all.run.count() == 2);  // those whose begin and end are there
  CHECK(stats.all.wakeup.count() == 1);
  CHECK(stats.all.wakeup.largest() == 19);
  CHECK(stats.wakers.at({2, 3}).count() == 1);
  CHECK(stats.wake_chains.at(1) == 1);
  CHECK(stats.other_wakeups == 1);
  CHECK(stats.running[0] == 100);
  CHECK(stats.running[2] == 40 + (1000 - 210));
  CHECK(stats.ipis.at({2, 3}).injection.largest() == 21);
  CHECK(stats.ipis.at({2, 3}).unfinished == 1);
  const Json json = stats_json(trace, stats);
  CHECK(json["yields"]["holder"]["hit"] == 1);
  CHECK(json["preempted"][0]["by_vm"] == 1);
}

TEST_CASE("protocol buffers: numbers, texts and messages as the format wants them") {
  ProtoMessage inner;
  inner.number(1, 150);
  ProtoMessage message;
  message.number(1, 0);
  message.text(2, "testing");
  message.message(3, inner);
  message.fixed64(47, 0x0102030405060708);
  message.signed_number(30, -2);
  const std::string expected(
      "\x08\x00"
      "\x12\x07testing"
      "\x1a\x03\x08\x96\x01"
      "\xf9\x02\x08\x07\x06\x05\x04\x03\x02\x01"
      "\xf0\x01\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
      2 + 9 + 5 + 10 + 12);
  CHECK(message.bytes() == expected);
}

TEST_CASE("Perfetto: a part without its ends is a whole file") {
  const Trace trace =
      made_of({event(100, 0, 0, TraceKind::kIn), event(200, 0, 0, TraceKind::kOut, TraceOut::kHalted)});
  const std::string whole = perfetto_trace(trace, 0, 1000);
  const std::string part = perfetto_trace(trace, 120, 130);
  CHECK(part.size() < whole.size());
  CHECK(part.size() > 100);
  CHECK(perfetto_trace(Trace{}, 0, 0).size() > 10);
}

TEST_CASE("recorder: from when on nothing is missing, and how much is") {
  TraceRecorder recorder(1, 16);
  std::thread worker([&] {
    recorder.attach(0);
    recorder.attach(7);  // no such ring: it stays
    for (int64_t i = 0; i < 1000; ++i) recorder.record({.at = i, .kind = TraceKind::kEnter});
    TraceRecorder::detach();
  });
  worker.join();
  recorder.record({.at = 3, .kind = TraceKind::kKick});
  const auto content = recorder.content();
  CHECK(content.lost + content.events.size() == 1001);
  CHECK(content.complete_from == 985);
  CHECK(content.events.front().kind == TraceKind::kKick);
  CHECK(TraceRecorder(1, 16).content().complete_from == INT64_MIN);
}

TEST_CASE("exits by their reason") {
  exit_test::Rig rig;
  const auto reason = [&](Next next) { return traced_exit(rig.vcpu, rig.vcpu.kvm.area(), next); };
  CHECK(reason(rig.lapic_write32(apic::Reg::kIcrLow, apic::kIcrAssert | 0x41)) == TraceExit::kIpi);
  CHECK(reason(rig.lapic_write32(apic::Reg::kEoi, 0)) == TraceExit::kEoi);
  CHECK(reason(rig.lapic_write32(apic::Reg::kTpr, 0)) == TraceExit::kLapic);
  rig.lapic_read32(apic::Reg::kSvr);
  CHECK(reason(Next::kEnter) == TraceExit::kLapic);
  CHECK(reason(rig.mmio(0xc0000000, 8, false)) == TraceExit::kIo);
  CHECK(reason(Next::kSpin) == TraceExit::kSpin);
  kvm_run& area = rig.vcpu.kvm.area();
  area.exit_reason = KVM_EXIT_HLT;
  CHECK(reason(Next::kHalt) == TraceExit::kHalt);
  area.exit_reason = KVM_EXIT_IO;
  CHECK(reason(Next::kEnter) == TraceExit::kIo);
  area.exit_reason = KVM_EXIT_X86_WRMSR;
  area.msr.index = 0x80b;  // EOI in x2APIC mode
  CHECK(reason(Next::kEnter) == TraceExit::kEoi);
  area.msr.index = 0x10;
  CHECK(reason(Next::kEnter) == TraceExit::kMsr);
  area.exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
  CHECK(reason(Next::kEnter) == TraceExit::kWindow);
  area.exit_reason = KVM_EXIT_SHUTDOWN;
  CHECK(reason(Next::kStopVm) == TraceExit::kOther);
}

}  // namespace vmm
