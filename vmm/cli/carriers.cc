#include "vmm/cli/carriers.h"

#include <fmt/format.h>

#include "sched/base/text.h"
#include "vmm/cli/spec.h"
#include "vmm/cli/values.h"

namespace vmm {

Result<CarriersAsked> parse_carriers(std::string_view text, size_t policies) {
  constexpr std::string_view kFlag = "--carriers";
  CarriersAsked asked;
  asked.by_policy.resize(policies);
  for (const std::string_view part : sched::split(text, ",")) {
    const size_t equals = part.find('=');
    const auto word = parse_word(kFlag, equals == part.npos ? part : part.substr(equals + 1), kCarrierWords);
    if (!word) return Failure(word.error());
    const auto mode = static_cast<Carriers>(*word);
    if (equals == part.npos) {
      asked.standard = mode;
      continue;
    }
    if (policies == 0)
      return bad_value(kFlag, text, "auto, on or off; `kvmux compare` takes one for each policy");
    const auto slot = parse_count(kFlag, part.substr(0, equals), {1, static_cast<int64_t>(policies)});
    if (!slot) return Failure(slot.error());
    asked.by_policy[static_cast<size_t>(*slot - 1)] = mode;
  }
  return asked;
}

}  // namespace vmm
