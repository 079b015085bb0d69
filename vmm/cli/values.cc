#include "vmm/cli/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "sched/base/text.h"

namespace vmm {
namespace {

std::optional<double> parse_decimal(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (error != std::errc{} || rest != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace

Failure bad_value(std::string_view flag, std::string_view value, std::string_view accepted) {
  return usage_error(std::string{flag}, fmt::format("'{}' is not accepted; accepted is {}", value, accepted));
}

Result<int64_t> parse_count(std::string_view flag, std::string_view value, Range range) {
  const auto count = sched::parse_integer(value);
  if (!count || *count < range.min || *count > range.max) {
    return bad_value(flag, value, fmt::format("a whole number from {} to {}", range.min, range.max));
  }
  return *count;
}

Result<std::vector<uint32_t>> parse_counts(std::string_view flag, std::string_view list, Range range) {
  std::vector<uint32_t> counts;
  for (const std::string_view item : sched::split(list, ",")) {
    const auto count = parse_count(flag, item, range);
    if (!count) return tl::unexpected(count.error());
    counts.push_back(static_cast<uint32_t>(*count));
  }
  return counts;
}

Result<Nanos> parse_time_flag(std::string_view flag, std::string_view value, Nanos min, Nanos max) {
  const auto time = sched::parse_time(value);
  if (!time || *time < min || *time > max) {
    return bad_value(flag, value,
                     fmt::format("{}, from {} to {}", sched::kTimeSyntax, sched::format_time(min),
                                 sched::format_time(max)));
  }
  return *time;
}

Result<Nanos> parse_seconds(std::string_view flag, std::string_view value, Nanos min, Nanos max) {
  std::optional<Nanos> time = sched::parse_time(value);
  if (!time) time = sched::parse_time(std::string{value} + "s");
  if (!time && value.ends_with('m')) {
    if (const auto minutes = parse_decimal(value.substr(0, value.size() - 1)); minutes && *minutes < 1e6) {
      time = Nanos{static_cast<int64_t>(*minutes * 60e9)};
    }
  }
  if (!time || *time < min || *time > max) {
    return bad_value(flag, value,
                     fmt::format("seconds, or a time like 500ms or 10m, from {} to {}",
                                 sched::format_time(min), sched::format_time(max)));
  }
  return *time;
}

Result<uint64_t> parse_size(std::string_view flag, std::string_view value, uint64_t max) {
  constexpr std::string_view kUnits = "KMG";
  std::string_view digits = value;
  uint64_t unit = 1;
  if (!digits.empty() && kUnits.find(digits.back()) != std::string_view::npos) {
    unit <<= 10 * (kUnits.find(digits.back()) + 1);
    digits.remove_suffix(1);
  }
  const auto count = sched::parse_integer(digits);
  if (!count || *count <= 0 || static_cast<uint64_t>(*count) > max / unit) {
    return bad_value(flag, value, fmt::format("a size like 64M or 1G, at most {}M", max >> 20));
  }
  return static_cast<uint64_t>(*count) * unit;
}

Result<double> parse_percent(std::string_view flag, std::string_view value) {
  std::string_view digits = value;
  if (digits.ends_with('%')) digits.remove_suffix(1);
  const auto percent = parse_decimal(digits);
  if (!percent || *percent < 0 || *percent >= 100) {
    return bad_value(flag, value, "a percentage like 5%, from 0% to below 100%");
  }
  return *percent / 100;
}

Result<size_t> parse_word(std::string_view flag, std::string_view value,
                          std::span<const std::string_view> words) {
  const auto found = std::find(words.begin(), words.end(), value);
  if (found == words.end()) {
    return bad_value(flag, value, sched::join(words, ", ") + sched::did_you_mean(value, words));
  }
  return static_cast<size_t>(found - words.begin());
}

}  // namespace vmm
