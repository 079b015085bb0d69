#include <doctest/doctest.h>

#include "cli_fake.h"
#include "vmm/cli/cli.h"
#include "vmm/json.h"

using namespace vmm;
using namespace std::chrono_literals;

TEST_CASE("bad input: names the flag, the value and what is accepted, exits with 2, runs nothing") {
  struct Case {
    std::string_view line;
    std::vector<std::string_view> mentions;
  };
  const Case cases[] = {
      {"", {"a command is needed"}},
      {"rum", {"rum", "unknown command", "did you mean run?", "doctor"}},
      {"sim rum", {"rum", "unknown command", "did you mean run?", "sweep"}},
      {"sim", {"a command is needed"}},
      {"run --vmz 3", {"--vmz", "unknown flag", "did you mean --vms?"}},
      {"run extra", {"extra"}},
      {"run --vms", {"--vms"}},
      {"run --vms 0", {"--vms", "'0'", "from 1 to"}},
      {"run --vms -1", {"--vms", "'-1'", "from 1 to"}},
      {"run --vms two", {"--vms", "'two'", "a whole number"}},
      {"run --vms 1,2", {"--vms", "compare"}},
      {"run --vcpus 0", {"--vcpus", "'0'", "from 1 to 1024"}},
      {"run --vcpus 1025", {"--vcpus", "'1025'", "from 1 to 1024"}},
      {"run --vms 100 --vcpus 1000", {"--vms", "100 × 1000", "16384"}},
      {"run --workers 0", {"--workers", "'0'"}},
      {"run --guest lokc", {"--guest", "'lokc'", "did you mean lock?", "pingpong", "ELF64"}},
      {"run --guest lock,lock=spin", {"--guest lock,lock", "'spin'", "ttas, ticket, mcs"}},
      {"run --guest lock,colour=red", {"--guest lock,colour", "unknown workload key 'colour'", "fanout"}},
      {"run --guest ipi --vcpus 1", {"--vcpus", "'1'", "at least 2 for guest ipi"}},
      {"run --guest ipi --vcpus 4 --fanout 4", {"--fanout", "'4'", "1 to 3 with 4 vCPUs"}},
      {"run --guest ipi --fanout none", {"--fanout", "'none'", "all"}},
      {"run --guest ipi --senders 9 --vcpus 4", {"--senders", "'9'"}},
      {"run --policy kvmx", {"--policy", "unknown policy 'kvmx'", "did you mean kvmux?", "host-yield"}},
      {"run --policy v2,debost=off", {"unknown key 'debost'", "did you mean deboost?"}},
      {"run --policy yield,fair", {"--policy", "yield,fair", "compare"}},
      {"run --deboost maybe", {"--deboost", "maybe", "off, on"}},
      {"run --ipi-window 10", {"--ipi-window", "10", "10s"}},
      {"run --slice 1ns", {"--slice", "1ns", "100us"}},
      {"run --seconds fast", {"--seconds", "'fast'", "500ms"}},
      {"run --seconds 0", {"--seconds", "'0'"}},
      {"run --warmup -1", {"--warmup", "'-1'"}},
      {"run --seed x", {"--seed", "'x'"}},
      {"run --spin-window 5", {"--spin-window", "'5'"}},
      {"run --cpus 0,2", {"--cpus", "'2'", "out of 0,1"}},
      {"run --cpus 0-7", {"--cpus", "'2'", "out of 0,1"}},
      {"compare --cpus 1-0", {"--cpus", "'1-0'", "out of 0,1"}},
      {"sweep --cpus one", {"--cpus", "'one'", "like 2-5,8"}},
      {"run --cpus 0,,1", {"--cpus", "''"}},
      {"boot image.elf --cpus 4", {"--cpus", "'4'", "out of 0,1"}},
      {"sim run --cpus 0", {"--cpus", "'0'", "--backend kvm"}},
      {"run --rotate 5", {"--rotate", "'5'", "1ms"}},
      {"run --event-loop select", {"--event-loop", "'select'", "auto, io_uring, epoll"}},
      {"boot x.elf --event-loop select", {"--event-loop", "'select'", "auto, io_uring, epoll"}},
      {"run --carriers some", {"--carriers", "'some'", "auto, on, off"}},
      {"run --carriers 1=on", {"--carriers", "'1=on'", "compare"}},
      {"compare --policies yield,v2 --carriers 3=on", {"--carriers", "'3'", "1"}},
      {"boot x.elf --carriers some", {"--carriers", "'some'", "auto, on, off"}},
      {"run --rotate never", {"--rotate", "'never'", "off"}},
      {"run --spin-detect bell", {"--spin-detect", "'bell'", "doorbell, sample, both, off"}},
      {"run --ring 1", {"--ring", "'1'", "0 or 3"}},
      {"run --memory 12Q", {"--memory", "'12Q'", "64M"}},
      {"run --memory 100G", {"--memory", "'100G'", "3072M"}},
      {"run --think 5", {"--think", "'5'"}},
      {"run --weight 0", {"--weight", "'0'"}},
      {"run --backend xen", {"--backend", "'xen'", "kvm, sim"}},
      {"run --cost-profile kvm-pvm", {"--cost-profile", "--backend sim"}},
      {"run --irqchip split --policy v2", {"--irqchip split", "'v2'", "neither IPIs nor EOIs", "host-kvm"}},
      {"run --irqchip split --policy fair", {"--irqchip split", "'fair'", "host-kvm"}},
      {"run --group prod", {"--group", "'prod'", "PATH:weight=N"}},
      {"run --group prod:weight=0", {"--group prod", "'0'"}},
      {"run --vm guest", {"--vm", "'guest'", "key=value"}},
      {"run --vm colour=red", {"--vm", "unknown key 'colour'", "handicap"}},
      {"run --vm vcpus=0", {"--vm vcpus", "'0'"}},
      {"run --vm policy=nope", {"--vm policy", "unknown policy 'nope'"}},
      {"run --vm slice=3ms", {"--vm slice", "policy="}},
      {"run --vm policy=rr --vm policy=v2", {"'rr'", "'v2'", "run queues"}},
      {"run --repeat 0", {"--repeat", "'0'"}},
      {"compare --policies yield,,v2", {"--policy", "unknown policy ''"}},
      {"compare --policies yield,v2 --baseline fair", {"--baseline", "'fair'", "yield, v2"}},
      {"compare --until-ci 0%", {"--until-ci", "'0%'"}},
      {"compare --margin 120%", {"--margin", "'120%'"}},
      {"compare --metrics speed", {"--metrics", "'speed'", "throughput"}},
      {"compare --handicap 3=10% --policies yield,v2", {"--handicap", "'3'", "from 1 to 2"}},
      {"compare --handicap ten", {"--handicap", "'ten'", "N=PERCENT"}},
      {"compare --vms 2,2", {"lock", "listed twice"}},
      {"compare --policies host-kvm,v2 --irqchip split", {"--irqchip split", "'v2'"}},
      {"compare --efficiency --vm guest=lock --vm guest=compute", {"--efficiency", "the same guest"}},
      {"compare --from nowhere.jsonl", {"nowhere.jsonl", "no such file"}},
      {"compare --from a --out b", {"--from, --out"}},
      {"sweep --ratio 0", {"--ratio", "'0'"}},
      {"sweep --ratio 3 --workers 2 --vcpus 4", {"--ratio", "'3'", "whole VMs of 4 vCPUs"}},
      {"gate", {"--from", "is needed"}},
      {"gate --metric exits", {"--metric", "exits"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.line);
    FakeProgram program;
    CHECK(program.run(words(c.line)) == 2);
    const std::string said = program.err.str();
    CAPTURE(said);
    for (const std::string_view mention : c.mentions) {
      CAPTURE(mention);
      CHECK(contains(said, mention));
    }
    CHECK(said.starts_with("kvmux: "));
    CHECK(std::count(said.begin(), said.end(), '\n') == 1);
    CHECK(program.asked.empty());
  }
}

TEST_CASE("help and version are answers, not errors") {
  FakeProgram program;
  CHECK(program.run({"--help"}) == 0);
  CHECK(contains(program.out.str(), "compare"));
  CHECK(program.run({"run", "--help"}) == 0);
  CHECK(contains(program.out.str(), "--ipi-window"));
  CHECK(contains(program.out.str(), "--deboost"));
  CHECK(program.run({"--version"}) == 0);
  CHECK(program.out.str().starts_with(std::string("kvmux ") + kVersion + "\ncommit     unknown"));
}
