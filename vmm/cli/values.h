// Reads flag values. Every refusal names the flag, the bad value and what is accepted, and is a usage error
// (exit status 2). Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sched/base/types.h"
#include "vmm/result.h"

namespace vmm {

using sched::Nanos;

// "--vms: '0' is not accepted; accepted is a whole number from 1 to 64".
[[nodiscard]] Failure bad_value(std::string_view flag, std::string_view value, std::string_view accepted);

struct Range {
  int64_t min;
  int64_t max;
};
[[nodiscard]] Result<int64_t> parse_count(std::string_view flag, std::string_view value, Range range);
[[nodiscard]] Result<std::vector<uint32_t>> parse_counts(std::string_view flag, std::string_view list,
                                                         Range range);

// A time with a unit, from `min` to `max`.
[[nodiscard]] Result<Nanos> parse_time_flag(std::string_view flag, std::string_view value, Nanos min,
                                            Nanos max);
// The same, but a bare number counts seconds: `5`, `0.5`, `500ms`, `10m`.
[[nodiscard]] Result<Nanos> parse_seconds(std::string_view flag, std::string_view value, Nanos min,
                                          Nanos max);
// Bytes: a whole number, alone or with K, M, G in either case or KiB, MiB, GiB (all powers of 1024). What is
// not whole pages of 4 KiB is refused.
struct SizeRange {
  uint64_t min;
  uint64_t max;
};
[[nodiscard]] Result<uint64_t> parse_size(std::string_view flag, std::string_view value, SizeRange range);
// Guests' memory comes in pages of 2 MiB: so many bytes a size becomes, and what to tell the user if that is
// more than was asked for.
[[nodiscard]] uint64_t whole_huge_pages(uint64_t bytes);
[[nodiscard]] std::optional<std::string> rounding_words(std::string_view flag, std::string_view value,
                                                        uint64_t bytes);
// Decimal, or hexadecimal behind 0x. A leading zero is refused: it could mean octal.
[[nodiscard]] Result<uint64_t> parse_address(std::string_view flag, std::string_view value, uint64_t max);
// `5%` or `5`, as a fraction: 0.05; from 0 to below 100 %.
[[nodiscard]] Result<double> parse_percent(std::string_view flag, std::string_view value);
// CPUs as taskset writes them (2-5,8), each one of `allowed`, which is sorted; the answer is in their order.
[[nodiscard]] Result<std::vector<int>> parse_cpus(std::string_view flag, std::string_view list,
                                                  std::span<const int> allowed);
// One of some words; the answer is its place.
[[nodiscard]] Result<size_t> parse_word(std::string_view flag, std::string_view value,
                                        std::span<const std::string_view> words);

}  // namespace vmm
