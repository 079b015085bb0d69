// The built-in guests, carried inside the program as ELF64 images.
//
// Any thread, at any time: constant data.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace guests {

struct EmbeddedGuest {
  std::string_view name;         // as --guest takes it
  std::string_view description;  // one line
  std::span<const std::byte> image;
};

// In the order in which they are listed to users.
[[nodiscard]] std::span<const EmbeddedGuest> all();

[[nodiscard]] std::optional<EmbeddedGuest> find(std::string_view name);

// The agent of Linux guests (guest/linux/): a static ELF64 program of Linux, none of all().
[[nodiscard]] std::span<const std::byte> linux_agent();

}  // namespace guests
