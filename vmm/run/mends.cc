// The judging half of host_facts.h.
#include <fmt/format.h>

#include <cerrno>

#include "vmm/host_facts.h"

namespace vmm {
namespace {

using Lines = std::vector<std::string>;

std::string as_root(const HostFacts& facts, const std::string& command) {
  return facts.is_root ? command : "sudo " + command;
}

const char* module_of(const HostFacts& facts) { return facts.is_amd ? "kvm_amd" : "kvm_intel"; }

// The container's host has to hand the device in; nothing that is done inside helps.
Lines container_needs_device() {
  return {"# this is a container: start it with the device",
          "docker run --device /dev/kvm --group-add \"$(stat -c %g /dev/kvm)\" ..."};
}

// The outer host decides whether this machine's CPU has virtualization.
Lines nested(const HostFacts& facts) {
  const char* module = module_of(facts);
  return {
      "# this is a virtual machine without virtualization of its own: on ITS host, with its guests shut down",
      fmt::format("sudo modprobe -r {0} && sudo modprobe {0} nested=1", module),
      fmt::format("echo 'options {} nested=1' | sudo tee /etc/modprobe.d/kvm-nested.conf", module),
      "# and give this machine the host's CPU: qemu -cpu host, or with libvirt",
      "virt-xml NAME --edit --cpu host-passthrough"};
}

Lines firmware(const HostFacts& facts) {
  return {fmt::format("# switch {} on in the firmware's set-up",
                      facts.is_amd ? "SVM (AMD-V)" : "VT-x (Intel virtualization technology)"),
          as_root(facts, "systemctl reboot --firmware-setup")};
}

Lines module_package(const HostFacts& facts) {
  const std::string package =
      facts.os == "ubuntu" ? "linux-modules-extra-" + facts.kernel : std::string{"linux-image-amd64"};
  if (facts.os != "ubuntu" && facts.os != "debian") {
    return {fmt::format("# install the package of kernel {} that has the module {}", facts.kernel,
                        module_of(facts))};
  }
  return {as_root(facts, "apt-get install " + package)};
}

Lines load_module(const HostFacts& facts) {
  if (!facts.has_virtualization) return facts.in_hypervisor ? nested(facts) : firmware(facts);
  Lines lines = facts.module_there ? Lines{} : module_package(facts);
  lines.push_back(as_root(facts, fmt::format("modprobe {}", module_of(facts))));
  return lines;
}

Lines make_node(const HostFacts& facts) {
  return {as_root(facts, "mknod /dev/kvm c 10 232"), as_root(facts, "chgrp kvm /dev/kvm"),
          as_root(facts, "chmod 660 /dev/kvm")};
}

// For now, and after the next start.
Lines open_node_to_group(const HostFacts& facts) {
  Lines lines;
  if (!facts.kvm_group_exists) lines.push_back(as_root(facts, "groupadd --system kvm"));
  lines.push_back(as_root(facts, "chgrp kvm /dev/kvm") + " && " + as_root(facts, "chmod 660 /dev/kvm"));
  lines.push_back("echo 'KERNEL==\"kvm\", GROUP=\"kvm\", MODE=\"0660\"' | " +
                  as_root(facts, "tee /etc/udev/rules.d/65-kvm.rules"));
  return lines;
}

Lines join_group(const HostFacts& facts, const std::string& group) {
  Lines lines;
  if (!facts.listed_in_group) lines.push_back(as_root(facts, fmt::format("usermod -aG {} $USER", group)));
  lines.push_back("# then log in again, or for this terminal");
  lines.push_back(fmt::format("newgrp {}", group));
  return lines;
}

Lines permission(const HostFacts& facts) {
  const bool group_will_do = facts.group_may && facts.node_group != "root";
  if (group_will_do && facts.in_group) {  // the node's rights are fine: something else refuses
    return facts.in_container ? container_needs_device()
                              : Lines{"# a security module refuses it", "dmesg | tail"};
  }
  if (group_will_do) return join_group(facts, facts.node_group);
  Lines lines = open_node_to_group(facts);
  for (std::string& line : join_group(facts, "kvm")) lines.push_back(std::move(line));
  return lines;
}

Lines mend_kvm(const HostFacts& facts) {
  switch (facts.kvm_error) {
    case ENOENT:
      if (facts.in_container) return container_needs_device();
      return facts.module_loaded ? make_node(facts) : load_module(facts);
    case ENXIO:
    case ENODEV:
      return load_module(facts);
    case EACCES:
    case EPERM:
      return permission(facts);
    case EMFILE:
      return {"ulimit -n 4096"};
    default:
      return {};
  }
}

Lines mend_ring(const HostFacts& facts) {
  if (facts.ring_error == ENOMEM) return {"ulimit -l unlimited"};
  if (facts.ring_error != EPERM && facts.ring_error != EACCES) return {};
  if (facts.ring_switch.value_or(0) == 0) {
    return {"# a seccomp filter refuses io_uring, as Docker's does: start the container with",
            "docker run --security-opt seccomp=unconfined ..."};
  }
  return {as_root(facts, "sysctl kernel.io_uring_disabled=0"),
          "echo kernel.io_uring_disabled=0 | " + as_root(facts, "tee /etc/sysctl.d/60-io-uring.conf")};
}

Lines mend_cpus(const HostFacts& facts) {
  if (facts.cpus_online <= facts.cpus_allowed) return {};
  return {fmt::format("taskset -cp 0-{} $$", facts.cpus_online - 1)};
}

}  // namespace

std::vector<std::string> mends_for(std::string_view check, const HostFacts& facts) {
  if (check == "/dev/kvm") return mend_kvm(facts);
  if (check == "event loop") return mend_ring(facts);
  if (check == "CPUs") return mend_cpus(facts);
  return {};
}

}  // namespace vmm
