// The program: gives the commands their services.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "vmm/cli/cli.h"
#include "vmm/cli/interrupt.h"
#include "vmm/cli/version.h"
#include "vmm/linux/linux_guests.h"
#include "vmm/output/standard.h"
#include "vmm/output/stream.h"
#include "vmm/run/moves.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/uncaught.h"
#include "vmm/watch/request.h"

// As results record it: where the program lies is nobody's business there.
static std::vector<std::string> command_line(int argc, char** argv) {
  std::vector<std::string> words{"kvmux"};
  words.insert(words.end(), argv + std::min(argc, 1), argv + argc);
  return words;
}

// run.sh says how it was called, so that commands that are suggested can be typed.
static std::string called_as() {
  const char* name = std::getenv("KVMUX_CALLED_AS");
  return name == nullptr || *name == '\0' ? "kvmux" : name;
}

// The writers of messages are older than the sandbox.
static vmm::Result<void> confine(vmm::sandbox::Files files) {
  auto confined = vmm::sandbox::confine_process(std::move(files));
  if (confined) vmm::confine_standard_outlets();
  return confined;
}

static vmm::CpuChoice choose_cpus(size_t workers, const std::vector<int>& named) {
  if (!named.empty()) vmm::restrict_runs_to(named);
  return vmm::chosen_cpus(workers);
}

int main(int argc, char** argv) {
  vmm::end_on_uncaught_exceptions();
  const auto secured = vmm::secure_standard_descriptors();
  static vmm::RunControl control;  // static: the signal handler may run until the process ends
  vmm::stop_on_interrupt(control.stop);
  vmm::watch::dump_on_signal();
  // Over the line that says how far a command has come, which is written again.
  const std::string clear = isatty(STDERR_FILENO) != 0 ? "\r\x1b[K" : "";
  control.say = [clear](const std::string& text) { vmm::standard_error().put(clear + text); };
  control.pcs = vmm::make_linux_guests;
  vmm::wait_for_readers_until(control.stop);
  vmm::OutletStream out(vmm::standard_output());
  vmm::OutletStream err(vmm::standard_error());
  err << std::unitbuf;
  err.tie(&out);  // what was printed before a message is seen before it
  if (!secured) {
    err << "kvmux: " << secured.error().text() << "\n";
    return vmm::finish_standard_output(vmm::exit_status(secured.error().kind));
  }
  vmm::Services services{
      .run = vmm::run,
      .choose_cpus = choose_cpus,
      .move_cost = vmm::move_costs_for,
      .host_facts = vmm::read_host_facts,
      .doctor = vmm::doctor_measure,
      .linux_image = vmm::linux_guest::default_image,
      .now = [] { return vmm::Nanos{std::chrono::steady_clock::now().time_since_epoch()}; },
      .out = out,
      .err = err,
      .err_is_terminal = isatty(STDERR_FILENO) != 0,
      .control = control,
      .host = vmm::describe_host(),
      .limits = vmm::host_limits(),
      .command_line = command_line(argc, argv),
      .sandbox = {vmm::sandbox::switch_off, confine},
      .called_as = called_as(),
      .commit = vmm::kCommit,
      .report_file = "kvmux-report.html",
  };
  return vmm::finish_standard_output(vmm::run_program(services));
}
