// What man pages and completions are made of.
#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "vmm/cli/catalog.h"
#include "vmm/cli/cli.h"
#include "vmm/cli/completion.h"
#include "vmm/cli/man.h"

using namespace vmm;

namespace {

using Words = std::vector<std::string>;

FlagInfo flag_of(const CLI::App& app, const Words& path, const std::string& name) {
  for (const CommandInfo& command : catalog(app)) {
    if (command.path != path) continue;
    for (const FlagInfo& flag : command.flags) {
      const bool has = std::find(flag.names.begin(), flag.names.end(), name) != flag.names.end();
      if (has || flag.positional == name) return flag;
    }
  }
  FAIL("no flag " << name);
  return {};
}

}  // namespace

TEST_CASE("roff: text is never a request, and what groff writes otherwise is named") {
  CHECK(roff("--seed, a 'word'") == "\\-\\-seed, a \\(aqword\\(aq");
  CHECK(roff(".SH no\n'nor this") == "\\&.SH no\n\\&\\(aqnor this");
  CHECK(roff("C:\\x") == "C:\\(rsx");
  CHECK(roff("2 × 4 … ± 3 %") == "2 \\(mu 4 ... \\(+- 3 %");
}

TEST_CASE("catalog: what may stand for a flag's value is read from its syntax") {
  CLI::App app{"test", "kvmux"};
  std::string sandbox = "on";
  const auto commands = add_commands(app, sandbox);
  CHECK(flag_of(app, {"run"}, "--spin-detect").words == Words{"doorbell", "sample", "both", "off", "auto"});
  CHECK(flag_of(app, {"run"}, "--rotate").words == Words{"off"});
  CHECK(flag_of(app, {"run"}, "--seconds").words.empty());
  CHECK(flag_of(app, {"run"}, "--vm").words.empty());
  CHECK(flag_of(app, {"run"}, "--vm").repeats);
  const FlagInfo guest = flag_of(app, {"sim", "compare"}, "--guest");
  CHECK(guest.is_list);
  CHECK(guest.is_file);
  CHECK(std::find(guest.words.begin(), guest.words.end(), "mixed") != guest.words.end());
  CHECK(!flag_of(app, {"run"}, "--guest").is_list);
  CHECK(flag_of(app, {"compare"}, "--policies").names == Words{"--policies", "--policy"});
  CHECK(flag_of(app, {"run"}, "--per-vcpu").syntax.empty());
  CHECK(flag_of(app, {"boot"}, "image").is_file);
  CHECK(flag_of(app, {"merge"}, "FILE").is_file);
  CHECK(flag_of(app, {"completion"}, "SHELL").words == Words{"bash", "zsh"});
  CHECK(flag_of(app, {"run"}, "--seed").standard == "1");
}

TEST_CASE("catalog: what --help hides stays hidden") {
  CLI::App app{"test", "kvmux"};
  std::string sandbox = "on";
  const auto commands = add_commands(app, sandbox);
  for (const CommandInfo& command : catalog(app)) {
    CHECK(command.path != Words{"man"});
    for (const FlagInfo& flag : command.flags) {
      // An old name of --donate.
      CHECK(std::find(flag.names.begin(), flag.names.end(), "--loan") == flag.names.end());
    }
  }
}
