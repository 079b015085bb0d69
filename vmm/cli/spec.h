// From flags to runs: checks every value and makes the configurations of a grid, each without its policy, and
// the policies. Needs no KVM. Main thread.
//
//   interpret(flags, limits) → Request;   with_policy(setup, policy, …) → RunSpec
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/cli/flags.h"

namespace vmm {

// What the host allows, given rather than looked up so that tests can choose it.
struct HostLimits {
  std::vector<int> cpus{0};  // that this process may run on, in order
};
HostLimits host_limits();

inline constexpr uint32_t kMaxVcpusPerVm = 1024;  // KVM_CAP_MAX_VCPUS, and what an xAPIC table can hold
inline constexpr uint32_t kMaxVms = 16384;
inline constexpr uint32_t kMaxTotalVcpus = 16384;
inline constexpr uint32_t kMaxWorkers = 1024;
inline constexpr std::array<std::string_view, 3> kEventLoopWords{"auto", "io_uring",
                                                                 "epoll"};            // EventLoopKind
inline constexpr std::array<std::string_view, 3> kCarrierWords{"auto", "on", "off"};  // Carriers

// One configuration without the policy under comparison.
struct Setup {
  RunSpec spec;                    // its VMs' policies are set only where --vm says so
  std::vector<bool> takes_policy;  // per VM: runs under the policy under comparison
  std::string guest;               // title: "lock ticket, think 50us, hold 20us"
  std::string size;                // "2 × 4"
  uint32_t vcpus_in_all = 0;
};

struct Request {
  std::vector<Setup> setups;  // a grid in the order guest, vCPUs, VMs
  std::vector<sched::Policy> policies;
  std::vector<std::optional<Carriers>> carriers;  // by policy; nothing: the setups'
  std::vector<int> cpus;  // to choose those of the runs from; empty: all that are allowed
  std::vector<std::string> warnings;
};

[[nodiscard]] Result<Request> interpret(const RunFlags& flags, Nanos default_seconds, HostLimits limits);

// The run of one setup under one policy; refuses combinations that cannot be.
[[nodiscard]] Result<RunSpec> with_policy(const Setup& setup, const sched::Policy& policy);

// Sets up one VM from the body of --vm; what it does not say comes from `standard`. `takes_policy` becomes
// false if it names a policy.
struct VmDefaults {
  VmSpec vm;
  WorkloadFlags workload;  // of the flags, under the VM's own keys
  KeyValues policy_keys;
};
[[nodiscard]] Result<VmSpec> parse_vm(std::string_view text, const VmDefaults& standard, bool* takes_policy);

// Applies the policy flags below the policy's own keys.
[[nodiscard]] Result<void> apply_policy_flags(sched::Policy& policy, const KeyValues& keys);

// Values that both a flag and a key of --vm take. 0 bytes of memory stand for `auto`.
[[nodiscard]] Result<uint32_t> parse_ring(std::string_view flag, std::string_view value);
[[nodiscard]] Result<uint64_t> parse_memory(std::string_view flag, std::string_view value);
[[nodiscard]] Result<void> check_guest_args(std::string_view flag, std::string_view value);

// A guest's name, or a path to a file that exists.
[[nodiscard]] Result<void> check_guest(std::string_view flag, const std::string& guest);

[[nodiscard]] Result<void> set_workload_key(WorkloadFlags& workload, std::string_view flag,
                                            std::string_view key, std::string_view value);

}  // namespace vmm
