// The kind of abuse that the arguments of the guest `abuse` name. Pure, any thread.
#pragma once

#include <array>
#include <string_view>

#include "guest/abuse_kinds.h"
#include "vmm/result.h"

namespace vmm {

inline constexpr std::array<std::string_view, KVMUX_ABUSE_COUNT> kAbuseWords{
#define KVMUX_ABUSE_WORD(name, word) word,
    KVMUX_ABUSE_KINDS(KVMUX_ABUSE_WORD)
#undef KVMUX_ABUSE_WORD
};

// No arguments: the first kind. A usage error names what is accepted.
[[nodiscard]] Result<kvmux_abuse> parse_abuse(std::string_view args, uint32_t vcpus);

}  // namespace vmm
