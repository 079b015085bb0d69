#include "vmm/cli/empty_values.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "vmm/cli/values.h"

namespace vmm {
namespace {

const CLI::App* subcommand(const CLI::App& app, const std::string& word) {
  const auto found = app.get_subcommands([&](const CLI::App* command) { return command->check_name(word); });
  return found.empty() ? nullptr : found.front();
}

// `name` with its dashes.
const CLI::Option* option_of(const CLI::App& app, const std::string& name) {
  return name.size() > 2 && name.starts_with("--") ? app.get_option_no_throw(name) : nullptr;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

}  // namespace

Result<std::vector<std::string>> separate_empty_values(const CLI::App& app,
                                                       const std::vector<std::string>& words) {
  std::vector<std::string> separated;
  const CLI::App* at = &app;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {  // only positionals follow
      separated.insert(separated.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
      break;
    }
    if (const CLI::App* command = subcommand(*at, word)) at = command;
    const bool is_empty = word.ends_with('=') && word.find('=') == word.size() - 1;
    const std::string name = is_empty ? word.substr(0, word.size() - 1) : word;
    const CLI::Option* option = option_of(*at, name);
    if (option == nullptr) {
      separated.push_back(word);
    } else if (!is_empty) {
      separated.push_back(word);
      if (takes_value(*option) && i + 1 < words.size()) separated.push_back(words[++i]);
    } else if (takes_value(*option)) {
      separated.insert(separated.end(), {name, ""});
    } else {
      return usage_error(name, "takes no value, not even an empty one");
    }
  }
  return separated;
}

Result<void> check_empty_values(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    const auto& values = option->results();
    if (option->get_type_name() == kTextType || !takes_value(*option)) continue;
    if (std::find(values.begin(), values.end(), std::string{}) == values.end()) continue;
    return bad_value(option->get_name(), "", option->get_type_name());
  }
  return {};
}

}  // namespace vmm
