// Policy strings and lists: refused with words, or a policy whose text parses to itself.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sched/policy/parse.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto list = sched::parse_policy_list(text);
  if (list) {
    fuzz::expect(!list->empty());
  } else {
    fuzz::expect(!list.error().empty());
  }
  const auto policy = sched::parse_policy(text);
  if (!policy) {
    fuzz::expect(!policy.error().empty());
    return 0;
  }
  const auto again = sched::parse_policy(policy->name);
  fuzz::expect(again.has_value() && again->name == policy->name);
  return 0;
}
