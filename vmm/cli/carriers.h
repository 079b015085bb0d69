// --carriers: "auto", "on" or "off", and in grids one for a policy alone: "off,2=on". Main thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "vmm/result.h"
#include "vmm/run_types.h"

namespace vmm {

struct CarriersAsked {
  Carriers standard = Carriers::kAuto;
  std::vector<std::pair<size_t, Carriers>> of_policies;  // by number, from 1; a later one replaces an earlier
};
[[nodiscard]] Result<CarriersAsked> parse_carriers(std::string_view text);

// For each of so many policies, in order; nothing: the standard. Fails if one is named that is not there.
[[nodiscard]] Result<std::vector<std::optional<Carriers>>> carriers_by_policy(const CarriersAsked& asked,
                                                                              size_t policies);

}  // namespace vmm
