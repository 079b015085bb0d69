// Boots an image that somebody else wrote on the PC board: VM, firmware's tables, loader, board, and the
// engine that runs its vCPUs, until the guest ends, the time is over, or it is told to stop.
//
// boot() blocks; its thread serves the board (timers, typed bytes). One boot at a time on a thread; several
// may follow each other in a process.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sched/policy/policy.h"
#include "vmm/kvm/cpuid.h"
#include "vmm/load/boot_image.h"
#include "vmm/platform/pc_board.h"
#include "vmm/load/symbols.h"
#include "vmm/result.h"
#include "vmm/run/code_sites.h"
#include "vmm/run_types.h"

namespace vmm {

class RunObserver;
class TraceRecorder;

struct BootSpec {
  BootImage image;
  SymbolTable symbols = {};  // of the guest's code; empty: those of the image itself, if it has any
  uint64_t memory_bytes = uint64_t{128} << 20;  // a multiple of 2 MiB
  uint32_t vcpus = 1;
  uint32_t workers = 2;
  sched::Policy policy;
  CpuProfile cpu_profile = CpuProfile::kHost;
  Paravirt paravirt = Paravirt::kKvm;
  Irqchip irqchip = Irqchip::kUser;
  EventLoopKind event_loop = EventLoopKind::kAuto;  // what idle workers sleep on
  Carriers carriers = Carriers::kAuto;
  std::optional<Nanos> timeout;
  uint64_t seed = 1;
  std::vector<PolicyChange> changes;  // after the start; in ascending order, for one VM
  // The calling thread creates nothing after this boot: while it serves the board, and for good, it has the
  // sandbox of a device thread.
  bool confine_caller = false;
  Nanos stall{};                    // as in RunSpec
  uint32_t loses_wakeups = 0;       // as in RunSpec
  TraceRecorder* trace = nullptr;   // where it says what it does; null: nowhere
  RunObserver* observer = nullptr;  // who looks on (vmm/run/observer.h); null: nobody
};

struct BootConsole {
  // Any thread, one call at a time, none may wait.
  std::function<void(std::span<const uint8_t>)> output;
  // output() has room; the guest waits if not. With it when_ready(): sets who is told that there is room
  // again (any thread; null: nobody). Both may be empty: there always is.
  std::function<bool()> ready = {};
  std::function<void(std::function<void()>)> when_ready = {};
  int input = -1;  // a descriptor to read typed bytes from; -1: none
  // What to do with bytes that were typed: gives back those that are for the guest. False: leave. May be
  // empty.
  std::function<bool(std::span<const uint8_t> typed, std::vector<uint8_t>& for_guest)> filter;
  // Texts for the user from whoever watches the boot; any thread, may not wait, may be empty.
  std::function<void(const std::string&)> say = {};
  // As in RunControl.
  std::function<std::string(const std::string& title, Nanos from, Nanos to)> keep_trace = {};
  // Told once, by the serving thread, when `input` can be read no more. May be empty.
  std::function<void(const std::string& why)> input_lost = {};
};

enum class BootEnd : uint8_t {
  kExit,    // the guest ended itself: exit_code
  kReset,   // … by a reset
  kFailed,  // kvmux ended it: failure
  kTimeout,
  kStopped,  // by the user
};

// Between two changes of the policy: what became of the vCPUs' time, all together.
struct BootSection {
  std::string policy;
  Nanos from{};  // after the start
  Nanos to{};
  Ledger ledger;
  sched::VcpuStats sched;
};

struct BootResult {
  BootEnd end = BootEnd::kExit;
  int exit_code = 0;
  std::string failure;
  std::string silence;  // kTimeout: that the guest slept, and in what; empty: it did not
  Unclaimed unclaimed;
  PcBoard::Lost lost;
  Nanos began{};  // of its vCPUs, by monotonic_now()
  Nanos ended{};
  std::vector<BootSection> sections;  // none without changes
  SitesOfVm sites;                    // since the start
  std::vector<std::string> stalls;    // as in RunResult
  bool stalled = false;               // as in RunResult
};

// `stop` may be set by any thread or signal handler; a signal should then end the thread's system call.
[[nodiscard]] Result<BootResult> boot(const BootSpec& spec, const BootConsole& console,
                                      const std::atomic<bool>& stop);

}  // namespace vmm
