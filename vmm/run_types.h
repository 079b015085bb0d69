// What a run is asked to do and what it found: the one contract between the command line, the KVM backend and
// the simulator backend. JSON, tables and comparisons are made from these and from nothing else.
//
// Plain data, any thread. Times are host nanoseconds unless a name says otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "guest/abi.h"
#include "sched/base/stats.h"
#include "sched/base/types.h"
#include "sched/policy/policy.h"

namespace vmm {

using sched::Nanos;

enum class Backend : uint8_t { kKvm, kSim };
enum class SpinDetect : uint8_t { kDoorbell, kSample, kBoth, kOff };
enum class Irqchip : uint8_t { kUser, kSplit };
enum class EventLoopKind : uint8_t { kAuto, kIoUring, kEpoll };
// A thread for each vCPU, between which workers are handed on; auto: where moving a vCPU to another thread is dear.
enum class Carriers : uint8_t { kAuto, kOn, kOff };

// A guest that is not one of ours: a kernel on a PC board, and an agent in it on the second serial port
// (vmm/linux/).
struct LinuxGuest {
  std::string kernel;   // a file: any image that `kvmux boot` takes
  std::string initrd;   // a file; empty: none
  std::string cmdline;  // the kernel's
  std::string load;     // "dbench:8": what the agent is to run
  std::string symbols = {};  // a file with its kernel's symbols (vmm/load/symbols.h); empty: what `kernel` has
  bool operator==(const LinuxGuest&) const = default;
};
inline constexpr const char* kLinuxGuest = "linux";  // its name as VmSpec::guest

struct VmSpec {
  std::string guest = "lock";  // an embedded guest's name, or a path to an ELF64 image, or kLinuxGuest
  std::optional<LinuxGuest> linux_guest;  // guest is kLinuxGuest; ring, workload and args mean nothing then
  uint32_t vcpus = 4;
  sched::Policy policy;
  sched::Weight weight{};
  std::string group;          // "prod/web", empty: directly below the root
  uint64_t memory_bytes = 0;  // 0: as much as guest and vCPUs need
  uint32_t ring = 3;
  kvmux_workload workload{};
  std::string args;
  std::optional<uint32_t> handicap_percent;  // burns this share of each turn: plants a known loss
};

// What a VM goes on with after a change while the guests run.
struct VmChange {
  sched::Policy policy;
  std::optional<uint32_t> handicap_percent;
};

struct PolicyChange {
  Nanos at{};                 // after the start of the measured window
  std::vector<VmChange> vms;  // of every VM, in order
};

struct GroupSpec {
  std::string path;  // "prod/web"; parents are made as needed
  sched::Weight weight{};
};

struct RunSpec {
  Backend backend = Backend::kKvm;
  std::vector<VmSpec> vms;
  std::vector<GroupSpec> groups;
  uint32_t workers = 2;
  Nanos duration{1'000'000'000};
  Nanos warmup{100'000'000};  // discarded before measuring starts
  uint64_t seed = 1;
  SpinDetect spin_detect = SpinDetect::kDoorbell;
  Nanos spin_window{0};       // 0: adapt to the measured exit cost
  Nanos rotate{100'000'000};  // workers move on by one CPU so often; 0: never
  Irqchip irqchip = Irqchip::kUser;
  EventLoopKind event_loop = EventLoopKind::kAuto;  // what idle workers sleep on
  Carriers carriers = Carriers::kAuto;
  std::string cost_profile;           // simulator: "laptop-vmx", "kvm-pvm" or a doctor --json file
  bool quiet_console = false;         // guests' console lines are not printed
  Nanos stall{};                      // what gets nowhere for so long is reported (vmm/watch/); 0: nothing is
  bool judges_yields = false;         // each is held against what its guest publishes (`kvmux yields`)
  uint32_t loses_wakeups = 0;         // plants a fault: the scheduler forgets every so-many-th wake-up
  std::vector<PolicyChange> changes;  // in ascending order; each begins another section of the result
  // Sections are turns of a switchback: each counts only from so much after its beginning on. 0: they are
  // not.
  Nanos washout{};
  // Linux guests only.
  Nanos boot_limit{300'000'000'000};  // until all of them are ready
  bool paravirt = true;               // they see KVM's clock and steal time
  bool findings_fail = false;         // what their consoles tell of trouble fails the VM
};

// Where a vCPU's time went during the measured window; adds up to the window's length.
struct Ledger {
  Nanos guest{};     // in the guest, without spinning
  Nanos spinning{};  // in the guest, busy-waiting (counted by the guest in PAUSE turns)
  Nanos waiting{};   // runnable, waiting for a worker
  Nanos halted{};
  Nanos exits{};      // exit handling in the VMM
  Nanos injection{};  // preparing entry and injecting
  Nanos migration{};  // switching vCPUs and moving them between workers
  Nanos stolen{};     // host took the CPU from the worker while this vCPU was on it
  Nanos stopped{};    // before its start or after its end
  Nanos sum() const {
    return guest + spinning + waiting + halted + exits + injection + migration + stolen + stopped;
  }
};

struct VcpuResult {
  uint64_t operations = 0;
  uint64_t work_iters = 0;
  Nanos work_time{};  // work_iters by the host's calibration
  uint64_t spin_pauses = 0;
  uint64_t ipis_sent = 0;
  uint64_t ipis_acked = 0;
  uint64_t wakeups = 0;
  uint64_t guest_errors = 0;
  uint64_t exits = 0;      // KVM_RUN returns, but for those caused by a kick
  uint64_t kicks = 0;      // returns caused by a kick
  sched::VcpuStats sched;  // difference over the measured window
  Ledger ledger;
};

struct CheckResult {
  uint32_t vcpu = 0;
  std::string name;
  uint64_t value = 0;
  bool ok = false;
};

// What a Linux guest told of the measured window, by its own clock, and what its console showed.
struct LinuxResult {
  Nanos boot_time{};  // from the start of the run until its agent was ready
  bool counted = false;  // it answered at both ends of the window; else the next four say nothing
  uint64_t operations = 0;
  Nanos guest_time{};  // between its two answers
  Nanos steal{};       // /proc/stat, of all its CPUs together
  std::vector<std::pair<std::string, Nanos>> latencies;  // "p99", as far as its load has them
  std::vector<std::string> findings;                     // panic, OOM kill, stall reports: a sentence each
  std::vector<std::string> last_lines;                   // of its console, where it failed
};

// A piece of a guest's code in which its vCPUs were found: a function, or, where no name is known, an
// instruction.
struct CodeSite {
  std::string symbol;    // empty: not known
  uint64_t address = 0;  // where it begins, as the guest has it
  uint64_t bytes = 0;    // from there; 0: no single place ("(user space)")
  uint64_t samples = 0;
  bool operator==(const CodeSite&) const = default;
};

struct CodeSites {
  std::vector<CodeSite> sites;  // most samples first, no function twice
  uint64_t other = 0;           // samples of which the place was not kept
};

struct VmResult {
  std::string guest;
  std::string policy;
  std::vector<VcpuResult> vcpus;
  std::array<uint64_t, KVMUX_HIST_BUCKETS> ack_hist{};  // IPI send → acknowledge, see ack_bucket_ns()
  std::vector<CheckResult> checks;
  std::optional<int> exit_code;  // the guest ended by itself
  std::string failure;           // why kvmux ended it; empty: it did not
  std::string note;              // how it got nowhere in the whole window; empty: it got somewhere
  double ops_per_second = 0;     // all vCPUs together
  // Of a Linux guest: its vCPUs' operations, and all else that a tiny guest counts, are not known.
  std::optional<LinuxResult> linux_guest;
  // Where vCPUs were found busy-waiting, and where their turns ended (vmm/run/code_sites.h). Of a whole run.
  CodeSites spinning;
  CodeSites taken_off;
};

struct HostNoise {
  double steal_ms = 0;                // of the CPUs used, from /proc/stat
  uint64_t involuntary_switches = 0;  // of the worker threads
  std::optional<double> mhz;          // if the host tells
  std::vector<std::string> cpu_changes = {};  // of the CPUs that the run may have, a sentence each (vmm/run/cpu_supply.h)
};

// What a run whose moves are dear, or whose vCPUs have carriers, made of that (vmm/run/moves.h).
struct MovesWeighed {
  Nanos cost{};            // of moving a vCPU to another worker
  Nanos migration_cost{};  // the constant in force
  bool stay = false;       // vCPUs stay with the workers where they begin
  bool given = false;      // the constant is the user's
  bool carried = false;    // a thread carries each vCPU
  Nanos handover{};        // … and a worker costs this to go from one to another; 0: not known
};

struct RunResult {
  Nanos window{};        // length of the measured window
  Nanos window_begin{};  // its start, by the clock of the run
  std::vector<VmResult> vms;
  Nanos spin_window{};  // that was in force
  Nanos exit_cost{};    // KVM: of a doorbell store through the whole run loop, by calibration
  double tsc_khz = 0;   // to read ack_hist
  double delay_iters_per_ms = 0;
  double pauses_per_ms = 0;
  HostNoise noise;
  std::optional<MovesWeighed> moves;     // none: they are cheap, or the host has the queues
  std::vector<Nanos> worker_busy;        // per worker: time with a vCPU
  uint64_t sim_events = 0;               // simulator only
  bool interrupted = false;              // ended early by Ctrl-C; the window says how much was measured
  std::vector<std::string> stalls;       // what got nowhere meanwhile, a sentence each (vmm/watch/)
  bool stalled = false;                  // some of it still did not at the end, and not for the host's sake
  std::vector<struct Section> sections;  // between the changes of policies; none if there are none
  // That were asked for while it ran (RunObserver), and those of the spec, as they were made; none if nobody
  // asked.
  std::vector<PolicyChange> changes_made;
};

// What lies between two changes of the policies.
struct Section {
  RunResult result;
  // Of a turn of a switchback: what came after the wash-out, by the guests' own counters (what needs a ledger
  // is 0), and the operations a second of its two halves.
  std::optional<RunResult> counted;
  double first_half = 0;
  double second_half = 0;
};

}  // namespace vmm
