#include "vmm/linux/counters_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "guest/linux/protocol.h"
#include "sched/base/text.h"

namespace vmm::linux_guest {
namespace {

constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
constexpr std::string_view kLatencyPrefix = "us.";

bool read_steal(std::string_view list, std::vector<uint64_t>& ticks) {
  for (const std::string_view word : sched::split(list, ",")) {
    const auto value = natural(word);
    if (!value || ticks.size() == KVMUX_LINUX_CPUS_MAX) return false;
    ticks.push_back(*value);
  }
  return true;
}

bool read_latency(std::string_view name, std::string_view value, std::vector<Latency>& latencies) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.'; };
  if (name.empty() || name.size() > KVMUX_LINUX_NAME_MAX || !std::ranges::all_of(name, fits)) return false;
  if (latencies.size() == KVMUX_LINUX_LATENCIES_MAX) return false;
  if (std::ranges::find(latencies, name, &Latency::name) != latencies.end()) return false;
  const size_t dot = value.find('.');
  const auto whole = natural(value.substr(0, dot));
  if (!whole) return false;
  double us = static_cast<double>(*whole);
  if (dot != std::string_view::npos) {
    const std::string_view decimals = value.substr(dot + 1);
    const auto part = natural(decimals);
    if (!part || decimals.size() > 3) return false;
    double scale = 1;
    for (size_t i = 0; i < decimals.size(); ++i) scale *= 10;
    us += static_cast<double>(*part) / scale;
  }
  latencies.push_back({std::string{name}, us});
  return true;
}

// The fields of one line; each of the five that are needed at most once.
struct Fields {
  std::optional<uint64_t> ops, at, now, tick;
  std::vector<uint64_t> steal;
  std::vector<Latency> latencies;

  bool take(std::string_view key, std::string_view value) {
    for (const auto& [name, field] : {std::pair{"ops", &ops}, {"at", &at}, {"now", &now}, {"tick", &tick}}) {
      if (key != name) continue;
      if (*field) return false;
      *field = natural(value);
      return field->has_value();
    }
    if (key == "steal") return steal.empty() && read_steal(value, steal);
    if (key.starts_with(kLatencyPrefix))
      return read_latency(key.substr(kLatencyPrefix.size()), value, latencies);
    return true;  // of a later revision
  }
};

tl::unexpected<std::string> bad(std::string why) { return tl::unexpected(std::move(why)); }

}  // namespace

std::optional<uint64_t> natural(std::string_view word) {
  uint64_t value = 0;
  if (word.empty() || word.front() < '0' || word.front() > '9') return std::nullopt;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size() || value > kMost) return std::nullopt;
  return value;
}

tl::expected<Counters, std::string> read_counters(std::string_view text) {
  const auto words = sched::split(text, " ");
  const auto number = natural(words.front());
  if (!number) return bad("counters without a number");
  Fields fields;
  for (size_t i = 1; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    if (equals == std::string_view::npos || equals == 0)
      return bad(fmt::format("counters with '{}'", words[i]));
    if (!fields.take(words[i].substr(0, equals), words[i].substr(equals + 1))) {
      return bad(fmt::format("counters with a bad or second '{}'", words[i].substr(0, equals)));
    }
  }
  if (!fields.ops || !fields.at || !fields.now || !fields.tick || fields.steal.empty()) {
    return bad("counters without one of ops, at, now, tick, steal");
  }
  if (*fields.at > *fields.now) return bad("counters of the future: at is after now");
  if (*fields.tick == 0) return bad("counters with a tick of 0");
  Counters counters;
  counters.number = *number;
  counters.operations = *fields.ops;
  counters.at = Nanos{static_cast<int64_t>(*fields.at)};
  counters.now = Nanos{static_cast<int64_t>(*fields.now)};
  counters.tick = Nanos{static_cast<int64_t>(*fields.tick)};
  // The sum over all CPUs fits as well.
  const uint64_t most = kMost / *fields.tick / KVMUX_LINUX_CPUS_MAX;
  for (const uint64_t ticks : fields.steal) {
    if (ticks > most) return bad("counters with more steal than fits");
    counters.steal.emplace_back(static_cast<int64_t>(ticks * *fields.tick));
  }
  counters.latencies = std::move(fields.latencies);
  return counters;
}

std::string what_contradicts(const Counters& before, const Counters& next) {
  if (next.operations < before.operations) return "its operations fell";
  if (next.at < before.at || next.now < before.now) return "its clock went back";
  if (next.steal.size() != before.steal.size()) return "its number of CPUs changed";
  for (size_t cpu = 0; cpu < next.steal.size(); ++cpu) {
    if (next.steal[cpu] < before.steal[cpu]) return "its steal fell";
  }
  return {};
}

}  // namespace vmm::linux_guest
