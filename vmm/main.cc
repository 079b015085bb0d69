// The program: gives the commands their services.
#include <unistd.h>

#include <chrono>
#include <iostream>

#include "vmm/cli/cli.h"
#include "vmm/cli/interrupt.h"

int main(int argc, char** argv) {
  static vmm::RunControl control;  // static: the signal handler may run until the process ends
  vmm::stop_on_interrupt(control.stop);
  vmm::Services services{
      .run = vmm::run,
      .doctor = vmm::doctor_measure,
      .now = [] { return vmm::Nanos{std::chrono::steady_clock::now().time_since_epoch()}; },
      .out = std::cout,
      .err = std::cerr,
      .err_is_terminal = isatty(STDERR_FILENO) != 0,
      .control = control,
      .host = vmm::describe_host(),
      .limits = vmm::host_limits(),
      .command_line = {argv, argv + argc},
  };
  return vmm::run_program(services);
}
