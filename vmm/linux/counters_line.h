// The `counters` line of guest/linux/protocol.h, read and checked. Pure, any thread.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "vmm/linux/session.h"

namespace vmm::linux_guest {

// Decimal digits, below 2^63.
[[nodiscard]] std::optional<uint64_t> natural(std::string_view word);

// What follows "counters ". The error says what is wrong with it.
[[nodiscard]] tl::expected<Counters, std::string> read_counters(std::string_view text);

// Whether `next` can follow `before`; else what fell, or is of another guest.
[[nodiscard]] std::string what_contradicts(const Counters& before, const Counters& next);

}  // namespace vmm::linux_guest
