// The program: finds the command, runs it, turns errors into one line and an exit status (ARCHITECTURE: 0
// done, 1 a guest failed, 2 usage, 3 host trouble, 130 Ctrl-C). Main thread.
#pragma once

#include <span>
#include <string>

#include "vmm/cli/command.h"

namespace vmm {

// Every command with its flags; `app` must be new. `sandbox` gets the value of --sandbox and must outlive the
// parsing. run_program()'s first step, and what tests and fuzzers walk.
std::vector<Command> add_commands(CLI::App& app, std::string& sandbox);

// `services.command_line` without the program's name is what is parsed.
int run_program(Services& services);

}  // namespace vmm
