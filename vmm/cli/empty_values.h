// `--flag=` is the flag with an empty value. CLI11 takes it for a flag without one, and the next word for the
// value; so command lines pass through here before and after it. Main thread.
//
//   separate_empty_values(app, words) → app.parse() → check_empty_values(command)
#pragma once

#include <string>
#include <vector>

#include "vmm/result.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace vmm {

// The type_name of flags whose value may be empty: free text.
inline constexpr const char* kTextType = "TEXT";

// `--flag=` becomes `--flag` and an empty word, for each flag of the commands that `words` name that takes a
// value. A usage error for a flag that takes none. `words` without the program's name.
[[nodiscard]] Result<std::vector<std::string>> separate_empty_values(const CLI::App& app,
                                                                     const std::vector<std::string>& words);

// Refuses, by name, an empty value of a flag or positional of `command` that is not free text.
[[nodiscard]] Result<void> check_empty_values(const CLI::App& command);

}  // namespace vmm
