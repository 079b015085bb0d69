#include "vmm/stats/site_figures.h"

#include <fmt/format.h>

#include <algorithm>

namespace vmm {

uint64_t samples_of(const CodeSites& sites) {
  uint64_t sum = sites.other;
  for (const CodeSite& site : sites.sites) sum += site.samples;
  return sum;
}

std::string site_words(const CodeSites& sites, size_t most) {
  const uint64_t all = samples_of(sites);
  const auto share = [all](uint64_t samples) {
    return fmt::format("{:.0f} %", 100 * static_cast<double>(samples) / static_cast<double>(all));
  };
  std::string words;
  uint64_t rest = all;
  for (const CodeSite& site : sites.sites) {
    if (most == 0) break;
    if (site.symbol.empty()) continue;
    words += fmt::format("{}{} {}", words.empty() ? "" : ", ", site.symbol, share(site.samples));
    rest -= site.samples;
    --most;
  }
  if (!words.empty() && rest > 0) words += ", others " + share(rest);
  return words;
}

Json sites_json(const CodeSites& sites) {
  Json list = Json::array();
  for (const CodeSite& site : sites.sites) {
    Json entry;
    if (!site.symbol.empty()) entry["symbol"] = site.symbol;
    if (site.bytes > 0) entry["address"] = fmt::format("{:#x}", site.address);
    entry["samples"] = site.samples;
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace vmm
