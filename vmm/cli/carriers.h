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
  std::vector<std::optional<Carriers>> by_policy;  // in order; none: the standard
};
// `policies`: how many there are, 0: none can be named.
[[nodiscard]] Result<CarriersAsked> parse_carriers(std::string_view text, size_t policies);

}  // namespace vmm
