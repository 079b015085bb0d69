// Which model of IPIs a policy has. Plain data.
#pragma once

#include <cstdint>

namespace sched {

enum class IpiModelKind : uint8_t { kNone, kV2, kV3, kKvmux };

}  // namespace sched
