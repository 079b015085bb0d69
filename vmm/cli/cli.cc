#include "vmm/cli/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "sched/base/text.h"
#include "vmm/cli/empty_values.h"
#include "vmm/cli/renamed.h"
#include "vmm/cli/values.h"
#include "vmm/cli/version.h"

namespace vmm {
namespace {

constexpr const char* kAbout =
    "kvmux runs many vCPUs on few host threads under a scheduler of its own and compares scheduling "
    "policies.";

constexpr const char* kEnds =
    "Exit status: 0; 1 if a guest failed, or a gate found a loss; 2 after bad input; 3 if the host is not "
    "fit or results "
    "could not be written; 130 after Ctrl-C, SIGTERM or SIGHUP (what was measured is printed).";

// For the commands that run guests.
void add_sandbox_flag(CLI::App& app, std::string& value) {
  constexpr std::array<std::string_view, 5> kRunGuests{"run", "compare", "sweep", "boot", "doctor"};
  if (std::find(kRunGuests.begin(), kRunGuests.end(), app.get_name()) == kRunGuests.end()) return;
  app.add_option("--sandbox", value, "whether kvmux gives up system calls and files before guests run")
      ->type_name("on|off")
      ->default_str(value);
}

Result<void> read_sandbox_flag(const std::string& value, Services& services) {
  constexpr std::array<std::string_view, 2> kWords{"on", "off"};
  const auto word = parse_word("--sandbox", value, kWords);
  if (!word) return tl::unexpected(word.error());
  if (kWords[*word] == "off" && services.sandbox.switch_off) services.sandbox.switch_off();
  return {};
}

}  // namespace

std::vector<Command> add_commands(CLI::App& app, std::string& sandbox) {
  std::vector<Command> commands{add_run(app, Backend::kKvm),
                                add_compare(app, Backend::kKvm),
                                add_sweep(app, Backend::kKvm),
                                add_yields(app, Backend::kKvm),
                                add_boot(app),
                                add_gate(app),
                                add_merge(app),
                                add_report(app),
                                add_heatmap(app),
                                add_replay(app),
                                add_guests(app),
                                add_policies(app),
                                add_doctor(app),
                                add_linux_image(app),
                                add_completion(app),
                                add_man(app)};
  for (const Command& command : add_trace(app)) commands.push_back(command);
  CLI::App* sim = app.add_subcommand("sim", "the same in the simulator: virtual time, no KVM needed");
  sim->allow_extras();
  for (const Command& command :
       {add_run(*sim, Backend::kSim), add_compare(*sim, Backend::kSim), add_sweep(*sim, Backend::kSim),
        add_yields(*sim, Backend::kSim)}) {
    commands.push_back(command);
  }
  // Unknown words are reported here, with what was probably meant.
  app.allow_extras();
  for (const Command& command : commands) {
    command.app->allow_extras();
    add_sandbox_flag(*command.app, sandbox);
  }
  return commands;
}

namespace {

// The innermost command that was named.
CLI::App* chosen(CLI::App& app) {
  CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return at;
}

// With the names of the commands around it: "kvmux sim run".
std::string full_name(const CLI::App* app) {
  if (app->get_parent() == nullptr) return app->get_name();
  return full_name(app->get_parent()) + " " + app->get_name();
}

std::string help(CLI::App* app) {
  return app->help(app->get_parent() == nullptr ? "" : full_name(app->get_parent()));
}

Error unknown_flag(const CLI::App& app, const std::string& word) {
  std::vector<std::string> owned;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) owned.push_back("--" + name);
  }
  const std::vector<std::string_view> names(owned.begin(), owned.end());
  const std::string_view name = std::string_view{word}.substr(0, word.find('='));
  return usage_error(word, fmt::format("unknown flag{}; `{} --help` lists them",
                                       sched::did_you_mean(name, names), full_name(&app)))
      .value();
}

Error unknown_command(CLI::App& app, const std::string& word) {
  std::vector<std::string> owned;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    owned.push_back(command->get_name());
  }
  const std::vector<std::string_view> names(owned.begin(), owned.end());
  return usage_error(word, fmt::format("unknown command{}; accepted are {}", sched::did_you_mean(word, names),
                                       sched::join(names, ", ")))
      .value();
}

Result<int> dispatch(CLI::App& app, const std::vector<Command>& commands, Services& services) {
  CLI::App* at = chosen(app);
  const auto extras = app.remaining(true);
  const auto command =
      std::find_if(commands.begin(), commands.end(), [at](const Command& c) { return c.app == at; });
  const bool is_command = command != commands.end();
  if (!extras.empty()) {
    const std::string& word = extras.front();
    const bool is_flag = word.starts_with('-') || is_command;
    return tl::unexpected(is_flag ? unknown_flag(*at, word) : unknown_command(*at, word));
  }
  if (!is_command) {
    services.out << help(at);
    return usage_error(full_name(at), "a command is needed, see above");
  }
  if (auto ok = check_empty_values(*at); !ok) return Failure(ok.error());
  try {
    return command->execute(services);
  } catch (const std::bad_alloc&) {
    return host_error(full_name(at), ENOMEM);
  } catch (const std::system_error& error) {
    return host_error(full_name(at), error.code().value(), "threads or files");
  }
}

// Without the program's own name.
std::vector<std::string> words_of(const std::vector<std::string>& command_line) {
  return {command_line.begin() + (command_line.empty() ? 0 : 1), command_line.end()};
}

int fail(Services& services, const Error& error) {
  services.out.flush();
  services.err << "kvmux: " << error.text() << "\n";
  // What was interrupted may have failed for that very reason.
  return services.control.stop.load() ? kExitInterrupted : exit_status(error.kind);
}

}  // namespace

int run_program(Services& services) {
  CLI::App app{kAbout, "kvmux"};
  app.set_version_flag("--version", kVersion, "print version, commit, compiler and libraries, and exit");
  app.footer(kEnds);
  std::string sandbox = "on";
  const std::vector<Command> commands = add_commands(app, sandbox);
  try {
    auto arguments = separate_empty_values(app, words_of(services.command_line));
    if (!arguments) return fail(services, arguments.error());
    std::reverse(arguments->begin(), arguments->end());  // as CLI11 takes them
    app.parse(std::move(*arguments));
  } catch (const CLI::CallForHelp&) {
    services.out << help(chosen(app));
    return kExitOk;
  } catch (const CLI::CallForVersion&) {
    services.out << version_text(services.commit);
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    return fail(services, usage_error(full_name(chosen(app)), error.what()).value());
  }
  if (const auto read = read_sandbox_flag(sandbox, services); !read) return fail(services, read.error());
  note_renamed(services.command_line, services.err);
  const auto status = dispatch(app, commands, services);
  return status ? *status : fail(services, status.error());
}

void print_warnings(const Request& request, std::ostream& err) {
  for (const std::string& warning : request.warnings) err << "kvmux: warning: " << warning << "\n";
}

}  // namespace vmm
