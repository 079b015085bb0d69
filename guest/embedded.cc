#include "guest/embedded.h"

#include <algorithm>
#include <array>

// guest_table.inc is made by CMake: one KVMUX_GUEST(name, description) a guest, in the order of all(). The
// symbols are from embedded_images.S.
extern "C" {
#define KVMUX_GUEST(name, description)           \
  extern const std::byte kvmux_##name##_start[]; \
  extern const std::byte kvmux_##name##_end[];
#include "guest_table.inc"
#undef KVMUX_GUEST
extern const std::byte kvmux_linux_agent_start[];
extern const std::byte kvmux_linux_agent_end[];
}

namespace guests {

std::span<const EmbeddedGuest> all() {
#define KVMUX_GUEST(name, description) \
  EmbeddedGuest{#name, description, {kvmux_##name##_start, kvmux_##name##_end}},
  static const std::array kGuests{
#include "guest_table.inc"
  };
#undef KVMUX_GUEST
  return kGuests;
}

std::optional<EmbeddedGuest> find(std::string_view name) {
  const auto guests = all();
  const auto it = std::ranges::find(guests, name, &EmbeddedGuest::name);
  if (it == guests.end()) return std::nullopt;
  return *it;
}

std::span<const std::byte> linux_agent() { return {kvmux_linux_agent_start, kvmux_linux_agent_end}; }

}  // namespace guests
