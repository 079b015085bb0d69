// The flags of `kvmux boot`: their raw text, their registration with CLI11, and what they mean. Files are
// only named here; command_boot.cc reads them. Main thread.
#pragma once

#include <string>
#include <vector>

#include "vmm/cli/run_tracer.h"
#include "vmm/cli/spec.h"
#include "vmm/platform/boot.h"
#include "vmm/result.h"

namespace CLI {
class App;
}

namespace vmm {

struct BootOptions {
  std::string image;
  std::vector<std::string> modules;
  std::string cmdline;
  std::string symbols;
  std::string memory = "128M";
  std::string vcpus = "1";
  std::string workers = "2";
  std::string cpus;
  std::string policy;
  KeyValues policy_keys;  // --deboost off …, as of a run
  std::vector<std::string> at;
  std::string cpu_profile = "host";
  std::string paravirt = "kvm";
  std::string irqchip = "user";
  std::string event_loop = "auto";
  std::string carriers = "auto";
  std::string timeout;
  std::string stall = "2s";
  std::string loses_wakeups = "0";
  std::string format = "auto";
  std::string load_at = "0x7c00";
  std::string seed = "1";
  std::string console = "wait";
  bool live = false;
  TraceFlags trace;
};

// `options` must outlive the parsing.
void add_boot_flags(CLI::App& app, BootOptions& options);

// All but the files' bytes.
struct BootSetup {
  BootSpec spec;
  std::vector<int> cpus;      // as Request has them
  bool drop_console = false;  // what the guest prints faster than it is read
  std::vector<std::string> warnings;
};
[[nodiscard]] Result<BootSetup> read_boot_options(const BootOptions& options, const HostLimits& limits);

// The file that `--module` names: `FILE` or `FILE TEXT…`. The name ends at the first space, or it stands in
// quotes: 'my file' is taken literally, in "my file" a backslash stands before a quote or a backslash.
// The guest gets the whole text as it was written, so that it can tell name and text apart likewise.
[[nodiscard]] Result<std::string> module_file(const std::string& text);

}  // namespace vmm
