#include "vmm/linux/loads.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "guest/linux/protocol.h"
#include "sched/base/text.h"

namespace vmm::linux_guest {
namespace {

constexpr std::array kKinds{
#define KVMUX_LINUX_LOAD(symbol, name, argument, programs, operation) \
  LoadKind{name, argument, programs, operation},
#include "guest/linux/loads.h"
#undef KVMUX_LINUX_LOAD
};
constexpr int64_t kMostThreads = 4096;

bool is_number(std::string_view text) {
  const auto number = sched::parse_integer(text);
  return number && *number >= 1 && *number <= kMostThreads;
}

// "switch" or "switch:4": names of stressors are lower-case words with hyphens.
bool is_stressor(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return !name.empty() && name.front() != '-' && std::ranges::all_of(name, fits) &&
         (colon == std::string_view::npos || is_number(text.substr(colon + 1)));
}

Failure unknown_load(std::string_view flag, std::string_view text, std::string_view name) {
  std::vector<std::string_view> names;
  for (const LoadKind& kind : kKinds) names.push_back(kind.name);
  return usage_error(fmt::format("{} {}", flag, text),
                     fmt::format("no such load of a Linux guest{}; accepted are {}",
                                 sched::did_you_mean(name, names), sched::join(names, ", ")));
}

}  // namespace

std::span<const LoadKind> load_kinds() { return kKinds; }

std::string Load::text() const {
  return argument.empty() ? std::string{kind->name} : fmt::format("{}:{}", kind->name, argument);
}

Result<Load> parse_load(std::string_view flag, std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto kind = std::ranges::find(kKinds, name, &LoadKind::name);
  if (kind == kKinds.end()) return unknown_load(flag, text, name);
  if (colon == std::string_view::npos) return Load{&*kind, {}};
  const std::string_view argument = text.substr(colon + 1);
  const bool fits = kind->argument.starts_with("[STRESSOR") ? is_stressor(argument)
                    : kind->argument.empty()                ? false
                                                            : is_number(argument);
  if (!fits || text.size() > KVMUX_LINUX_LOAD_MAX) {
    const std::string accepted = kind->argument.empty()
                                     ? fmt::format("{} alone", kind->name)
                                     : fmt::format("{0} or {0}:{1}", kind->name, kind->argument);
    return usage_error(fmt::format("{} {}", flag, text),
                       fmt::format("accepted is {}, numbers from 1 to {}", accepted, kMostThreads));
  }
  return Load{&*kind, std::string{argument}};
}

Result<std::vector<Load>> parse_loads(std::string_view flag, std::string_view text) {
  std::vector<Load> loads;
  for (const std::string_view piece : sched::split(text, ",")) {
    auto load = parse_load(flag, piece);
    if (!load) return Failure(load.error());
    loads.push_back(std::move(*load));
  }
  return loads;
}

}  // namespace vmm::linux_guest
