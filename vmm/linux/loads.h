// The loads that a Linux guest can run (guest/linux/loads.h), as the host reads and shows them. Pure, any
// thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/result.h"

namespace vmm::linux_guest {

struct LoadKind {
  std::string_view name;       // "dbench"
  std::string_view argument;   // "[CLIENTS]": what may follow "dbench:"; empty: nothing
  std::string_view programs;   // files of the image, with spaces
  std::string_view operation;  // what is counted
};
// In the order in which they are listed to users.
[[nodiscard]] std::span<const LoadKind> load_kinds();

struct Load {
  const LoadKind* kind = nullptr;
  std::string argument;  // "8"; empty: the agent's default, mostly one a vCPU
  // As kvmux.load= takes it: "dbench:8".
  [[nodiscard]] std::string text() const;
};

// Usage errors name the flag, and a load that was probably meant.
[[nodiscard]] Result<Load> parse_load(std::string_view flag, std::string_view text);
// "dbench:8,zstd": at least one.
[[nodiscard]] Result<std::vector<Load>> parse_loads(std::string_view flag, std::string_view text);

}  // namespace vmm::linux_guest
