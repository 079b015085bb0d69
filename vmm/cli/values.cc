#include "vmm/cli/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "sched/base/text.h"
#include "vmm/run/cpu_choice.h"

namespace vmm {
namespace {

std::optional<double> parse_decimal(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (error != std::errc{} || rest != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kHugePageBytes = uint64_t{2} << 20;

// "", or K, M, G in either case, alone or as KiB, MiB, GiB.
std::optional<uint64_t> unit_bytes(std::string_view unit) {
  if (unit.empty()) return 1;
  constexpr std::string_view kUnits = "kmg";
  const size_t place = kUnits.find(static_cast<char>(unit.front() | 0x20));
  if (place == std::string_view::npos || (unit.size() > 1 && unit.substr(1) != "iB")) return std::nullopt;
  return uint64_t{1} << (10 * (place + 1));
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
  const bool is_bare = !value.empty() && value.back() >= '0' && value.back() <= '9';
  if (is_bare) time = sched::parse_time(std::string{value} + "s");  // "10m" must not become "10ms"
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

Result<uint64_t> parse_size(std::string_view flag, std::string_view value, SizeRange range) {
  const std::string_view digits = value.substr(0, value.find_first_not_of("0123456789"));
  const auto count = sched::parse_integer(digits);
  const auto unit = unit_bytes(value.substr(digits.size()));
  const bool fits = count && unit && static_cast<uint64_t>(*count) <= range.max / *unit;
  if (!fits || static_cast<uint64_t>(*count) * *unit < range.min) {
    return bad_value(flag, value,
                     fmt::format("a size like 64M, 64MiB, 1g or a number of bytes, from {}M to {}M",
                                 range.min >> 20, range.max >> 20));
  }
  const uint64_t bytes = static_cast<uint64_t>(*count) * *unit;
  if (bytes % kPageBytes != 0) {
    return bad_value(flag, value, fmt::format("whole pages: a multiple of {} bytes", kPageBytes));
  }
  return bytes;
}

uint64_t whole_huge_pages(uint64_t bytes) {
  return (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
}

std::optional<std::string> rounding_words(std::string_view flag, std::string_view value, uint64_t bytes) {
  const uint64_t whole = whole_huge_pages(bytes);
  if (whole == bytes) return std::nullopt;
  return fmt::format("{}: {} is rounded up to {}M, guests have whole pages of {}M", flag, value, whole >> 20,
                     kHugePageBytes >> 20);
}

Result<uint64_t> parse_address(std::string_view flag, std::string_view value, uint64_t max) {
  const bool is_hex = value.starts_with("0x") || value.starts_with("0X");
  const std::string_view digits = is_hex ? value.substr(2) : value;
  uint64_t address = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, address, is_hex ? 16 : 10);
  const bool octal = !is_hex && digits.size() > 1 && digits.front() == '0';  // C's, or somebody's decimal?
  if (error != std::errc{} || rest != end || octal || address > max) {
    return bad_value(flag, value, fmt::format("an address up to {:#x}, like 0x7c00 or 31744", max));
  }
  return address;
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

Result<std::vector<int>> parse_cpus(std::string_view flag, std::string_view list,
                                    std::span<const int> allowed) {
  const std::string accepted =
      fmt::format("a list like 2-5,8 of CPUs out of {}: this process may use no others",
                  cpu_list_text({allowed.begin(), allowed.end()}));
  std::vector<int> cpus;
  for (const std::string_view part : sched::split(list, ",")) {
    const size_t dash = part.find('-');
    const auto first = sched::parse_integer(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : sched::parse_integer(part.substr(dash + 1));
    if (!first || !last || *first < 0 || *last < *first) return bad_value(flag, part, accepted);
    for (int64_t cpu = *first; cpu <= *last; ++cpu) {
      const bool is_allowed = std::find(allowed.begin(), allowed.end(), cpu) != allowed.end();
      if (!is_allowed) return bad_value(flag, fmt::format("{}", cpu), accepted);
      const int id = static_cast<int>(cpu);
      if (std::find(cpus.begin(), cpus.end(), id) == cpus.end()) cpus.push_back(id);
    }
  }
  std::sort(cpus.begin(), cpus.end());
  return cpus;
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
