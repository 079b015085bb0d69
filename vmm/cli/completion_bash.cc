// The script for bash: a table of commands and flags, and one function that looks into it.
#include <fmt/format.h>

#include <map>

#include "vmm/cli/completion.h"

namespace vmm {
namespace {

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

// Nothing in the tables is quoted by the shell but this.
std::string quoted(const std::string& text) { return "'" + text + "'"; }

std::vector<std::string> flags_of(const CommandInfo& command) {
  std::vector<std::string> flags;
  for (const FlagInfo& flag : command.flags) flags.insert(flags.end(), flag.names.begin(), flag.names.end());
  return flags;
}

// What there is to choose from, as the function's variables.
std::string choices(const FlagInfo& flag) {
  std::string text = "values=" + quoted(joined(flag.words));
  if (flag.is_list) text += " list=1";
  if (flag.is_file) text += " files=1";
  if (flag.is_folder) text += " folders=1";
  return text;
}

// "run" and its flags: what may be typed after it.
std::string command_table(std::span<const CommandInfo> commands) {
  std::string text = "  case $command in\n";
  for (const CommandInfo& command : commands) {
    text += fmt::format("    {}) commands={} flags={}", quoted(joined(command.path)),
                        quoted(joined(command.subcommands)), quoted(joined(flags_of(command))));
    for (const FlagInfo& flag : command.flags) {
      if (!flag.positional.empty()) text += " " + choices(flag);
    }
    text += " ;;\n";
  }
  return text + "  esac\n";
}

// Every flag that takes a value, those with equal choices together.
std::string value_table(std::span<const CommandInfo> commands) {
  std::map<std::string, std::vector<std::string>> patterns;
  for (const CommandInfo& command : commands) {
    for (const FlagInfo& flag : command.flags) {
      if (flag.syntax.empty()) continue;
      for (const std::string& name : flag.names) {
        patterns[choices(flag)].push_back(quoted(joined(command.path) + ":" + name));
      }
    }
  }
  std::string text = "  case $command:$flag in\n";
  for (const auto& [choice, flags] : patterns) {
    text += fmt::format("    {}) {} ;;\n", fmt::join(flags, " | "), choice);
  }
  return text + "    *) flag= ;;\n  esac\n";
}

constexpr std::string_view kBegin = R"sh(# bash completion for kvmux, made by `kvmux completion bash`
_kvmux() {
  local cur=${COMP_WORDS[COMP_CWORD]} flag= command= word i
  local commands= flags= values= list= files= folders= before= own=
  COMPREPLY=()
  # The command is what comes before the first flag.
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    _kvmux_table
    [[ " $commands " == *" $word "* ]] || break
    command=${command:+$command }$word
  done
  commands= flags= values= list= files= folders=
  # Bash takes "--flag=value" for three words, unless it has been told otherwise.
  if [[ $cur == = ]]; then
    flag=${COMP_WORDS[COMP_CWORD - 1]} cur=
  elif ((COMP_CWORD > 2)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
    flag=${COMP_WORDS[COMP_CWORD - 2]}
  elif [[ $cur == --*=* ]]; then
    flag=${cur%%=*} own=${cur%%=*}= cur=${cur#*=}
  else
    flag=${COMP_WORDS[COMP_CWORD - 1]}
  fi
  _kvmux_values
  if [[ -z $flag ]]; then
    _kvmux_table
    if [[ $cur == -* ]]; then
      values=$flags list= files= folders=
    else
      values="$commands $values"
    fi
  fi
  if [[ -n $list && $cur == *,* ]]; then
    before=${cur%,*}, cur=${cur##*,}
  fi
  mapfile -t COMPREPLY < <(compgen -P "$own$before" -W "$values" -- "$cur")
  if [[ -n $files || -n $folders ]]; then
    compopt -o filenames 2> /dev/null
    local kind=-f
    [[ -n $files ]] || kind=-d
    local -a found
    mapfile -t found < <(compgen $kind -P "$own$before" -- "$cur")
    COMPREPLY+=("${found[@]}")
  fi
}

# The command's own words.
_kvmux_table() {
)sh";

constexpr std::string_view kEnd = R"sh(}

complete -F _kvmux kvmux
)sh";

}  // namespace

std::string bash_completion(std::span<const CommandInfo> commands) {
  return std::string{kBegin} + command_table(commands) +
         "}\n\n# What the flag's value may be; no flag if it takes none.\n_kvmux_values() {\n" +
         value_table(commands) + std::string{kEnd};
}

}  // namespace vmm
