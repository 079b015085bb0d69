// Where vCPUs were found: the run loop's table, functions made of places, and the words for them.
#include "vmm/run/code_sites.h"

#include <doctest/doctest.h>

#include <map>

#include "vmm/run/site_counts.h"
#include "vmm/stats/site_figures.h"

using namespace vmm;

namespace {

std::map<uint64_t, uint64_t> content(const SiteCounts& counts) {
  std::map<uint64_t, uint64_t> all;
  counts.for_each([&](uint64_t rip, uint64_t samples) { all[rip] += samples; });
  return all;
}

uint64_t sum(const SiteCounts& counts) {
  uint64_t all = counts.other();
  counts.for_each([&](uint64_t, uint64_t samples) { all += samples; });
  return all;
}

const SymbolTable kKernel({{.start = 0xffffffff81000000, .bytes = 0x100, .name = "queued_spin_lock_slowpath"},
                           {.start = 0xffffffff81000100, .bytes = 0x100, .name = "do_idle"}});

}  // namespace

TEST_CASE("site counts: few places are counted exactly") {
  SiteCounts counts;
  for (int i = 0; i < 1000; ++i) counts.count(0x1000 + static_cast<uint64_t>(i % 3) * 2);
  CHECK(content(counts) == std::map<uint64_t, uint64_t>{{0x1000, 334}, {0x1002, 333}, {0x1004, 333}});
  CHECK(counts.other() == 0);
  counts.clear();
  CHECK(content(counts).empty());
  CHECK(sum(counts) == 0);
}

TEST_CASE("site counts: among many places what comes often stays, and no sample is lost") {
  SiteCounts counts;
  constexpr uint64_t kOften = 0xffffffff81234560;
  constexpr uint64_t kSamples = 100'000;
  for (uint64_t i = 0; i < kSamples; ++i) counts.count(i % 2 == 0 ? kOften : 0xffffffff90000000 + i * 7);
  CHECK(sum(counts) == kSamples);
  CHECK(counts.other() > 0);
  const auto all = content(counts);
  CHECK(all.size() <= SiteCounts::kSites);
  REQUIRE(all.contains(kOften));
  // Of 50,000, less what one bucket's newcomers took.
  CHECK(all.at(kOften) > kSamples / 4);
  CHECK(all.at(kOften) <= kSamples / 2);
}

TEST_CASE("code sites: places of a function are one site, most samples first") {
  const CodeSites sites = by_function({{0xffffffff81000010, 40},
                                       {0xffffffff81000012, 21},
                                       {0xffffffff81000150, 20},
                                       {0xffffffff82000000, 5},
                                       {0x401000, 6},
                                       {0x7fff12345678, 3}},
                                      5, kKernel);
  REQUIRE(sites.sites.size() == 4);
  CHECK(sites.sites[0] ==
        CodeSite{.symbol = "queued_spin_lock_slowpath", .address = 0xffffffff81000000, .bytes = 0x100, .samples = 61});
  CHECK(sites.sites[1].symbol == "do_idle");
  CHECK(sites.sites[2] == CodeSite{.symbol = "(user space)", .address = 0, .bytes = 0, .samples = 9});
  CHECK(sites.sites[3] == CodeSite{.symbol = {}, .address = 0xffffffff82000000, .bytes = 1, .samples = 5});
  CHECK(sites.other == 5);
  CHECK(samples_of(sites) == 100);
  CHECK(site_words(sites) == "queued_spin_lock_slowpath 61 %, do_idle 20 %, (user space) 9 %, others 10 %");
  CHECK(site_words(sites, 1) == "queued_spin_lock_slowpath 61 %, others 39 %");
  const Json json = sites_json(sites);
  CHECK(json[0] == Json{{"symbol", "queued_spin_lock_slowpath"}, {"address", "0xffffffff81000000"}, {"samples", 61}});
  CHECK(json[2] == Json{{"symbol", "(user space)"}, {"samples", 9}});
  CHECK(json[3] == Json{{"address", "0xffffffff82000000"}, {"samples", 5}});
}

TEST_CASE("code sites: without names there are addresses and no words; the rare ones are others") {
  std::map<uint64_t, uint64_t> samples;
  for (uint64_t i = 1; i <= 150; ++i) samples[i * 16] = i;
  const CodeSites sites = by_function(samples, 0, {});
  REQUIRE(sites.sites.size() == 100);
  CHECK(sites.sites.front() == CodeSite{.symbol = {}, .address = 150 * 16, .bytes = 1, .samples = 150});
  CHECK(sites.other == 50 * 51 / 2);
  CHECK(site_words(sites).empty());
  CHECK(samples_of(sites) == 150 * 151 / 2);
}
