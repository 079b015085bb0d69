// `kvmux completion` and `kvmux man`: what is made of the commands' own registration.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <memory>
#include <ostream>

#include "vmm/cli/command.h"
#include "vmm/cli/completion.h"
#include "vmm/cli/man.h"

namespace vmm {
namespace {

Result<int> complete(const CLI::App& root, const std::string& shell, Services& services) {
  constexpr std::array<std::string_view, 2> kShells{"bash", "zsh"};
  const auto word = parse_word("SHELL", shell, kShells);
  if (!word) return tl::unexpected(word.error());
  const auto commands = catalog(root);
  services.out << (*word == 0 ? bash_completion(commands) : zsh_completion(commands));
  return kExitOk;
}

Result<int> write_pages(const CLI::App& root, const std::string& folder, Services& services) {
  const auto commands = catalog(root);
  for (size_t i = 0; i < commands.size(); ++i) {
    const std::string path = fmt::format("{}/{}.1", folder, man_name(commands[i]));
    const std::string page = man_page(commands, i, root.get_footer());
    if (const auto written = write_output("FOLDER", path, page, services.out); !written) {
      return tl::unexpected(written.error());
    }
  }
  return kExitOk;
}

}  // namespace

Command add_completion(CLI::App& parent) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* app =
      parent.add_subcommand("completion", "print a script that completes commands, flags and values");
  app->add_option("SHELL", *shell, "the shell that it is for")->required()->type_name("bash|zsh");
  return {app, [shell, &parent](Services& services) { return complete(parent, *shell, services); }};
}

// For the build; not in --help.
Command add_man(CLI::App& parent) {
  const auto folder = std::make_shared<std::string>();
  CLI::App* app = parent.add_subcommand("man", "write the man pages into a folder")->group("");
  app->add_option("FOLDER", *folder, "that exists")->required()->type_name("FOLDER");
  return {app, [folder, &parent](Services& services) { return write_pages(parent, *folder, services); }};
}

}  // namespace vmm
