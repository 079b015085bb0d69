#include "vmm/cli/man.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "vmm/cli/host.h"

namespace vmm {
namespace {

// What --help uses beyond ASCII. A test finds a character that is missing here.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kSpecial{{
    {"…", "..."},
    {"×", "\\(mu"},
    {"±", "\\(+-"},
    {"→", "\\(->"},
    {"–", "\\(en"},
    {"−", "\\-"},
    {"µ", "\\(mc"},
}};

// The headings say it already.
std::string without(std::string_view start, std::string_view text) {
  if (text.starts_with(start)) text.remove_prefix(start.size());
  return std::string{text};
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  return fmt::format("{}", fmt::join(words, between));
}

// As it is typed: "kvmux sim run".
std::string typed(const CommandInfo& command) {
  return command.path.empty() ? "kvmux" : "kvmux " + joined(command.path, " ");
}

std::string bold(std::string_view text) { return "\\fB" + roff(text) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + roff(text) + "\\fR"; }

std::string flag_heading(const FlagInfo& flag) {
  if (!flag.positional.empty()) return italic(flag.positional);
  std::string text;
  for (const std::string& name : flag.names) text += (text.empty() ? "" : ", ") + bold(name);
  if (!flag.syntax.empty()) text += " " + italic(flag.syntax);
  return text;
}

std::string flag_entry(const FlagInfo& flag) {
  std::string text = ".TP\n" + flag_heading(flag) + "\n" + roff(flag.help);
  if (flag.repeats && flag.positional.empty()) text += " (may be repeated)";
  if (!flag.standard.empty()) text += fmt::format(" [{}]", roff(flag.standard));
  return text + "\n";
}

std::string options(const CommandInfo& command) {
  std::vector<std::string> groups;
  for (const FlagInfo& flag : command.flags) {
    if (std::find(groups.begin(), groups.end(), flag.group) == groups.end()) groups.push_back(flag.group);
  }
  std::string text;
  for (const std::string& group : groups) {
    // CLI11's own names of groups are headings of the page.
    const bool is_section = group == "Options" || group == "Positionals";
    const std::string title = group == "Positionals" ? "ARGUMENTS" : "OPTIONS";
    text += is_section ? ".SH " + title + "\n" : fmt::format(".SS \"{}\"\n", roff(group));
    for (const FlagInfo& flag : command.flags) {
      if (flag.group == group) text += flag_entry(flag);
    }
  }
  return text;
}

std::string synopsis(const CommandInfo& command) {
  std::string text = ".SH SYNOPSIS\n" + bold(typed(command));
  if (!command.subcommands.empty()) text += " " + italic("COMMAND");
  text += " [" + italic("OPTIONS") + "]";
  for (const FlagInfo& flag : command.flags) {
    if (!flag.positional.empty()) text += " " + italic(flag.positional) + (flag.repeats ? "..." : "");
  }
  return text + "\n";
}

bool is_child(const CommandInfo& command, const CommandInfo& parent) {
  return command.path.size() == parent.path.size() + 1 &&
         std::equal(parent.path.begin(), parent.path.end(), command.path.begin());
}

std::string subcommands(std::span<const CommandInfo> commands, const CommandInfo& parent) {
  if (parent.subcommands.empty()) return {};
  std::string text = ".SH COMMANDS\n";
  for (const CommandInfo& command : commands) {
    if (!is_child(command, parent)) continue;
    text += fmt::format(".TP\n{}(1)\n{}\n", bold(man_name(command)), roff(command.about));
  }
  return text;
}

std::string see_also(std::span<const CommandInfo> commands, const CommandInfo& command) {
  std::vector<std::string> pages;
  for (const CommandInfo& other : commands) {
    if (is_child(command, other) || is_child(other, command)) pages.push_back(bold(man_name(other)) + "(1)");
  }
  return ".SH SEE ALSO\n" + joined(pages, ",\n") + "\n";
}

}  // namespace

std::string roff(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    const auto special = std::find_if(kSpecial.begin(), kSpecial.end(), [&](const auto& one) {
      return text.substr(at).starts_with(one.first);
    });
    const bool at_start = at == 0 || text[at - 1] == '\n';
    if (at_start && (c == '.' || c == '\'')) out += "\\&";
    if (special != kSpecial.end()) {
      out += special->second;
      at += special->first.size();
      continue;
    }
    if (c == '\\')
      out += "\\(rs";
    else if (c == '-')
      out += "\\-";
    else if (c == '"')
      out += "\\(dq";
    else if (c == '`')
      out += "\\(ga";
    else if (c == '\'')
      out += "\\(aq";
    else
      out += c;
    ++at;
  }
  return out;
}

std::string man_name(const CommandInfo& command) {
  return command.path.empty() ? "kvmux" : "kvmux-" + joined(command.path, "-");
}

std::string man_page(std::span<const CommandInfo> commands, size_t which, const std::string& ends) {
  const CommandInfo& command = commands[which];
  std::string name = man_name(command);
  std::string title = name;
  for (char& c : title) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  std::string text = fmt::format(".TH {} 1 \"\" \"kvmux {}\" \"User Commands\"\n", title, kVersion);
  text += fmt::format(".SH NAME\n{} \\- {}\n", roff(name), roff(without("kvmux ", command.about)));
  text += synopsis(command) + subcommands(commands, command) + options(command);
  text += ".SH EXIT STATUS\n" + roff(without("Exit status: ", ends)) + "\n";
  text += ".SH FILES\n.TP\n.I /dev/kvm\nreal guests need read and write access to it; " +
          bold("kvmux doctor") + " says what is missing, and " + bold("kvmux sim") + " needs none of it\n";
  return text + see_also(commands, command);
}

}  // namespace vmm
