// Runs with Linux guests, on the image agent.elf, which speaks the agent's protocol on COM2 and needs no
// Linux: any KVM carries it.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "sched/policy/parse.h"
#include "tests/kvm/boot/program.h"
#include "tests/kvm/require_kvm.h"
#include "vmm/cli/guests.h"
#include "vmm/json.h"
#include "vmm/linux/linux_guests.h"
#include "vmm/run/run.h"

using namespace kvm_test;

namespace {

constexpr vmm::Nanos ms(int64_t n) { return vmm::Nanos{n * 1'000'000}; }

vmm::RunSpec run_of(vmm::Nanos duration) {
  vmm::RunSpec spec;
  spec.warmup = ms(100);
  spec.duration = (is_slow_host() ? 5 : 1) * duration;
  spec.quiet_console = true;
  spec.boot_limit = ms(60'000);
  spec.spin_detect = vmm::SpinDetect::kBoth;
  return spec;
}

vmm::VmSpec& add_agent(vmm::RunSpec& spec, const std::string& cmdline, const std::string& policy = "yield") {
  vmm::VmSpec& vm = spec.vms.emplace_back();
  vm.guest = vmm::kLinuxGuest;
  vm.linux_guest = vmm::LinuxGuest{
      .kernel = guest_path("agent.elf"), .initrd = {}, .cmdline = cmdline, .load = "hackbench:2"};
  vm.memory_bytes = uint64_t{32} << 20;
  vm.vcpus = 1;
  vm.policy = *sched::parse_policy(policy);
  return vm;
}

vmm::VmSpec& add_tiny(vmm::RunSpec& spec, const std::string& policy = "yield") {
  vmm::VmSpec& vm = spec.vms.emplace_back();
  vm.guest = "lock";
  vm.vcpus = 2;
  vm.policy = *sched::parse_policy(policy);
  vm.workload = vmm::make_workload("lock", {});
  return vm;
}

struct Outcome {
  vmm::Result<vmm::RunResult> result;
  std::string said;
};

Outcome run_spec(const vmm::RunSpec& spec) {
  vmm::RunControl control;
  Outcome outcome{vmm::host_error("not run", 0), {}};
  control.pcs = vmm::make_linux_guests;
  control.say = [&outcome](const std::string& text) { outcome.said += text; };
  outcome.result = vmm::run(spec, control);
  return outcome;
}

vmm::RunResult run_well(const vmm::RunSpec& spec) {
  auto outcome = run_spec(spec);
  REQUIRE_MESSAGE(outcome.result, outcome.result.error().text() << "\n" << outcome.said);
  return std::move(*outcome.result);
}

void check_agent(const vmm::VmResult& vm) {
  CHECK(vm.failure == "");
  CHECK(vm.ops_per_second > 0);
  REQUIRE(vm.linux_guest);
  CHECK(vm.linux_guest->counted);
  CHECK(vm.linux_guest->operations > 0);
  CHECK(vm.linux_guest->guest_time > ms(10));
  CHECK(vm.linux_guest->boot_time > vmm::Nanos{});
  REQUIRE(vm.linux_guest->latencies.size() == 1);
  CHECK(vm.linux_guest->latencies[0] == std::pair<std::string, vmm::Nanos>("p99", vmm::Nanos{12'500}));
  CHECK(vm.linux_guest->findings.empty());
  for (const vmm::VcpuResult& vcpu : vm.vcpus) {
    CHECK(vcpu.operations == 0);
    CHECK(vcpu.ledger.sum() > vmm::Nanos{});
  }
}

std::string agent(const std::string& more = {}) {
  return "linux,kernel=" + guest_path("agent.elf") + ",memory=32M,load=hackbench:2" + more;
}

}  // namespace

TEST_CASE("a Linux guest is measured between two answers of its agent") {
  REQUIRE_KVM(system);
  for (const char* policy : {"yield", "kvmux", "host", "host-yield", "host-kvm"}) {
    CAPTURE(policy);
    vmm::RunSpec spec = run_of(ms(300));
    add_agent(spec, "", policy);
    if (std::string(policy) == "host-kvm") spec.irqchip = vmm::Irqchip::kSplit;
    const vmm::RunResult result = run_well(spec);
    CHECK(result.window >= spec.duration);
    REQUIRE(result.vms.size() == 1);
    check_agent(result.vms[0]);
  }
}

TEST_CASE("two Linux guests and a tiny one share a worker") {
  REQUIRE_KVM(system);
  vmm::RunSpec spec = run_of(ms(1000));
  spec.workers = 1;
  add_agent(spec, "");
  add_tiny(spec);
  add_agent(spec, "");
  const vmm::RunResult result = run_well(spec);
  REQUIRE(result.vms.size() == 3);
  check_agent(result.vms[0]);
  check_agent(result.vms[2]);
  CHECK(result.vms[1].failure == "");
  CHECK(!result.vms[1].linux_guest);
  CHECK(result.vms[1].ops_per_second > 0);
}

TEST_CASE("changes of policy cut the window of Linux guests too") {
  REQUIRE_KVM(system);
  vmm::RunSpec spec = run_of(ms(600));
  add_agent(spec, "");
  spec.changes.push_back({.at = spec.duration / 2, .vms = {{*sched::parse_policy("fair"), std::nullopt}}});
  const vmm::RunResult result = run_well(spec);
  check_agent(result.vms[0]);
  REQUIRE(result.sections.size() == 2);
  for (const vmm::Section& section : result.sections) {
    CHECK(section.result.vms[0].ops_per_second > 0);
    CHECK(section.result.vms[0].linux_guest->counted);
  }
  CHECK(result.sections[1].result.vms[0].policy == "fair");
}

TEST_CASE("a Linux guest that is never ready ends the run, with the end of its console") {
  REQUIRE_KVM(system);
  vmm::RunSpec spec = run_of(ms(300));
  add_agent(spec, "");
  add_agent(spec, "mute");
  spec.boot_limit = ms(is_slow_host() ? 20'000 : 3'000);
  const Outcome outcome = run_spec(spec);
  REQUIRE(!outcome.result);
  CHECK(outcome.result.error().kind == vmm::ErrorKind::kGuest);
  const std::string text = outcome.result.error().text();
  CHECK_MESSAGE(text.find("vm1: boot: ") == 0, text);
  CHECK_MESSAGE(text.find("--boot-limit") != std::string::npos, text);
  CHECK_MESSAGE(text.find("its agent was not heard") != std::string::npos, text);
  CHECK_MESSAGE(text.find("its console ends with 'agent: ") != std::string::npos, text);
  CHECK_MESSAGE(outcome.said.find("vm1| agent: ") != std::string::npos, outcome.said);
}

TEST_CASE("places of a Linux guest's code have the names of its kernel, or of the file that is given") {
  REQUIRE_KVM(system);
  const auto map =
      std::filesystem::temp_directory_path() / ("kvmux-map-" + std::to_string(::getpid()) + ".txt");
  std::ofstream(map) << "0000000000100000 T all_of_the_agent\n";
  vmm::RunSpec spec = run_of(ms(1000));
  spec.workers = 1;
  add_agent(spec, "");
  add_agent(spec, "").linux_guest->symbols = map.string();
  const vmm::RunResult result = run_well(spec);
  std::filesystem::remove(map);
  for (const vmm::VmResult& vm : result.vms) {
    check_agent(vm);
    REQUIRE(!vm.taken_off.sites.empty());
    CHECK(vm.taken_off.sites.front().samples > 0);
  }
  CHECK(result.vms[0].taken_off.sites.front().symbol == "delay_us");
  CHECK(result.vms[1].taken_off.sites.front().symbol == "all_of_the_agent");
  CHECK(result.vms[1].taken_off.sites.size() == 1);
}

TEST_CASE("what is no protocol ends the run before anything is measured") {
  REQUIRE_KVM(system);
  vmm::RunSpec spec = run_of(ms(300));
  add_agent(spec, "noise");
  const Outcome outcome = run_spec(spec);
  REQUIRE(!outcome.result);
  CHECK(outcome.result.error().kind == vmm::ErrorKind::kGuest);
  const std::string text = outcome.result.error().text();
  CHECK_MESSAGE(text.find("what is no text") != std::string::npos, text);
  for (const char c : text) CHECK(c >= ' ');
}

TEST_CASE("a Linux guest that ends in the window has failed, others are measured") {
  REQUIRE_KVM(system);
  vmm::RunSpec spec = run_of(ms(300));
  add_agent(spec, "leaves");
  add_agent(spec, "");
  const vmm::RunResult result = run_well(spec);
  CHECK(result.vms[0].failure == "it switched its machine off, before the measured window ended");
  REQUIRE(!result.vms[0].linux_guest->last_lines.empty());
  CHECK(result.vms[0].linux_guest->last_lines.back() == "agent: leaves");
  CHECK(!result.vms[0].linux_guest->counted);
  check_agent(result.vms[1]);
}

TEST_CASE("findings on a console are told, and fail the VM if asked") {
  REQUIRE_KVM(system);
  for (const bool fails : {false, true}) {
    CAPTURE(fails);
    vmm::RunSpec spec = run_of(ms(300));
    spec.findings_fail = fails;
    add_agent(spec, "panics");
    const vmm::RunResult result = run_well(spec);
    REQUIRE(result.vms[0].linux_guest->findings.size() == 1);
    CHECK(result.vms[0].linux_guest->findings[0].find("as it was told") != std::string::npos);
    CHECK((result.vms[0].failure == "") == !fails);
  }
}

TEST_CASE("kvmux compare boots each run anew and gives a table") {
  REQUIRE_KVM(system);
  const Finished done = run_program({"compare",          "--guest",  agent(),     "--vms",     "2",
                                     "--vcpus",          "1",        "--workers", "2",         "--policies",
                                     "host,yield,kvmux", "--repeat", "2",         "--seconds", "0.2",
                                     "--warmup",         "0.1",      "--report",  "off",       "--force"});
  CHECK_MESSAGE(done.status == 0, done.output);
  CHECK_MESSAGE(done.says("linux (hackbench:2)"), done.output);
  CHECK_MESSAGE(done.says("all Linux guests are ready"), done.output);
  for (const char* policy : {"host", "yield", "kvmux"}) CHECK(done.says(policy));
}

TEST_CASE("kvmux run tells of its Linux guests in text and JSON, and in the sandbox") {
  REQUIRE_KVM(system);
  const auto file =
      std::filesystem::temp_directory_path() / ("kvmux-linux-" + std::to_string(::getpid()) + ".json");
  const Finished done =
      run_program({"run", "--vm", "guest=" + agent(",vcpus=1"), "--vm", "guest=lock,vcpus=2", "--seconds",
                   "0.3", "--force", "--json", file.string()});
  CHECK_MESSAGE(done.status == 0, done.output);
  CHECK_MESSAGE(done.says("vm0: Linux was ready after"), done.output);
  std::ifstream stream(file);
  const vmm::Json json = vmm::Json::parse(stream);
  std::filesystem::remove(file);
  const vmm::Json& vms = json["runs"][0]["result"]["vms"];
  CHECK(vms[0]["linux"]["operations"] > 0);
  CHECK(vms[0]["linux"]["findings"].empty());
  CHECK(!vms[0]["vcpus"][0].contains("operations"));
  CHECK(vms[1]["vcpus"][0]["operations"] > 0);
  CHECK(!vms[1].contains("linux"));
}

TEST_CASE("a traced run with a Linux guest is read by kvmux trace, and not replayed") {
  REQUIRE_KVM(system);
  const auto file =
      std::filesystem::temp_directory_path() / ("kvmux-linux-" + std::to_string(::getpid()) + ".trace");
  const Finished done = run_program({"run", "--guest", agent(), "--vms", "1", "--vcpus", "1", "--seconds",
                                     "0.2", "--force", "--trace", file.string()});
  CHECK_MESSAGE(done.status == 0, done.output);
  const Finished stats = run_program({"trace", "stats", file.string()});
  CHECK_MESSAGE(stats.status == 0, stats.output);
  const Finished replay = run_program({"replay", file.string()});
  CHECK_MESSAGE(replay.status == 2, replay.output);
  CHECK_MESSAGE(replay.says("'linux'"), replay.output);
  std::filesystem::remove(file);
}
