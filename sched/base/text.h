// Reading and writing the few kinds of values that policy strings and flags share: times, integers, and the
// nearest accepted word for a mistyped one. Kept in one place so that `--slice 3ms`, `v2,slice=3ms` and the
// JSON agree.
//
// Pure functions, any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sched/base/types.h"

namespace sched {

inline constexpr std::string_view kTimeSyntax = "a time like 50ns, 600us, 2.8ms or 1s";

// A non-negative number (at most nine decimals) with ns, us, ms or s; a bare 0 needs no unit. Nothing is
// returned for anything else, or beyond 100 days.
std::optional<Nanos> parse_time(std::string_view text);

// The shortest exact form that parse_time() reads back: "2.8ms", "600us", "0".
std::string format_time(Nanos time);

// Decimal digits only, optionally a leading minus.
std::optional<int64_t> parse_integer(std::string_view text);

// The word that differs least from `word`, or empty if none is close enough to be a typing mistake.
std::string_view nearest(std::string_view word, std::span<const std::string_view> words);

// " (did you mean X?)" or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> words);

std::string join(std::span<const std::string_view> words, std::string_view separator);

// Pieces between any of the separator characters; empty pieces are kept.
std::vector<std::string_view> split(std::string_view text, std::string_view separators);

}  // namespace sched
