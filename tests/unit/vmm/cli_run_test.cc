#include <doctest/doctest.h>

#include <algorithm>

#include "cli_fake.h"
#include "vmm/json.h"
#include "vmm/trace/trace_file.h"

using namespace vmm;
using namespace std::chrono_literals;

TEST_CASE("run: flags reach the spec") {
  FakeProgram program;
  CHECK(
      program.run(words("run --guest ipi,fanout=all --vms 3 --vcpus 8 --workers 2 --policy v2,deboost=off "
                        "--deboost on --slice 3ms --seconds 0.5 --warmup 200ms --seed 42 --spin-window 60us "
                        "--spin-detect both --ring 0 --memory 64M --hold 7us --weight 1024,2048 "
                        "--group prod/web:weight=512")) == 0);
  REQUIRE(program.asked.size() == 1);
  const RunSpec& spec = program.asked.front();
  CHECK(spec.backend == Backend::kKvm);
  CHECK(spec.workers == 2);
  CHECK(spec.duration == 500ms);
  CHECK(spec.warmup == 200ms);
  CHECK(spec.seed == 42);
  CHECK(spec.spin_window == 60us);
  CHECK(spec.spin_detect == SpinDetect::kBoth);
  REQUIRE(spec.groups.size() == 1);
  CHECK(spec.groups[0].path == "prod/web");
  CHECK(spec.groups[0].weight.value == 512);
  REQUIRE(spec.vms.size() == 3);
  CHECK(spec.vms[0].weight.value == 1024);
  CHECK(spec.vms[1].weight.value == 2048);
  CHECK(spec.vms[2].weight.value == 1024);
  const VmSpec& vm = spec.vms[2];
  CHECK(vm.guest == "ipi");
  CHECK(vm.vcpus == 8);
  CHECK(vm.ring == 0);
  CHECK(vm.memory_bytes == 64 << 20);
  CHECK(vm.workload.fanout == KVMUX_FANOUT_ALL);
  CHECK(vm.workload.think_ns == 500'000);
  CHECK(vm.workload.hold_ns == 7000);
  CHECK(vm.policy.tuning.slice == 3ms);
  CHECK(vm.policy.features.deboost == sched::Deboost::kOff);  // the policy's own key wins over the flag
  CHECK(vm.policy.features.relaxed);
}

TEST_CASE("run: VMs of one run may differ") {
  FakeProgram program;
  CHECK(program.run(
            words("run --vcpus 3 --policy yield --vm guest=ipi,vcpus=4,policy=v2:deboost=off,weight=2048 "
                  "--vm guest=lock,lock=ticket,think=1ms,group=prod/web,slice=5ms,policy=kvmux,handicap=10% "
                  "--vm guest=compute")) == 0);
  REQUIRE(program.asked.size() == 1);
  const auto& vms = program.asked.front().vms;
  REQUIRE(vms.size() == 3);
  CHECK(vms[0].guest == "ipi");
  CHECK(vms[0].vcpus == 4);
  CHECK(vms[0].policy.name == "v2,deboost=off");
  CHECK(vms[0].policy.features.deboost == sched::Deboost::kOff);
  CHECK(vms[0].weight.value == 2048);
  CHECK(vms[1].workload.lock_kind == KVMUX_LOCK_TICKET);
  CHECK(vms[1].workload.think_ns == 1'000'000);
  CHECK(vms[1].group == "prod/web");
  CHECK(vms[1].policy.tuning.slice == 5ms);
  CHECK(vms[1].handicap_percent == 10);
  CHECK(vms[2].guest == "compute");
  CHECK(vms[2].vcpus == 3);
  CHECK(vms[2].policy.name == "yield");
}

TEST_CASE("run: workload defaults of each guest") {
  struct Case {
    std::string_view line;
    uint64_t think_us;
    uint64_t hold_us;
    uint32_t fanout;
  };
  const Case cases[] = {{"run --guest lock", 50, 20, 1},
                        {"run --guest ipi", 200, 0, 1},
                        {"run --guest ipi --fanout all", 500, 0, KVMUX_FANOUT_ALL},
                        {"run --guest ipi --fanout all --think 1ms", 1000, 0, KVMUX_FANOUT_ALL},
                        {"run --guest compute", 50, 0, 1}};
  for (const Case& c : cases) {
    CAPTURE(c.line);
    FakeProgram program;
    CHECK(program.run(words(c.line)) == 0);
    const kvmux_workload& w = program.asked.front().vms.front().workload;
    CHECK(w.think_ns == c.think_us * 1000);
    CHECK(w.hold_ns == c.hold_us * 1000);
    CHECK(w.fanout == c.fanout);
    CHECK(w.lock_kind == KVMUX_LOCK_TTAS);
    CHECK(w.lock_count == 1);
    CHECK(w.senders == 0);
  }
}

TEST_CASE("run: host-kvm brings its irqchip, sim its backend, too many workers a warning") {
  FakeProgram program;
  CHECK(program.run(words("run --policy host-kvm")) == 0);
  CHECK(program.asked.back().irqchip == Irqchip::kSplit);
  CHECK(program.run(words("sim run --workers 64 --cost-profile kvm-pvm")) == 0);
  CHECK(program.asked.back().backend == Backend::kSim);
  CHECK(program.asked.back().cost_profile == "kvm-pvm");
  CHECK_FALSE(contains(program.err.str(), "warning"));
  CHECK(program.run(words("run --workers 3")) == 0);
  CHECK(contains(program.err.str(), "warning: --workers 3: only 2 CPUs"));
}

TEST_CASE("run, compare, sweep: --event-loop") {
  FakeProgram program;
  CHECK(program.run(words("run")) == 0);
  CHECK(program.asked.back().event_loop == EventLoopKind::kAuto);
  CHECK(program.run(words("run --event-loop io_uring")) == 0);
  CHECK(program.asked.back().event_loop == EventLoopKind::kIoUring);
  CHECK(program.run(words("compare --event-loop epoll --repeat 5")) == 0);
  CHECK(program.asked.back().event_loop == EventLoopKind::kEpoll);
  CHECK(program.run(words("sweep --event-loop epoll --ratio 2 --repeat 5")) == 0);
  CHECK(program.asked.back().event_loop == EventLoopKind::kEpoll);
}

TEST_CASE("run, compare, sweep: --carriers, in comparisons for one policy alone as well") {
  FakeProgram program;
  CHECK(program.run(words("run")) == 0);
  CHECK(program.asked.back().carriers == Carriers::kAuto);
  CHECK(program.run(words("run --carriers on")) == 0);
  CHECK(program.asked.back().carriers == Carriers::kOn);
  CHECK(program.run(words("sweep --carriers off --ratio 2 --repeat 5")) == 0);
  CHECK(program.asked.back().carriers == Carriers::kOff);
  program.asked.clear();
  CHECK(program.run(words("compare --policies yield,yield --carriers off,2=on --repeat 5")) == 0);
  const auto with = [&](Carriers carriers) {
    return std::count_if(program.asked.begin(), program.asked.end(),
                         [&](const RunSpec& spec) { return spec.carriers == carriers; });
  };
  CHECK(with(Carriers::kOn) == 5);
  CHECK(with(Carriers::kOff) == 5);
}

TEST_CASE("run --json: carriers are in the specification where they are given") {
  FakeProgram program;
  CHECK(program.run(words("run --json -")) == 0);
  CHECK_FALSE(contains(program.out.str(), "carriers"));
  CHECK(program.run(words("run --carriers on --json -")) == 0);
  CHECK(contains(program.out.str(), "\"carriers\""));
}

TEST_CASE("run --cpus: what was used is said, with what is unequal about it") {
  FakeProgram program;
  CHECK(program.run(words("run --cpus 1,0,1")) == 0);
  CHECK(program.cpus_named == std::vector<int>{0, 1});
  CHECK(program.out.str().find("CPUs: 0,1: SMT siblings share a core: 0,1\n") != std::string::npos);
  CHECK(program.err.str() == "");
  CHECK(program.run(words("run --cpus 1 --workers 2 --json -")) == 0);
  CHECK(program.err.str().find("only 1 CPUs are allowed") != std::string::npos);
  CHECK(Json::parse(program.out.str())["cpus"]["cpus"] == Json{1});
  CHECK(program.run(words("run --json -")) == 0);
  CHECK(program.cpus_named.empty());
  CHECK(Json::parse(program.out.str())["cpus"]["notes"][0] == "SMT siblings share a core: 0,1");
  CHECK(program.run(words("sim run --json -")) == 0);
  CHECK(!Json::parse(program.out.str()).contains("cpus"));
}

TEST_CASE("run: a user's own image is a guest by its path") {
  const TemporaryFile image("guest.elf");
  image.write("not really");
  FakeProgram program;
  CHECK(program.run({"run", "--guest", image.path()}) == 0);
  CHECK(program.asked.front().vms.front().guest == image.path());
  CHECK(program.run({"sim", "run", "--guest", image.path()}) == 2);
  CHECK(contains(program.err.str(), "the simulator runs no code"));
}

TEST_CASE("run --repeat: the first run has the seed, the others each their own") {
  FakeProgram program;
  CHECK(program.run(words("run --repeat 3 --seed 5")) == 0);
  REQUIRE(program.asked.size() == 3);
  CHECK(program.asked[0].seed == 5);
  CHECK(program.asked[1].seed != 5);
  CHECK(program.asked[1].seed != program.asked[2].seed);
}

TEST_CASE("lists: guests, policies and doctor") {
  FakeProgram program;
  CHECK(program.run({"guests"}) == 0);
  for (const char* name : {"lock", "ipi", "mixed", "compute", "pingpong", "dbench", "--fanout"}) {
    CHECK(contains(program.out.str(), name));
  }
  CHECK(program.run({"policies"}) == 0);
  for (const char* name : {"host-yield", "rate-limit-first", "ipi-window", "50ms"}) {
    CHECK(contains(program.out.str(), name));
  }
  CHECK(program.run({"policies", "--json", "-"}) == 0);
  CHECK(Json::parse(program.out.str())["policies"].size() == sched::presets().size());
  program.doctor = {{{"/dev/kvm", CheckState::kOk, "usable", ""}},
                    {{"exit_user_ns", "round trip", 67'000}, {"pauses_per_ms", "spin turns", 21'000}},
                    {"so be it"}};
  CHECK(program.run({"doctor"}) == 0);
  CHECK(contains(program.out.str(), "67.0 µs"));
  CHECK(contains(program.out.str(), "21,000"));
  CHECK(program.run({"doctor", "--json", "-"}) == 0);
  CHECK(Json::parse(program.out.str())["costs"]["exit_user_ns"] == 67'000);
  program.doctor.checks.push_back({"KVM_CAP_SYNC_REGS", CheckState::kFail, "missing", "no run is possible"});
  CHECK(program.run({"doctor"}) == 3);
}

TEST_CASE("--trace: a section a run, named; its file is opened before anything runs") {
  const TemporaryFile file("sections.trace");
  const std::string path = file.path();
  FakeProgram program;
  REQUIRE(program.run({"sim", "run", "--guest", "lock", "--repeat", "2", "--trace", path}) == 0);
  auto reader = TraceReader::open(path);
  REQUIRE(reader);
  REQUIRE(reader->runs().size() == 2);
  CHECK(reader->runs()[1].run == "repeat 2");
  CHECK(reader->runs()[0].command.find("--repeat") != std::string::npos);

  REQUIRE(program.run({"sim", "compare", "--guest", "lock", "--policies", "yield,v2", "--repeat", "5",
                       "--trace", path}) == 0);
  reader = TraceReader::open(path);
  REQUIRE(reader);
  REQUIRE(reader->runs().size() == 10);
  CHECK(reader->runs()[0].run.find("block 1") != std::string::npos);
  CHECK(reader->runs()[0].vms[0].running.size() == reader->runs()[0].vms[0].vcpus);
  REQUIRE(program.run({"trace", "runs", path}) == 0);
  CHECK(program.out.str().find("block 5") != std::string::npos);
  CHECK(program.run({"trace", "dump", path, "--run", "11"}) == 2);
  CHECK(program.err.str().find("--run") != std::string::npos);
  CHECK(program.run({"trace", "dump", path, "--from", "3ms", "--to", "2ms"}) == 2);
  CHECK(program.err.str().find("--to") != std::string::npos);
  std::filesystem::remove(path);

  FakeProgram refused;
  CHECK(refused.run({"run", "--guest", "lock", "--trace", "/nowhere/x.trace"}) == 3);
  CHECK(refused.err.str().find("--trace /nowhere/x.trace") != std::string::npos);
  CHECK(refused.asked.empty());
  CHECK(refused.run({"sim", "compare", "--guest", "lock", "--jobs", "2", "--trace", path}) == 2);
  CHECK(refused.err.str().find("--jobs") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK(refused.asked.empty());
}
