// Dear moves: what is measured, what a run makes of it, and what is said. Hosts are figures.
#include "vmm/run/moves.h"

#include <doctest/doctest.h>

#include "cli_fake.h"
#include "sched/policy/parse.h"
#include "vmm/cli/boot_options.h"
#include "vmm/cli/guests.h"
#include "vmm/json.h"
#include "vmm/run/move_cost.h"
#include "vmm/run/setup.h"
#include "vmm/run/sim_backend.h"

using namespace vmm;
using namespace std::chrono_literals;

namespace {

constexpr Nanos kGrace = 15ms;

RunSpec spec_of(const std::string& policy, const char* guest = "lock") {
  RunSpec spec;
  spec.backend = Backend::kSim;
  spec.carriers = Carriers::kOff;
  spec.warmup = 20ms;
  spec.duration = 200ms;
  for (int i = 0; i < 3; ++i) {
    VmSpec vm;
    vm.guest = guest;
    vm.policy = *sched::parse_policy(policy);
    vm.workload = make_workload(guest, {});
    spec.vms.push_back(vm);
  }
  return spec;
}

RunResult simulated(const RunSpec& spec, Nanos vcpu_move) {
  RunControl control;
  SimInputs inputs;
  inputs.costs = *sched::sim::find_profile("laptop-vmx");
  inputs.costs->vcpu_move = vcpu_move;
  auto result = run_simulated(spec, control, inputs);
  REQUIRE(result);
  return std::move(*result);
}

uint64_t migrations(const RunResult& result) {
  uint64_t sum = 0;
  for (const VmResult& vm : result.vms) {
    for (const VcpuResult& vcpu : vm.vcpus) sum += vcpu.sched.migrations;
  }
  return sum;
}

double throughput(const RunResult& result) {
  double sum = 0;
  for (const VmResult& vm : result.vms) sum += vm.ops_per_second;
  return sum;
}

}  // namespace

TEST_CASE("moves: one that was cheap says that all are; grace periods by their median") {
  CHECK(move_cost_from({7us}, 1us) == 6us);
  CHECK(move_cost_from({16ms, 20ms, 9us}, 1us) == 8us);  // the host took the CPU meanwhile
  CHECK(move_cost_from({30ms, 15ms, 16ms, 14ms, 17ms}, 2us) == 16ms - 2us);
  CHECK(move_cost_from({1us}, 2us) == 0us);
}

TEST_CASE("moves: kernels from before Linux 6.13 wait") {
  for (const char* release : {"5.15.0-91-generic", "6.1.0-32-amd64", "6.12.74+deb13-amd64", "6.12"}) {
    CHECK(waits_for_grace_periods(release));
  }
  for (const char* release : {"6.13.0", "6.18.44", "7.3.4+deb13-amd64", "10.1", "", "6", "6.", "next"}) {
    CAPTURE(release);
    CHECK_FALSE(waits_for_grace_periods(release));
  }
}

TEST_CASE("moves: where they are dear, every policy's vCPUs stay; where they are cheap, nothing changes") {
  for (const sched::Preset& preset : sched::presets()) {
    CAPTURE(preset.name);
    const RunSpec asked = spec_of(std::string(preset.name));
    RunSpec spec = asked;
    CHECK_FALSE(weigh_moves(spec, kDearMove - 1ns));
    CHECK(spec.vms[0].policy.tuning.migration_cost == asked.vms[0].policy.tuning.migration_cost);
    const auto moves = weigh_moves(spec, kGrace);
    REQUIRE(moves.has_value() == !is_host_run(asked));
    if (!moves) continue;
    CHECK(moves->stay);
    CHECK_FALSE(moves->given);
    const auto setup = make_setup(spec, 50us);
    REQUIRE(setup);
    CHECK(setup->tuning.migration_cost == kGrace);
    CHECK(setup->tuning.migration_cost >= setup->tuning.dear_move);
  }
  RunSpec barely = spec_of("v2");  // above what it can win, below what is dear by itself
  const auto moves = weigh_moves(barely, kDearMove);
  REQUIRE(moves);
  CHECK(moves->stay);
  CHECK(barely.vms[0].policy.tuning.migration_cost == barely.vms[0].policy.tuning.dear_move);
}

TEST_CASE("moves: whoever gives a migration cost has his way, also with the usual one") {
  RunSpec spec = spec_of("v2,migration-cost=20us");
  auto moves = weigh_moves(spec, kGrace);
  REQUIRE(moves);
  CHECK(moves->given);
  CHECK_FALSE(moves->stay);
  CHECK(spec.vms[0].policy.tuning.migration_cost == 20us);
  spec = spec_of("v2,migration-cost=1s");
  moves = weigh_moves(spec, kGrace);
  REQUIRE(moves);
  CHECK(moves->stay);
  CHECK(moves->migration_cost == 1s);
}

TEST_CASE("moves: what policies change to weighs them alike") {
  RunSpec spec = spec_of("v2");
  spec.changes = {{50ms, {}}};
  for (const VmSpec& vm : spec.vms) {
    sched::Policy policy = vm.policy;
    policy.features.deboost = sched::Deboost::kOff;
    spec.changes[0].vms.push_back({policy, std::nullopt});
  }
  REQUIRE(weigh_moves(spec, kGrace));
  CHECK(spec.changes[0].vms[2].policy.tuning.migration_cost == kGrace);
  CHECK(check_together(spec));
}

TEST_CASE("moves: what is said") {
  const MovesWeighed stay{15'812'000ns, 15'812'000ns, true, false};
  CHECK(moves_text(stay, "6.1.0-32-amd64") ==
        "moves cost 15.8 ms on this kernel (6.1.0-32-amd64, before 6.13): vCPUs stay with the workers where "
        "they begin");
  CHECK(moves_text(stay, "6.18.1") ==
        "moves cost 15.8 ms on this kernel (6.18.1): vCPUs stay with the workers where they begin");
  CHECK(moves_text({410us, 20us, false, true}, "") ==
        "moves cost 410 us in this cost profile, and migration-cost=20us is given: vCPUs move all the same");
  MovesWeighed carried{.cost = 15'812'000ns, .carried = true, .handover = 7'040ns};
  CHECK(moves_text(carried, "6.1.0-32-amd64") ==
        "moves cost 15.8 ms on this kernel (6.1.0-32-amd64, before 6.13): a thread carries each vCPU; a "
        "hand-over costs "
        "7.0 us");
  carried = {.cost = 15ms, .migration_cost = 20us, .given = true, .carried = true};
  CHECK(moves_text(carried, "") ==
        "moves cost 15 ms in this cost profile, and migration-cost=20us is given: vCPUs move all the same; a "
        "thread "
        "carries each vCPU");
}

TEST_CASE(
    "moves: with carriers no policy is changed, and they are there by themselves where moves are dear") {
  for (const sched::Preset& preset : sched::presets()) {
    CAPTURE(preset.name);
    const RunSpec asked = spec_of(std::string(preset.name));
    for (const Carriers carriers : {Carriers::kAuto, Carriers::kOn}) {
      RunSpec spec = asked;
      spec.carriers = carriers;
      CHECK(has_carriers(spec, 3us) == (carriers == Carriers::kOn && !is_host_run(spec)));
      CHECK(has_carriers(spec, kGrace) == !is_host_run(spec));
      const auto moves = weigh_moves(spec, {kGrace, 7us});
      REQUIRE(moves.has_value() == !is_host_run(asked));
      if (!moves) continue;
      CHECK(moves->carried);
      CHECK(moves->handover == 7us);
      CHECK_FALSE(moves->stay);
      CHECK_FALSE(moves->given);
      CHECK(spec.vms[0].policy.tuning.migration_cost == asked.vms[0].policy.tuning.migration_cost);
      CHECK(weigh_moves(spec, Nanos{3us}).has_value() == (carriers == Carriers::kOn));
    }
  }
  RunSpec spec = spec_of("v2,migration-cost=1s");
  spec.carriers = Carriers::kAuto;
  const auto moves = weigh_moves(spec, kGrace);
  REQUIRE(moves);
  CHECK(moves->carried);
  CHECK(moves->given);
  CHECK(moves->stay);
}

TEST_CASE("simulated: no policy moves where a move costs a grace period, and that pays") {
  for (const char* policy : {"rr", "fair", "yield", "hier", "deboost", "ipi", "v2", "v3", "kvmux", "gang"}) {
    for (const char* guest : {"lock", "ipi"}) {
      CAPTURE(policy);
      CAPTURE(guest);
      const RunResult adapted = simulated(spec_of(policy, guest), kGrace);
      REQUIRE(adapted.moves);
      CHECK(adapted.moves->stay);
      CHECK(migrations(adapted) == 0);
      const RunResult cheap = simulated(spec_of(policy, guest), 3us);
      CHECK_FALSE(cheap.moves);
    }
  }
  // Those that move much where vCPUs cannot be shared out evenly, or sleep.
  for (const auto& [policy, guest] :
       {std::pair{"kvmux", "lock"}, {"kvmux", "ipi"}, {"kvmux", "mixed"}, {"rr", "pingpong"}}) {
    CAPTURE(guest);
    const RunResult adapted = simulated(spec_of(policy, guest), kGrace);
    const RunResult moving = simulated(spec_of(policy + std::string(",migration-cost=20us"), guest), kGrace);
    REQUIRE(moving.moves);
    CHECK(moving.moves->given);
    CHECK(migrations(moving) > 0);
    CHECK(throughput(adapted) > 1.3 * throughput(moving));
  }
}

TEST_CASE("simulated: with carriers a host with dear moves reaches what others reach") {
  struct Size {
    const char* guest;
    uint32_t vms;
    uint32_t vcpus;
    uint32_t senders;  // 0: as usual
  };
  for (const Size& size : {Size{"ipi", 2, 8, 1}, {"lock", 1, 8, 0}, {"ipi", 1, 8, 0}, {"mixed", 3, 4, 0}}) {
    for (const char* policy : {"yield", "v2", "kvmux"}) {
      CAPTURE(size.guest);
      CAPTURE(policy);
      RunSpec spec = spec_of(policy, size.guest);
      spec.vms.resize(size.vms);
      for (VmSpec& vm : spec.vms) {
        vm.vcpus = size.vcpus;
        if (size.senders != 0) vm.workload.senders = size.senders;
      }
      spec.duration = 1s;
      spec.carriers = Carriers::kAuto;
      const RunResult dear = simulated(spec, kGrace);
      REQUIRE(dear.moves);
      CHECK(dear.moves->carried);
      const RunResult cheap = simulated(spec, 3us);
      CHECK_FALSE(cheap.moves);
      MESSAGE(size.guest << " " << size.vms << " x " << size.vcpus << " " << policy << ": "
                         << throughput(dear) / throughput(cheap));
      CHECK(throughput(dear) >= 0.9 * throughput(cheap));
    }
  }
}

TEST_CASE("simulated: a host's threads take their vCPUs along") {
  const double dear = throughput(simulated(spec_of("host-yield"), kGrace));
  const double cheap = throughput(simulated(spec_of("host-yield"), 3us));
  CHECK(dear > 0.95 * cheap);
}

TEST_CASE("simulated: a profile's dear moves are in the text and in the JSON") {
  const TemporaryFile profile("moves-profile.json");
  profile.write(R"({"vcpu_move_ns": 15000000})");
  FakeProgram program;
  program.backend = [](const RunSpec& spec) {
    RunControl control;
    return run_simulated(spec, control);
  };
  const std::vector<std::string> run{"sim",        "run", "--seconds",      "0.05",
                                     "--carriers", "off", "--cost-profile", profile.path()};
  REQUIRE(program.run(run) == 0);
  CHECK(contains(
      program.out.str(),
      "Moves: moves cost 15 ms in this cost profile: vCPUs stay with the workers where they begin\n"));
  std::vector<std::string> json = run;
  json.insert(json.end(), {"--json", "-"});
  REQUIRE(program.run(json) == 0);
  const Json moves = Json::parse(program.out.str())["runs"][0]["result"]["moves"];
  CHECK(moves ==
        Json{{"cost_ns", 15'000'000}, {"migration_cost_ns", 15'000'000}, {"stay", true}, {"given", false}});
  json.insert(json.end(), {"--migration-cost", "20us"});
  REQUIRE(program.run(json) == 0);
  CHECK(Json::parse(program.out.str())["runs"][0]["result"]["moves"]["given"] == true);
  std::vector<std::string> carried{"sim", "run", "--seconds", "0.05", "--cost-profile", profile.path()};
  REQUIRE(program.run(carried) == 0);
  CHECK(contains(program.out.str(),
                 "Moves: moves cost 15 ms in this cost profile: a thread carries each vCPU; a hand-over "
                 "costs 3.0 us\n"));
  carried.insert(carried.end(), {"--json", "-"});
  REQUIRE(program.run(carried) == 0);
  const Json with = Json::parse(program.out.str())["runs"][0]["result"]["moves"];
  CHECK(with["carriers"] == true);
  CHECK(with["handover_ns"] == 3'000);
  CHECK(with["stay"] == false);
  REQUIRE(program.run({"sim", "run", "--seconds", "0.05"}) == 0);
  CHECK_FALSE(contains(program.out.str(), "Moves:"));
}

TEST_CASE("compare: dear moves are said once, kept with the session, and decide what takes turns") {
  const TemporaryFile results("moves-results.jsonl");
  FakeProgram program;
  program.move_cost = kGrace;
  REQUIRE(program.run({"compare", "--policies", "host,yield,v2", "--repeat", "2", "--seconds", "0.01",
                       "--out", results.path()}) == 0);
  CHECK(contains(program.err.str(), "kvmux: moves cost 15 ms on this kernel ("));
  CHECK(contains(program.err.str(), "a thread carries each vCPU"));
  CHECK(contains(results.read(), R"("moves":{"cost_ns":15000000,)"));
  REQUIRE(program.run({"compare", "--policies", "host,host-yield", "--repeat", "2", "--seconds", "0.01"}) ==
          0);
  CHECK_FALSE(contains(program.err.str(), "moves cost"));
  const std::vector<std::string> turns{"compare",    "--policies", "yield,kvmux", "--design",
                                       "switchback", "--carriers", "off",         "--plan"};
  REQUIRE(program.run(turns) == 0);
  CHECK(contains(program.err.str(), "'kvmux' is measured in blocks: "));
  CHECK(contains(program.err.str(), "no vCPU may move (migration-cost)"));
  program.move_cost = 3us;
  REQUIRE(program.run(turns) == 0);
  CHECK_FALSE(contains(program.err.str(), "measured in blocks"));
}

TEST_CASE("boot: takes the keys of policies as a run does") {
  BootOptions options;
  options.policy = "kvmux,slice=3ms";
  options.policy_keys = {{"migration-cost", "1s"}, {"slice", "5ms"}};
  const auto setup = read_boot_options(options, {{0, 1}});
  REQUIRE(setup);
  CHECK(setup->spec.policy.tuning.migration_cost == 1s);
  CHECK(setup->spec.policy.gives("migration-cost"));
  CHECK(setup->spec.policy.tuning.slice == 3ms);  // the policy's own keys win
  FakeProgram program;
  CHECK(program.run({"boot", "image", "--migration-cost", "2d"}) == 2);
  CHECK(contains(program.err.str(), "--migration-cost"));
  CHECK(program.run({"boot", "image", "--policy", "rr", "--pull", "on"}) == 2);
  CHECK(contains(program.err.str(), "--policy"));
}
