// Linux guests on the command line: their keys, where they may stand, hosts that cannot carry them, and what
// is printed of them.
#include <doctest/doctest.h>

#include "cli_fake.h"
#include "vmm/json.h"
#include "vmm/linux/guest_image.h"

using namespace vmm;
using namespace std::chrono_literals;

namespace {

// A host with hardware virtualization, and the files of an image.
struct LinuxProgram : FakeProgram {
  TemporaryFile kernel{"kernel"};
  TemporaryFile initrd{"initrd"};
  std::string image;  // "kernel=…,initrd=…"

  LinuxProgram() {
    kernel.write("a kernel");
    initrd.write("its files");
    facts.has_virtualization = true;
    image = "kernel=" + kernel.path() + ",initrd=" + initrd.path();
    backend = [](const RunSpec& spec) { return linux_result(spec); };
  }
  int run_line(const std::string& line) { return run(words(line)); }

  static RunResult linux_result(const RunSpec& spec) {
    RunResult result = fake_result(spec, 500);
    for (size_t i = 0; i < spec.vms.size(); ++i) {
      if (!spec.vms[i].linux_guest) continue;
      VmResult& vm = result.vms[i];
      vm.ack_hist = {};
      for (VcpuResult& vcpu : vm.vcpus) {
        vcpu.operations = 0;
        vcpu.work_time = {};
      }
      vm.linux_guest = LinuxResult{.boot_time = 2s,
                                   .counted = true,
                                   .operations = 1000,
                                   .guest_time = 2s,
                                   .steal = 250ms,
                                   .latencies = {{"p99", Nanos{3ms}}},
                                   .findings = {},
                                   .last_lines = {}};
    }
    return result;
  }
};

}  // namespace

TEST_CASE("linux: its keys reach the spec, and colons belong to them") {
  LinuxProgram program;
  REQUIRE(program.run_line("run --guest linux," + program.image +
                           ",memory=512M,load=dbench:8,cmdline=quiet --vms 2 --vcpus 2 --policy kvmux") == 0);
  REQUIRE(program.asked.size() == 1);
  const RunSpec& spec = program.asked.front();
  REQUIRE(spec.vms.size() == 2);
  for (const VmSpec& vm : spec.vms) {
    CHECK(vm.guest == "linux");
    REQUIRE(vm.linux_guest);
    CHECK(vm.linux_guest->kernel == program.kernel.path());
    CHECK(vm.linux_guest->initrd == program.initrd.path());
    CHECK(vm.linux_guest->load == "dbench:8");
    CHECK(contains(vm.linux_guest->cmdline, "quiet"));
    CHECK(vm.memory_bytes == 512u << 20);
    CHECK(vm.vcpus == 2);
  }
  CHECK(spec.warmup == 1s);
  CHECK(spec.spin_detect == SpinDetect::kBoth);
  CHECK(spec.boot_limit == 300s);
  CHECK(spec.paravirt);
  CHECK(!spec.findings_fail);
}

TEST_CASE("linux: what the user sets stays, and tiny guests keep their defaults") {
  LinuxProgram program;
  REQUIRE(program.run_line(
              "run --guest linux," + program.image +
              " --warmup 0.2 --spin-detect off --boot-limit 20 --paravirt none --fail-on-findings") == 0);
  CHECK(program.asked.front().warmup == 200ms);
  CHECK(program.asked.front().spin_detect == SpinDetect::kOff);
  CHECK(program.asked.front().boot_limit == 20s);
  CHECK(!program.asked.front().paravirt);
  CHECK(program.asked.front().findings_fail);
  CHECK(program.asked.front().vms.front().memory_bytes == 256u << 20);
  REQUIRE(program.run_line("run --guest lock") == 0);
  CHECK(program.asked.back().warmup == 100ms);
  CHECK(program.asked.back().spin_detect == SpinDetect::kDoorbell);
  CHECK(!program.asked.back().vms.front().linux_guest);
}

TEST_CASE("linux: beside tiny guests, in one run and in a grid") {
  LinuxProgram program;
  REQUIRE(program.run_line("run --vm guest=linux," + program.image +
                           ",load=hackbench:4,vcpus=2 --vm guest=lock,vcpus=3,hold=7us --policy yield") == 0);
  const RunSpec& mixed = program.asked.front();
  REQUIRE(mixed.vms.size() == 2);
  CHECK(mixed.vms[0].linux_guest->load == "hackbench:4");
  CHECK(!mixed.vms[1].linux_guest);
  CHECK(mixed.vms[1].workload.hold_ns == 7000);
  program.asked.clear();
  REQUIRE(program.run_line("run --guest linux," + program.image +
                           " --vm load=dbench:2,vcpus=1 --vm vcpus=2 --vm guest=compute") == 0);
  const RunSpec& listed = program.asked.front();
  CHECK(listed.vms[0].linux_guest->load == "dbench:2");
  CHECK(listed.vms[1].linux_guest->kernel == program.kernel.path());
  CHECK(!listed.vms[2].linux_guest);
  program.asked.clear();
  REQUIRE(program.run_line("compare --guest linux," + program.image + ",load=dbench:2,lock,think=5us;linux," +
                           program.image +
                           ",load=hackbench --policies yield,v2 --repeat 1 --seconds 0.1 --report off") == 0);
  CHECK(program.asked.size() == 6);
  CHECK(contains(program.out.str(), "linux (dbench:2)"));
  CHECK(contains(program.out.str(), "linux (hackbench)"));
}

TEST_CASE("linux: what cannot be is refused before anything runs") {
  LinuxProgram program;
  struct Case {
    std::string line;
    std::vector<std::string_view> mentions;
  };
  const std::string linux = "linux," + program.image;
  const Case cases[] = {
      {"run --backend sim --guest " + linux, {"--guest", "'linux'", "the simulator runs no code"}},
      {"sim compare --guest " + linux, {"--guest", "'linux'", "the simulator runs no code"}},
      {"run --guest linux,colour=red", {"--guest linux", "unknown key 'colour'", "kernel, initrd, load"}},
      {"run --guest linux,think=5us", {"--guest linux", "unknown key 'think'"}},
      {"run --guest linux,load=", {"--guest linux,load"}},
      {"run --guest linux,load=a/b", {"--guest linux,load", "a/b", "hackbench"}},
      {"run --guest linux,memory=5", {"--guest linux,memory", "'5'"}},
      {"run --guest linux,kernel=/nowhere/vmlinuz", {"kernel", "'/nowhere/vmlinuz' is not a file"}},
      {"run --guest linux,kernel=" + program.kernel.path() + ",initrd=/nowhere/files",
       {"initrd", "'/nowhere/files'"}},
      {"run --vm guest=lock,load=dbench:8", {"--vm load", "needs guest=linux"}},
      {"run --guest " + linux + " --paravirt xen", {"--paravirt", "'xen'", "kvm, none"}},
      {"run --guest " + linux + " --boot-limit soon", {"--boot-limit", "'soon'"}},
      {"yields --policies yield --guest " + linux, {"--guest", "'linux'"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.line);
    CHECK(program.run_line(c.line) == 2);
    for (const std::string_view mention : c.mentions) {
      CAPTURE(mention);
      CHECK_MESSAGE(contains(program.err.str(), mention), program.err.str());
    }
  }
  CHECK(program.asked.empty());
}

TEST_CASE("linux: who names no kernel gets the image of all loads") {
  LinuxProgram program;
  std::vector<std::string> wanted;
  program.linux_image = [&](std::span<const linux_guest::Load> loads,
                            const linux_guest::Say& say) -> Result<linux_guest::GuestImage> {
    for (const linux_guest::Load& load : loads) wanted.push_back(load.text());
    say("fetching a kernel");
    return linux_guest::GuestImage{program.kernel.path(), program.initrd.path(), {}};
  };
  REQUIRE(program.run_line("run --vm guest=linux,load=dbench:8 --vm guest=linux --vm guest=lock") == 0);
  CHECK(wanted == std::vector<std::string>{"dbench:8", "hackbench"});
  CHECK(contains(program.err.str(), "kvmux: fetching a kernel"));
  CHECK(program.asked.front().vms[1].linux_guest->kernel == program.kernel.path());
  CHECK(program.asked.front().vms[1].linux_guest->initrd == program.initrd.path());
  wanted.clear();
  REQUIRE(program.run_line("run --guest linux,kernel=" + program.kernel.path()) == 0);
  CHECK(wanted.empty());
  CHECK(program.asked.back().vms[0].linux_guest->initrd.empty());
  program.linux_image = nullptr;
  CHECK(program.run_line("run --guest linux") == 2);
}

TEST_CASE("linux: where KVM would interpret the kernel, only with --force") {
  LinuxProgram program;
  program.facts.has_virtualization = false;
  for (const std::string command :
       {"run", "compare --policies yield,v2 --repeat 1 --seconds 0.1 --report off"}) {
    CAPTURE(command);
    program.asked.clear();
    CHECK(program.run_line(command + " --guest linux," + program.image) == 3);
    CHECK(contains(program.err.str(), "no hardware virtualization"));
    CHECK(contains(program.err.str(), "--force"));
    CHECK(program.asked.empty());
    CHECK(program.run_line(command + " --force --guest linux," + program.image) == 0);
    CHECK(contains(program.err.str(), "warning: --guest linux"));
    CHECK(!program.asked.empty());
  }
  CHECK(program.run_line("run --guest lock") == 0);
  CHECK(program.err.str().find("virtualization") == std::string::npos);
}

TEST_CASE("linux: nothing is said of what its vCPUs counted") {
  LinuxProgram program;
  TemporaryFile file{"linux.json"};
  REQUIRE(program.run_line("run --guest linux," + program.image + ",load=dbench:8 --vms 2 --json " +
                           file.path()) == 0);
  CHECK(contains(program.out.str(), "linux (dbench:8)"));
  CHECK(contains(program.out.str(), "steal by its own account 250 ms"));
  CHECK(contains(program.out.str(), "p99 3.00 ms"));
  CHECK(!contains(program.out.str(), "Fairness between vCPUs"));
  CHECK(!contains(program.out.str(), "Useful"));
  CHECK(contains(program.out.str(), "Fairness between VMs"));
  const Json json = Json::parse(file.read());
  const Json& run = json["runs"][0];
  CHECK(run["spec"]["vms"][0]["linux"]["load"] == "dbench:8");
  CHECK(run["spec"]["paravirt"] == "kvm");
  CHECK(!run["spec"]["vms"][0].contains("workload"));
  const Json& vm = run["result"]["vms"][0];
  CHECK(vm["ops_per_second"] == 500);
  CHECK(vm["linux"]["operations"] == 1000);
  CHECK(vm["linux"]["steal_ns"] == 250'000'000);
  CHECK(vm["linux"]["ledger_steal_ns"] == vm["linux"]["waiting_ns"]);  // nothing is stolen here
  CHECK(vm["linux"]["latency_ns"]["p99"] == 3'000'000);
  CHECK(!vm["vcpus"][0].contains("operations"));
  CHECK(vm["vcpus"][0].contains("ledger"));
  CHECK(!vm.contains("ack"));
  CHECK(run["result"]["metrics"].contains("throughput"));
  CHECK(!run["result"]["metrics"].contains("useful"));
  CHECK(!run["result"]["metrics"].contains("vcpu_fairness"));
}

TEST_CASE("linux: symbols are checked before anything runs, and keep the kernel where it is") {
  LinuxProgram program;
  TemporaryFile map{"System.map"};
  map.write("ffffffff81000000 T _text\nffffffff81000100 t native_queued_spin_lock_slowpath\n");
  REQUIRE(program.run_line("run --guest linux," + program.image + ",symbols=" + map.path() + " --json -") == 0);
  CHECK(program.asked.front().vms[0].linux_guest->symbols == map.path());
  CHECK(Json::parse(program.out.str())["runs"][0]["spec"]["vms"][0]["linux"]["symbols"] == map.path());
  REQUIRE(program.run_line("run --vm guest=linux,vcpus=2,symbols=" + map.path() + "," + program.image) == 0);
  CHECK(program.asked.back().vms[0].linux_guest->symbols == map.path());

  LinuxGuest guest = *program.asked.back().vms[0].linux_guest;
  const auto has = [&guest](std::string_view word) { return contains(" " + kernel_cmdline(guest) + " ", word); };
  CHECK(has(" tsc=reliable "));
  CHECK(has(" nokaslr "));
  guest.cmdline = "quiet kaslr";
  CHECK_FALSE(has(" nokaslr "));
  guest.cmdline = "nokaslr";
  CHECK(has(" nokaslr "));
  CHECK_FALSE(has(" nokaslr nokaslr "));
  guest.cmdline = "";
  guest.symbols = "";
  CHECK_FALSE(has(" nokaslr "));

  program.asked.clear();
  CHECK(program.run_line("run --guest linux," + program.image + ",symbols=/nowhere/map") == 2);
  CHECK(contains(program.err.str(), "--guest linux,symbols: '/nowhere/map' is not a file"));
  map.write("ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n");
  CHECK(program.run_line("run --guest linux," + program.image + ",symbols=" + map.path()) == 2);
  CHECK(contains(program.err.str(), "--guest linux,symbols"));
  CHECK(contains(program.err.str(), "-dbg package"));
  CHECK(program.run_line("run --vm guest=lock,symbols=" + map.path()) == 2);
  CHECK(contains(program.err.str(), "--vm symbols: needs guest=linux"));
  CHECK(program.asked.empty());
}

TEST_CASE("linux: findings and last lines are printed, a failure ends with 1") {
  LinuxProgram program;
  program.backend = [](const RunSpec& spec) {
    RunResult result = LinuxProgram::linux_result(spec);
    result.vms[0].failure = "it ended before the measured window did";
    result.vms[0].linux_guest->findings = {"kernel panic: VFS"};
    result.vms[0].linux_guest->last_lines = {"Kernel panic - not syncing: VFS"};
    return result;
  };
  CHECK(program.run_line("run --vms 1 --guest linux," + program.image) == 1);
  CHECK(contains(program.out.str(), "vm0: finding: kernel panic: VFS"));
  CHECK(contains(program.out.str(), "vm0| Kernel panic - not syncing: VFS"));
  CHECK(contains(program.out.str(), "vm0: FAILED: it ended before"));
}

TEST_CASE("linux: turns of a switchback are not for guests that are asked for their counters") {
  LinuxProgram program;
  CHECK(program.run_line(
            "compare --design switchback --policies yield,v2 --repeat 1 --seconds 0.1 --report off "
            "--guest linux," +
            program.image) == 0);
  CHECK(contains(program.err.str(), "measured in blocks"));
}
