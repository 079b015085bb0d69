// All commands with their flags as data, read from the CLI11 objects that parse them: what man pages and
// completions are made of, so that neither can say other than --help. Main thread.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace vmm {

struct FlagInfo {
  std::vector<std::string> names;  // "--policies", "--policy"; "-o", "--output"; a positional has none
  std::string positional;          // its name, or empty
  std::string syntax;              // of the value: "FILE|-"; empty: takes none
  std::string help;
  std::string standard;  // the value where it is not given, or empty
  std::string group;     // heading in --help
  bool repeats = false;
  // What may stand for the value, as far as it can be listed. With is_list commas separate several.
  std::vector<std::string> words;
  bool is_list = false;
  bool is_file = false;
  bool is_folder = false;
};

struct CommandInfo {
  std::vector<std::string> path;  // "sim", "run"; of the program itself empty
  std::string about;
  std::vector<FlagInfo> flags;           // in the order of --help
  std::vector<std::string> subcommands;  // that need to be named next
};

// `root` is the whole program, registered (cli.h: add_commands). The program itself comes first, each command
// before its own. What --help hides is left out.
std::vector<CommandInfo> catalog(const CLI::App& root);

}  // namespace vmm
