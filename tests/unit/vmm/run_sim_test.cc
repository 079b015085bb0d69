#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>

#include "sched/policy/parse.h"
#include "vmm/cli/guests.h"
#include "vmm/cli/run_json.h"
#include "vmm/run/sim_backend.h"
#include "vmm/run/sim_profile.h"
#include "vmm/trace/ipis.h"
#include "vmm/trace/recorder.h"
#include "vmm/trace/stats.h"
#include "vmm/trace/stream.h"

using namespace vmm;

namespace {

RunSpec spec_of(const char* policy, const char* guest = "lock") {
  RunSpec spec;
  spec.backend = Backend::kSim;
  spec.cost_profile = "kvm-pvm";
  spec.warmup = Nanos{20'000'000};
  spec.duration = Nanos{80'000'000};
  for (int i = 0; i < 2; ++i) {
    VmSpec vm;
    vm.guest = guest;
    vm.policy = *sched::parse_policy(policy);
    vm.workload = make_workload(guest, {});
    spec.vms.push_back(vm);
  }
  return spec;
}

std::string refusal(const RunSpec& spec) {
  RunControl control;
  const auto result = run_simulated(spec, control);
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == ErrorKind::kUsage);
  return result.error().text();
}

struct TempFile {
  explicit TempFile(const char* text) { std::ofstream(path) << text; }
  ~TempFile() { std::remove(path); }
  const char* path = "kvmux_sim_profile_test.json";
};

}  // namespace

TEST_CASE("a simulated result is filled like a real one, and its ledgers add up to the window") {
  for (const char* policy : {"yield", "kvmux", "gang", "host-yield"}) {
    for (const char* guest : {"lock", "ipi", "mixed", "compute", "pingpong"}) {
      CAPTURE(policy);
      CAPTURE(guest);
      const RunSpec spec = spec_of(policy, guest);
      RunControl control;
      double last = 0;
      control.progress = [&last](double done) {
        CHECK(done >= last);
        last = done;
      };
      const auto result = run_simulated(spec, control);
      REQUIRE(result);
      CHECK(last == doctest::Approx(1.0));
      CHECK(result->window == spec.duration);
      CHECK(result->spin_window == Nanos{67'000});
      CHECK(result->sim_events > 100);
      CHECK_FALSE(result->interrupted);
      REQUIRE(result->worker_busy.size() == 2);
      CHECK(result->worker_busy[0] <= spec.duration);
      REQUIRE(result->vms.size() == 2);
      for (const VmResult& vm : result->vms) {
        CHECK(vm.policy == policy);
        CHECK(vm.ops_per_second > 0);
        REQUIRE(vm.vcpus.size() == 4);
        uint64_t acks = 0;
        for (const uint64_t count : vm.ack_hist) acks += count;
        uint64_t acked = 0;
        for (const VcpuResult& vcpu : vm.vcpus) {
          CHECK(vcpu.ledger.sum() == spec.duration);
          CHECK(vcpu.guest_errors == 0);
          // Work counts when a piece of it is done, so a piece may straddle the window's edge.
          CHECK(vcpu.work_time <= vcpu.ledger.guest + Nanos{250'000});
          CHECK((vcpu.spin_pauses > 0) == (vcpu.ledger.spinning > Nanos{50}));
          acked += vcpu.ipis_acked;
        }
        CHECK(acks == acked);
      }
    }
  }
}

TEST_CASE("a stop request ends a simulation early, and the result says so") {
  RunControl control;
  const RunSpec spec = spec_of("fair");
  control.progress = [&control](double done) {
    if (done > 0.5) control.stop = true;
  };
  const auto result = run_simulated(spec, control);
  REQUIRE(result);
  CHECK(result->interrupted);
  CHECK(result->window < spec.duration);
  CHECK(result->vms[0].vcpus[0].ledger.sum() == result->window);
  control.stop = true;
  const auto nothing = run_simulated(spec, control);
  REQUIRE(nothing);
  CHECK(nothing->window == Nanos{0});
  CHECK(nothing->vms[0].ops_per_second == 0);
}

TEST_CASE("what cannot be simulated is refused by name") {
  RunSpec spec = spec_of("fair");
  spec.vms[1].guest = "./kernel.elf";
  CHECK(refusal(spec).find("./kernel.elf") != std::string::npos);
  CHECK(refusal(spec_of("host-kvm")).find("not available with --backend sim") != std::string::npos);
  spec = spec_of("host");
  spec.vms[0].weight = {2048};
  CHECK(refusal(spec).find("--weight") != std::string::npos);
  spec = spec_of("fair");
  spec.vms[1].policy = *sched::parse_policy("gang");
  CHECK(refusal(spec).find("cannot share a run") != std::string::npos);
  spec = spec_of("fair");
  spec.cost_profile = "no-such-profile";
  CHECK(refusal(spec).find("laptop-vmx, kvm-pvm") != std::string::npos);
}

TEST_CASE("cost profiles: a doctor's report over the nearest built-in one, or a plain object") {
  {
    const TempFile file(R"({"schema": "kvmux.doctor", "costs": {"exit_user_ns": 40000, "not_ours_ns": 1}})");
    const auto costs = load_cost_profile(file.path);
    REQUIRE(costs);
    CHECK(costs->exit_user == Nanos{40'000});
    CHECK(costs->trap == Nanos{82'000});  // kvm-pvm is nearer
  }
  {
    const TempFile file(R"({"exit_user_ns": 1500, "kick_latency_ns": 700.4, "kernel_slowdown": 3})");
    const auto costs = load_cost_profile(file.path);
    REQUIRE(costs);
    CHECK(costs->kick_latency == Nanos{700});
    CHECK(costs->kernel_slowdown == 3);
    CHECK(costs->trap == Nanos{300});  // laptop-vmx
  }
  for (const char* bad : {"[]", "{", R"({"typo_ns": 5})", R"({"exit_user_ns": "x"})",
                          R"({"exit_user_ns": 0})", R"({"handle_ns": -1})", R"({"costs": {}})",
                          R"({"schema": "kvmux.doctor", "costs": {"stub_ns": null}})"}) {
    CAPTURE(bad);
    const TempFile file(bad);
    const auto costs = load_cost_profile(file.path);
    REQUIRE_FALSE(costs);
    CHECK(costs.error().kind == ErrorKind::kUsage);
  }
}

TEST_CASE("a trace changes nothing of a simulated run, and says what its counters say") {
  for (const char* policy : {"rr", "fair", "yield", "v2", "v3", "kvmux", "gang", "host-yield"}) {
    for (const char* guest : {"lock", "ipi", "mixed"}) {
      CAPTURE(policy);
      CAPTURE(guest);
      const RunSpec spec = spec_of(policy, guest);
      RunControl control;
      const auto plain = run_simulated(spec, control);
      TraceRecorder recorder(0, 1 << 21);
      control.trace = &recorder;
      const auto traced = run_simulated(spec, control);
      REQUIRE(plain);
      REQUIRE(traced);
      CHECK(dump(run_document({}, {}, Json{}, {{spec, *plain}}), 2) ==
            dump(run_document({}, {}, Json{}, {{spec, *traced}}), 2));

      auto content = recorder.content();
      REQUIRE(content.lost == 0);
      Trace trace;
      for (const VmSpec& vm : spec.vms) trace.vms.push_back({vm.guest, vm.policy.name, vm.vcpus, {}});
      trace.workers = spec.workers;
      trace.events = std::move(content.events);
      const int64_t begin = traced->window_begin.count();
      const int64_t end = begin + traced->window.count();
      const std::vector<int64_t> running = stats_of(trace, begin, end).running;
      const TraceStats stats = stats_of(trace, begin + 1, end + 1);  // a window has the events of its end
      std::array<uint64_t, sched::kYieldReasons> done{};
      for (const auto& [reason, count] : stats.yields)
        done[reason] = count.how[1] + count.how[2] + count.how[3];
      std::array<uint64_t, sched::kYieldReasons> counted{};
      uint64_t tried = 0;
      uint64_t outcomes = 0;
      uint64_t sent = 0;
      uint64_t stays = 0;
      uint32_t vcpu = 0;
      for (const VmResult& vm : traced->vms) {
        for (const VcpuResult& each : vm.vcpus) {
          for (size_t i = 0; i < counted.size(); ++i) counted[i] += each.sched.yields_done[i];
          tried += each.sched.yields_tried;
          outcomes += each.sched.yield_hits + each.sched.yield_misses + each.sched.yield_harmful;
          sent += each.sched.ipis_sent;
          stays += each.sched.switches_in;
          CHECK(running[vcpu++] == each.sched.times.running.count());
        }
      }
      CHECK(done == counted);
      if (std::string_view(policy) == "host-yield") continue;  // the host's own scheduler says nothing
      const auto kind = [&](sched::TraceKind k) {
        const auto at = stats.kinds.find(k);
        return at == stats.kinds.end() ? 0 : at->second;
      };
      CHECK(kind(sched::TraceKind::kYield) == tried);
      CHECK(kind(sched::TraceKind::kOutcome) == outcomes);
      CHECK(kind(sched::TraceKind::kIpiSend) == sent);
      CHECK(kind(sched::TraceKind::kIn) == stays);
      CHECK(kind(sched::TraceKind::kQueue) >= stays);
    }
  }
}

TEST_CASE(
    "a streamed trace of a simulated run has every event of one that was kept, however small its ring") {
  const RunSpec spec = spec_of("kvmux", "mixed");
  RunControl control;
  TraceRecorder kept(0, 1 << 21);
  control.trace = &kept;
  REQUIRE(run_simulated(spec, control));
  const auto content = kept.content();
  REQUIRE(content.lost == 0);
  REQUIRE(content.events.size() > 20'000);

  const char* path = "kvmux_streamed_test.trace";
  auto file = TraceFile::create(path);
  REQUIRE(file);
  Trace description;
  for (const VmSpec& vm : spec.vms) description.vms.push_back({vm.guest, vm.policy.name, vm.vcpus, {}});
  description.workers = spec.workers;
  description.backend = "sim";
  TraceRecorder small(0, 4096);
  auto stream = TraceStream::start(small, *file, description, TraceStream::By::kRecording);
  REQUIRE(stream);
  control.trace = &small;
  REQUIRE(run_simulated(spec, control));
  REQUIRE((*stream)->finish(description));
  const auto reader = TraceReader::open(path);
  REQUIRE(reader);
  CHECK_FALSE(reader->cut_off());
  const auto streamed = reader->read(0);
  std::remove(path);
  REQUIRE(streamed);
  CHECK(streamed->lost == 0);
  REQUIRE(streamed->events.size() == content.events.size());
  size_t different = 0;
  for (size_t i = 0; i < content.events.size(); ++i) {
    const auto& [a, b] = std::pair(content.events[i], streamed->events[i]);
    if (a.at != b.at || a.kind != b.kind || a.vcpu != b.vcpu || a.why != b.why || a.value != b.value)
      ++different;
  }
  CHECK(different == 0);
}
