#include "sched/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace sched {
namespace {

struct Unit {
  std::string_view suffix;
  int64_t nanos;
};
// Longest suffix first: "ms" ends in "s" as well.
constexpr std::array kUnits{Unit{"ns", 1}, Unit{"us", 1'000}, Unit{"ms", 1'000'000},
                            Unit{"s", 1'000'000'000}};

constexpr int64_t kMaxTimeNanos = 100LL * 24 * 3600 * 1'000'000'000;

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// `fraction` are the digits behind the decimal point; finer than a nanosecond is refused.
std::optional<int64_t> fraction_nanos(std::string_view fraction, int64_t unit) {
  int64_t sum = 0;
  for (const char digit : fraction) {
    if (unit % 10 != 0) {
      if (digit != '0') return std::nullopt;
      continue;
    }
    unit /= 10;
    sum += (digit - '0') * unit;
  }
  return sum;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::optional<Nanos> parse_time(std::string_view text) {
  if (text == "0") return Nanos{0};
  const auto unit =
      std::find_if(kUnits.begin(), kUnits.end(), [text](const Unit& u) { return text.ends_with(u.suffix); });
  if (unit == kUnits.end()) return std::nullopt;
  text.remove_suffix(unit->suffix.size());
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view fraction = point == std::string_view::npos ? "0" : text.substr(point + 1);
  if (!all_digits(whole) || !all_digits(fraction)) return std::nullopt;
  const auto units = parse_integer(whole);
  const auto rest = fraction_nanos(fraction, unit->nanos);
  if (!units || !rest || *units > kMaxTimeNanos / unit->nanos) return std::nullopt;
  return Nanos{*units * unit->nanos + *rest};
}

std::string format_time(Nanos time) {
  const int64_t nanos = time.count();
  if (nanos == 0) return "0";
  if (nanos < 0) return "-" + format_time(-time);
  const auto unit =
      std::find_if(kUnits.rbegin(), kUnits.rend(), [nanos](const Unit& u) { return nanos >= u.nanos; });
  std::string text = std::to_string(nanos / unit->nanos);
  std::string fraction;
  int64_t rest = nanos % unit->nanos;
  for (int64_t scale = unit->nanos / 10; rest != 0; scale /= 10) {
    fraction += static_cast<char>('0' + rest / scale);
    rest %= scale;
  }
  if (!fraction.empty()) text += "." + fraction;
  return text.append(unit->suffix);
}

std::optional<int64_t> parse_integer(std::string_view text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return value;
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> words) {
  std::string_view best;
  // Farther off it is another word, not a slip; two edits allow for swapped letters.
  size_t best_distance = std::max<size_t>(word.size() < 4 ? 1 : 2, word.size() / 3) + 1;
  for (const std::string_view candidate : words) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> words) {
  const std::string_view guess = nearest(word, words);
  return guess.empty() ? std::string{} : " (did you mean " + std::string{guess} + "?)";
}

std::string join(std::span<const std::string_view> words, std::string_view separator) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += separator;
    text += word;
  }
  return text;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> pieces;
  for (size_t at = 0; at != std::string_view::npos;) {
    const size_t next = text.find_first_of(separators, at);
    pieces.push_back(text.substr(at, next == std::string_view::npos ? next : next - at));
    at = next == std::string_view::npos ? next : next + 1;
  }
  return pieces;
}

}  // namespace sched
