// A command of the program: its registration with CLI11 and what it does once parsed. One file a command;
// each gives one function `Command add_…(CLI::App& parent)`, listed in cli.cc. Main thread.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "vmm/cli/host.h"
#include "vmm/cli/spec.h"
#include "vmm/doctor.h"
#include "vmm/host_facts.h"
#include "vmm/linux/default_image.h"
#include "vmm/run/cpu_choice.h"
#include "vmm/run/moves.h"
#include "vmm/run/run.h"
#include "vmm/sandbox/landlock.h"

namespace CLI {
class App;
}

namespace vmm {

inline constexpr int kExitOk = 0;
inline constexpr int kExitGuest = 1;          // a guest failed, or a gate did not hold
inline constexpr int kExitInterrupted = 130;  // Ctrl-C

// What a process gives up before guests run (vmm/sandbox/). Empty functions: nothing.
struct SandboxServices {
  std::function<void()> switch_off;
  std::function<Result<void>(sandbox::Files)> confine;
};

// What commands need from the rest of the program and from the process. Tests put fakes here.
struct Services {
  Runner run;
  // Those that --cpus names, if it does, become the only ones for runs of this process; then the choice among
  // them.
  std::function<CpuChoice(size_t workers, const std::vector<int>& named)> choose_cpus;
  // Of a vCPU to another worker, where this specification runs (vmm/run/moves.h); asked before the sandbox closes.
  std::function<MoveCosts(const RunSpec&)> move_cost;
  std::function<HostFacts()> host_facts;  // asked before the sandbox closes
  std::function<Result<DoctorReport>()> doctor;
  // A kernel and its initial file system for Linux guests with these loads; likewise before the sandbox closes. Empty:
  // there are none.
  std::function<Result<linux_guest::GuestImage>(std::span<const linux_guest::Load>, const linux_guest::Say&)>
      linux_image = {};
  std::function<Nanos()> now;  // monotonic, for progress and time limits
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;  // progress is redrawn there; else plain lines
  RunControl& control;           // `stop` is set by Ctrl-C
  HostDescription host;
  HostLimits limits;
  std::vector<std::string> command_line;
  SandboxServices sandbox = {};
  std::string called_as = "kvmux";  // what the user types for the program
  std::string commit = {};          // as version.h has it
  std::string report_file = {};     // a comparison's report where no flag says more; empty: none
};

struct Command {
  CLI::App* app = nullptr;
  std::function<Result<int>(Services&)> execute;  // the exit status
};

Command add_run(CLI::App& parent, Backend backend);
Command add_compare(CLI::App& parent, Backend backend);
Command add_sweep(CLI::App& parent, Backend backend);
Command add_yields(CLI::App& parent, Backend backend);
Command add_boot(CLI::App& parent);
Command add_gate(CLI::App& parent);
Command add_merge(CLI::App& parent);
Command add_report(CLI::App& parent);
Command add_heatmap(CLI::App& parent);
Command add_replay(CLI::App& parent);
Command add_guests(CLI::App& parent);
Command add_policies(CLI::App& parent);
Command add_doctor(CLI::App& parent);
Command add_linux_image(CLI::App& parent);
Command add_completion(CLI::App& parent);
Command add_man(CLI::App& parent);
std::vector<Command> add_trace(CLI::App& parent);

// Writes a whole file, or the standard output for "-".
[[nodiscard]] Result<void> write_output(std::string_view flag, const std::string& path,
                                        const std::string& text, std::ostream& standard_output);

// Called by a command that runs guests once it knows what it will read and write: `outputs` are values of
// flags, "-" and empty ones among them.
[[nodiscard]] Result<void> confine(Services& services, std::vector<std::string> reads,
                                   const std::vector<std::string>& outputs);
// What runs of this specification read: guests that are files, the cost profile.
[[nodiscard]] std::vector<std::string> files_read_by(const RunSpec& spec);

void print_warnings(const Request& request, std::ostream& err);

}  // namespace vmm
