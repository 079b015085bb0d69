// The script for zsh: a function a command, each one call of _arguments.
#include <fmt/format.h>

#include "vmm/cli/completion.h"

namespace vmm {
namespace {

// In single quotes; the characters that _arguments takes for its own stand behind a backslash.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string function_of(const CommandInfo& command) {
  return fmt::format("_kvmux{}{}", command.path.empty() ? "" : "_", fmt::join(command.path, "_"));
}

// ":TIME: " and what there is to choose from.
std::string action(const FlagInfo& flag) {
  std::string choice = " ";
  const std::string words = fmt::format("{}", fmt::join(flag.words, " "));
  if (flag.is_list && !flag.words.empty()) {
    choice = fmt::format("_values -s , value {}", words);
  } else if (flag.is_file && !flag.words.empty()) {
    choice = fmt::format("_alternative \"words\\:word\\:({})\" \"files\\:file\\:_files\"", words);
  } else if (flag.is_file) {
    choice = "_files";
  } else if (flag.is_folder) {
    choice = "_files -/";
  } else if (!flag.words.empty()) {
    choice = fmt::format("({})", words);
  }
  return fmt::format(":{}:{}", escaped(flag.syntax), choice);
}

// One line for each name; names of one flag exclude each other.
std::string flag_lines(const FlagInfo& flag) {
  if (!flag.positional.empty()) return fmt::format("    '{}{}' \\\n", flag.repeats ? "*" : "", action(flag));
  const std::string others = flag.repeats ? "*" : fmt::format("({})", fmt::join(flag.names, " "));
  std::string text;
  for (const std::string& name : flag.names) {
    const char* joins = flag.syntax.empty() ? "" : name.starts_with("--") ? "=" : "+";
    text += fmt::format("    '{}{}{}[{}]{}' \\\n", others, name, joins, escaped(flag.help),
                        flag.syntax.empty() ? "" : action(flag));
  }
  return text;
}

const CommandInfo& child_of(std::span<const CommandInfo> commands, const CommandInfo& parent,
                            const std::string& name) {
  std::vector<std::string> path = parent.path;
  path.push_back(name);
  for (const CommandInfo& command : commands) {
    if (command.path == path) return command;
  }
  return parent;  // not to be: the catalog has every command that it names
}

std::string dispatch(std::span<const CommandInfo> commands, const CommandInfo& command) {
  std::string list;
  std::string cases;
  for (const std::string& name : command.subcommands) {
    const CommandInfo& child = child_of(commands, command, name);
    list += fmt::format("        '{}:{}'\n", name, escaped(child.about));
    cases += fmt::format("        {}) {} ;;\n", name, function_of(child));
  }
  return fmt::format(R"zsh(  case $state in
    command)
      local -a commands
      commands=(
{}      )
      _describe -t commands command commands
      ;;
    rest)
      case $words[1] in
{}      esac
      ;;
  esac
)zsh",
                     list, cases);
}

std::string function(std::span<const CommandInfo> commands, const CommandInfo& command) {
  const bool chooses = !command.subcommands.empty();
  std::string text = function_of(command) + "() {\n";
  if (chooses) text += "  local curcontext=$curcontext state line\n  typeset -A opt_args\n";
  text += fmt::format("  _arguments -s -S{} \\\n", chooses ? " -C" : "");
  for (const FlagInfo& flag : command.flags) text += flag_lines(flag);
  if (chooses) {
    text += "    '1:command:->command' \\\n    '*::argument:->rest'\n" + dispatch(commands, command);
  } else {
    text += "    && return\n";
  }
  return text + "}\n\n";
}

}  // namespace

std::string zsh_completion(std::span<const CommandInfo> commands) {
  std::string text = "#compdef kvmux\n# zsh completion for kvmux, made by `kvmux completion zsh`\n\n";
  for (const CommandInfo& command : commands) text += function(commands, command);
  return text + "_kvmux \"$@\"\n";
}

}  // namespace vmm
