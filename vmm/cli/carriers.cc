#include "vmm/cli/carriers.h"

#include <fmt/format.h>

#include <limits>

#include "sched/base/text.h"
#include "vmm/cli/spec.h"
#include "vmm/cli/values.h"

namespace vmm {
namespace {

constexpr std::string_view kFlag = "--carriers";

}  // namespace

Result<CarriersAsked> parse_carriers(std::string_view text) {
  CarriersAsked asked;
  for (const std::string_view part : sched::split(text, ",")) {
    const size_t equals = part.find('=');
    const auto word = parse_word(kFlag, equals == part.npos ? part : part.substr(equals + 1), kCarrierWords);
    if (!word) return Failure(word.error());
    const auto mode = static_cast<Carriers>(*word);
    if (equals == part.npos) {
      asked.standard = mode;
      continue;
    }
    const auto number = parse_count(kFlag, part.substr(0, equals), {1, std::numeric_limits<int64_t>::max()});
    if (!number) return Failure(number.error());
    asked.of_policies.emplace_back(static_cast<size_t>(*number), mode);
  }
  return asked;
}

Result<std::vector<std::optional<Carriers>>> carriers_by_policy(const CarriersAsked& asked, size_t policies) {
  std::vector<std::optional<Carriers>> each(policies);
  for (const auto& [number, mode] : asked.of_policies) {
    if (number > policies) {
      return bad_value(kFlag, std::to_string(number),
                       fmt::format("the number of a policy, from 1 to {}", policies));
    }
    each[number - 1] = mode;
  }
  return each;
}

}  // namespace vmm
