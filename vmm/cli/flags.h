// The flags that describe a run, the same for run, compare, sim and sweep: their raw text, their registration
// with CLI11, and the --vm and --group syntax. Nothing is interpreted here beyond the syntax; spec.h makes a
// RunSpec of it. Main thread.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vmm/cli/guests.h"
#include "vmm/run_types.h"

namespace CLI {
class App;
}

namespace vmm {

using KeyValues = std::vector<std::pair<std::string, std::string>>;

struct RunFlags {
  std::string guests = "lock";  // list: NAME[,key=value]…
  std::string vms = "2";        // list in grids
  std::string vcpus = "4";      // list in grids
  std::string workers = "2";
  std::string cpus;  // list; empty: chosen by topology
  std::string policies = "yield";
  std::string seconds;
  std::string warmup = "auto";
  std::string weights;
  std::string seed = "1";
  std::string spin_window = "auto";
  std::string rotate = "100ms";
  std::string stall = "2s";
  std::string loses_wakeups = "0";
  std::string spin_detect = "auto";
  std::string ring = "3";
  std::string memory = "auto";
  std::string guest_args;
  std::string backend = "kvm";
  std::string irqchip = "user";
  std::string event_loop = "auto";
  std::string carriers = "auto";  // list in grids: MODE[,N=MODE]…
  std::string cost_profile;
  std::string boot_limit = "300";  // Linux guests, as all that follows up to here:
  std::string paravirt = "kvm";
  bool fail_on_findings = false;
  bool force = false;
  std::vector<std::string> vm;     // --vm key=value,…
  std::vector<std::string> group;  // --group PATH:weight=N
  KeyValues workload;              // --think 50us …: keys of workload_keys()
  KeyValues policy_keys;           // --deboost off, --slice 3ms …: keys of a policy string
};

enum class FlagSet : uint8_t {
  kSingle,  // one configuration
  kGrid,    // lists of guests, VMs, vCPUs and policies
  kSweep,   // as kGrid, but the number of VMs follows from the ratio
};

// --cpus of all commands that run guests.
inline constexpr const char* kCpusType = "LIST";
inline constexpr const char* kCpusHelp =
    "choose the workers' CPUs, and those of host threads, among these, e.g. 2-5,8 [all that are allowed]; "
    "cores come before SMT siblings, one memory node before a second, performance before efficiency cores";

inline constexpr const char* kCarriersHelp =
    "a thread for each vCPU, between which workers are handed on; auto: where moving a vCPU to another "
    "thread is dear "
    "(before Linux 6.13)";

// --stall of all commands that run guests, and a planted fault for tests.
inline constexpr const char* kStallHelp =
    "say so, with a dump, when a vCPU or worker gets nowhere for so long (SIGUSR1: a dump at any time)";
inline constexpr const char* kStallType = "TIME|off";
inline constexpr const char* kLosesWakeups = "--plant-lost-wakeups";
[[nodiscard]] Result<Nanos> parse_stall(std::string_view text);
[[nodiscard]] Result<uint32_t> parse_loses_wakeups(std::string_view text);

// Adds the flags to a command. `flags` must outlive the parsing.
void add_run_flags(CLI::App& app, RunFlags& flags, FlagSet set);

// A flag for every key of a policy (--deboost, --slice …): of all commands that take a policy for guests. `keys` gets
// what is given, and must outlive the parsing.
void add_policy_keys(CLI::App& app, KeyValues& keys);

// `NAME[,key=value]…[,NAME…]`: commas, colons and semicolons separate, a key=value belongs to the name before
// it.
struct NamedItem {
  std::string name;
  KeyValues keys;
};
[[nodiscard]] Result<std::vector<NamedItem>> parse_items(std::string_view flag, std::string_view list);

// `key=value,key=value`: the body of --vm.
[[nodiscard]] Result<KeyValues> parse_keys(std::string_view flag, std::string_view text);

// `PATH:weight=N`.
[[nodiscard]] Result<GroupSpec> parse_group(std::string_view text);

// --live, of commands that run guests on KVM.
void add_live_flag(CLI::App& app, bool& live);

}  // namespace vmm
