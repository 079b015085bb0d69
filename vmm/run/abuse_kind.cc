#include "vmm/run/abuse_kind.h"

#include <fmt/format.h>

#include <algorithm>

#include "sched/base/text.h"

namespace vmm {

Result<kvmux_abuse> parse_abuse(std::string_view args, uint32_t vcpus) {
  if (args.empty()) return kvmux_abuse{};
  const auto found = std::find(kAbuseWords.begin(), kAbuseWords.end(), args);
  if (found == kAbuseWords.end()) {
    return usage_error("--guest-args",
                       fmt::format("'{}' is no kind of guest abuse{}; accepted are {}", args,
                                   sched::did_you_mean(args, kAbuseWords), sched::join(kAbuseWords, ", ")));
  }
  const auto kind = static_cast<kvmux_abuse>(found - kAbuseWords.begin());
  if (vcpus < 2 && kvmux_abuse_needs_others(kind) != 0) {
    return usage_error("--vcpus",
                       fmt::format("'{}' is not enough for abuse {}; accepted are 2 and more", vcpus, args));
  }
  return kind;
}

}  // namespace vmm
