// What `kvmux doctor` says to type, on hosts that are only facts.
#include <doctest/doctest.h>

#include <cerrno>

#include "cli_fake.h"
#include "vmm/json.h"
#include "vmm/host_facts.h"

using namespace vmm;

namespace {

using Lines = std::vector<std::string>;

// An Intel machine with all it takes, whose user may not open /dev/kvm.
HostFacts refused() {
  return {.has_virtualization = true,
          .os = "debian",
          .kernel = "6.1.0-32-amd64",
          .module_loaded = true,
          .module_there = true,
          .kvm_error = EACCES,
          .has_node = true,
          .node_group = "kvm",
          .group_may = true};
}

// The same without the module.
HostFacts unloaded() {
  HostFacts facts = refused();
  facts.module_loaded = false;
  facts.has_node = false;
  facts.kvm_error = ENOENT;
  return facts;
}

Lines kvm(const HostFacts& facts) { return mends_for("/dev/kvm", facts); }

}  // namespace

TEST_CASE("doctor: the group of /dev/kvm") {
  HostFacts facts = refused();
  CHECK(kvm(facts) ==
        Lines{"sudo usermod -aG kvm $USER", "# then log in again, or for this terminal", "newgrp kvm"});
  facts.node_group = "36";  // the device of a host with other groups
  CHECK(kvm(facts).front() == "sudo usermod -aG 36 $USER");
  facts = refused();
  facts.listed_in_group = true;  // only this session is older
  CHECK(kvm(facts) == Lines{"# then log in again, or for this terminal", "newgrp kvm"});
  facts.in_group = true;  // and yet refused
  CHECK(kvm(facts).back() == "dmesg | tail");
  facts.in_container = true;
  CHECK(kvm(facts).back().starts_with("docker run --device /dev/kvm"));
}

TEST_CASE("doctor: the rights of /dev/kvm") {
  HostFacts facts = refused();
  facts.node_group = "root";
  CHECK(kvm(facts)[0] == "sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm");
  CHECK(kvm(facts)[1] ==
        "echo 'KERNEL==\"kvm\", GROUP=\"kvm\", MODE=\"0660\"' | sudo tee /etc/udev/rules.d/65-kvm.rules");
  CHECK(kvm(facts)[2] == "sudo usermod -aG kvm $USER");
  facts.kvm_group_exists = false;
  CHECK(kvm(facts)[0] == "sudo groupadd --system kvm");
  facts = refused();
  facts.group_may = false;  // 0600 root:kvm
  CHECK(kvm(facts)[0] == "sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm");
}

TEST_CASE("doctor: the module by the CPU's vendor, its package by the system") {
  HostFacts facts = unloaded();
  CHECK(kvm(facts) == Lines{"sudo modprobe kvm_intel"});
  facts.is_amd = true;
  CHECK(kvm(facts) == Lines{"sudo modprobe kvm_amd"});
  facts.kvm_error = ENXIO;  // the node is there, nobody answers
  CHECK(kvm(facts) == Lines{"sudo modprobe kvm_amd"});
  facts.is_root = true;
  CHECK(kvm(facts) == Lines{"modprobe kvm_amd"});
  facts.module_there = false;
  CHECK(kvm(facts) == Lines{"apt-get install linux-image-amd64", "modprobe kvm_amd"});
  facts.os = "ubuntu";
  CHECK(kvm(facts)[0] == "apt-get install linux-modules-extra-6.1.0-32-amd64");
  facts.os = "arch";
  CHECK(kvm(facts)[0] == "# install the package of kernel 6.1.0-32-amd64 that has the module kvm_amd");
}

TEST_CASE("doctor: no virtualization: the firmware's switch, or the host's of a virtual machine") {
  HostFacts facts = unloaded();
  facts.has_virtualization = false;
  CHECK(kvm(facts) == Lines{"# switch VT-x (Intel virtualization technology) on in the firmware's set-up",
                            "sudo systemctl reboot --firmware-setup"});
  facts.in_hypervisor = true;
  CHECK(kvm(facts)[1] == "sudo modprobe -r kvm_intel && sudo modprobe kvm_intel nested=1");
  facts.is_amd = true;
  CHECK(kvm(facts)[2] == "echo 'options kvm_amd nested=1' | sudo tee /etc/modprobe.d/kvm-nested.conf");
  facts.in_container = true;  // the device decides, whatever the CPU shows
  CHECK(kvm(facts).back().starts_with("docker run --device /dev/kvm"));
}

TEST_CASE("doctor: the module is there, the node is not") {
  HostFacts facts = unloaded();
  facts.module_loaded = true;
  CHECK(kvm(facts).front() == "sudo mknod /dev/kvm c 10 232");
}

TEST_CASE("doctor: io_uring and CPUs") {
  HostFacts facts = refused();
  facts.ring_error = EPERM;
  facts.ring_switch = 2;
  CHECK(mends_for("event loop", facts).front() == "sudo sysctl kernel.io_uring_disabled=0");
  facts.ring_switch = 0;
  CHECK(mends_for("event loop", facts).back().starts_with("docker run --security-opt seccomp=unconfined"));
  facts.ring_error = ENOMEM;
  CHECK(mends_for("event loop", facts) == Lines{"ulimit -l unlimited"});
  facts.ring_error = ENOSYS;  // a kernel without it
  CHECK(mends_for("event loop", facts).empty());
  facts.cpus_online = 8;
  CHECK(mends_for("CPUs", facts) == Lines{"taskset -cp 0-7 $$"});
  facts.cpus_online = 1;
  CHECK(mends_for("CPUs", facts).empty());
}

TEST_CASE("doctor: prints what mends a finding, beside what it means, and nothing where all is well") {
  FakeProgram program;
  program.facts = refused();
  program.doctor.checks = {{"/dev/kvm", CheckState::kFail, "open /dev/kvm: refused", "guests cannot run", {}},
                           {"event loop", CheckState::kOk, "io_uring", "", {}}};
  program.facts.ring_error = EPERM;  // not asked: the check is fine
  CHECK(program.run({"doctor"}) == 3);
  CHECK(program.out.str().find(
            "      → guests cannot run\n      $ sudo usermod -aG kvm $USER\n      # then log in") !=
        std::string::npos);
  CHECK(program.out.str().find("docker") == std::string::npos);
  CHECK(program.run({"doctor", "--json", "-"}) == 3);
  const Json checks = Json::parse(program.out.str())["checks"];
  CHECK(checks[0]["commands"][0] == "sudo usermod -aG kvm $USER");
  CHECK(checks[1]["commands"].empty());
}

TEST_CASE("doctor: what is read of this host agrees with what the kernel says") {
  const HostFacts facts = read_host_facts();
  CHECK(facts.has_node == (::access("/dev/kvm", F_OK) == 0));
  CHECK((facts.kvm_error == 0) == (::access("/dev/kvm", R_OK | W_OK) == 0));
  CHECK(facts.is_root == (::geteuid() == 0));
  CHECK(!facts.kernel.empty());
  CHECK(facts.cpus_allowed >= 1);
}
