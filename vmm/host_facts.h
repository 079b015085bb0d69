// What stands between this user and guests, and the commands that mend it: what `kvmux doctor` says to do.
// Looking and judging are apart, so that tests judge hosts that are not there.
//
// read_host_facts() opens files and devices: before the sandbox, main thread. mends_for() is pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmm {

struct HostFacts {
  // The CPU, by /proc/cpuinfo.
  bool is_amd = false;
  bool has_virtualization = false;  // vmx or svm
  bool in_hypervisor = false;       // this machine is itself virtual
  bool in_container = false;
  bool is_root = false;
  std::string os = {};      // ID of os-release: "debian", "ubuntu"
  std::string kernel = {};  // "6.1.0-32-amd64"
  // KVM's driver.
  bool module_loaded = false;
  bool module_there = false;  // could be loaded: its file is there
  // /dev/kvm.
  int kvm_error = 0;  // errno of opening it, 0: it opened
  bool has_node = false;
  std::string node_group = {};   // name, or number where it has none
  bool group_may = false;        // read and write
  bool kvm_group_exists = true;  // a group "kvm"
  bool listed_in_group = false;  // this user is a member of node_group…
  bool in_group = false;         // …and this session knows it
  // io_uring.
  int ring_error = 0;                   // errno of making a ring, 0: made
  std::optional<int> ring_switch = {};  // kernel.io_uring_disabled
  // CPUs.
  int cpus_online = 1;
  int cpus_allowed = 1;
};

HostFacts read_host_facts();

// Commands to type in this order, for a check of the report by its name; empty if none helps. A line that
// begins with
// "#" says where or when, the others can be pasted into a shell as they are, but for NAME and "...".
std::vector<std::string> mends_for(std::string_view check, const HostFacts& facts);

}  // namespace vmm
