#include "vmm/run/cpu_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <tuple>

#include "vmm/check.h"
#include "vmm/run/cpu_supply.h"
#include "vmm/run/os_thread.h"

namespace vmm {
namespace {

constexpr const char* kSysfs = "/sys/devices";

int read_number(const std::string& path, int missing) {
  int value = missing;
  std::ifstream file(path);
  return file >> value ? value : missing;
}

std::vector<int> read_list(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return parse_cpu_list(line);
}

std::map<int, int> node_of_cpu(const std::string& sysfs) {
  std::map<int, int> nodes;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(sysfs + "/system/node", error)) {
    const std::string name = entry.path().filename().string();
    int node = 0;
    if (!name.starts_with("node") ||
        std::from_chars(name.data() + 4, name.data() + name.size(), node).ec != std::errc{})
      continue;
    for (const int cpu : read_list(entry.path().string() + "/cpulist")) nodes[cpu] = node;
  }
  return nodes;
}

// Hybrid x86 names its efficiency cores; elsewhere cpu_capacity tells, 1024 being the fastest.
bool is_efficiency(const std::string& sysfs, const std::vector<int>& atoms, int cpu) {
  if (std::find(atoms.begin(), atoms.end(), cpu) != atoms.end()) return true;
  constexpr int kFull = 1024;
  return read_number(fmt::format("{}/system/cpu/cpu{}/cpu_capacity", sysfs, cpu), kFull) < kFull * 9 / 10;
}

using Core = std::tuple<int, int, int>;  // node, package, core
Core core_of(const CpuPlace& place) { return {place.node, place.package, place.core}; }

struct Ranked {
  const CpuPlace* place;
  size_t sibling;    // how many CPUs of its core come before it
  size_t node_rank;  // nodes with more cores first
};

std::vector<Ranked> ranked(std::span<const CpuPlace> places) {
  std::map<Core, size_t> seen;
  std::map<int, std::set<Core>> cores_of_node;
  std::vector<Ranked> result;
  for (const CpuPlace& place : places) {
    result.push_back({&place, seen[core_of(place)]++, 0});
    cores_of_node[place.node].insert(core_of(place));
  }
  for (Ranked& entry : result) {
    const size_t own = cores_of_node[entry.place->node].size();
    for (const auto& [node, cores] : cores_of_node) {
      const bool before = cores.size() != own ? cores.size() > own : node < entry.place->node;
      entry.node_rank += before ? 1 : 0;
    }
  }
  std::stable_sort(result.begin(), result.end(), [](const Ranked& a, const Ranked& b) {
    return std::tuple(a.sibling, a.node_rank, a.place->efficiency, a.place->cpu) <
           std::tuple(b.sibling, b.node_rank, b.place->efficiency, b.place->cpu);
  });
  return result;
}

std::vector<std::string> notes_on(std::span<const CpuPlace> chosen) {
  std::vector<std::string> notes;
  std::map<Core, std::vector<int>> cores;
  std::vector<int> efficiency;
  std::set<int> nodes;
  for (const CpuPlace& place : chosen) {
    cores[core_of(place)].push_back(place.cpu);
    if (place.efficiency) efficiency.push_back(place.cpu);
    nodes.insert(place.node);
  }
  std::vector<std::string> siblings;
  for (const auto& [core, cpus] : cores) {
    if (cpus.size() > 1) siblings.push_back(cpu_list_text(cpus));
  }
  if (!siblings.empty())
    notes.push_back(fmt::format("SMT siblings share a core: {}", fmt::join(siblings, "; ")));
  if (!efficiency.empty() && efficiency.size() < chosen.size()) {
    notes.push_back(fmt::format("efficiency cores among them: {}", cpu_list_text(efficiency)));
  }
  if (nodes.size() > 1) notes.push_back(fmt::format("on {} memory nodes", nodes.size()));
  return notes;
}

std::vector<int>& restriction() {
  static std::vector<int> cpus;
  return cpus;
}

}  // namespace

std::vector<CpuPlace> read_cpu_places(const std::string& sysfs, std::span<const int> cpus) {
  const std::map<int, int> nodes = node_of_cpu(sysfs);
  const std::vector<int> atoms = read_list(sysfs + "/cpu_atom/cpus");
  std::vector<CpuPlace> places;
  for (const int cpu : cpus) {
    const std::string topology = fmt::format("{}/system/cpu/cpu{}/topology/", sysfs, cpu);
    const auto node = nodes.find(cpu);
    places.push_back({.cpu = cpu,
                      .package = read_number(topology + "physical_package_id", 0),
                      .core = read_number(topology + "core_id", cpu),
                      .node = node == nodes.end() ? 0 : node->second,
                      .efficiency = is_efficiency(sysfs, atoms, cpu)});
  }
  return places;
}

CpuChoice choose_cpus(std::span<const CpuPlace> places, size_t workers, std::optional<double> quota) {
  KVMUX_CHECK(!places.empty(), "a process may run on some CPU");
  CpuChoice choice;
  std::vector<CpuPlace> chosen;
  for (const Ranked& entry : ranked(places)) {
    if (chosen.size() == workers) break;
    chosen.push_back(*entry.place);
    choice.cpus.push_back(entry.place->cpu);
  }
  choice.notes = notes_on(chosen);
  if (quota && *quota < static_cast<double>(choice.cpus.size()))
    choice.notes.push_back(fmt::format("a cgroup's quota (cpu.max) gives {:.2f} CPUs of these", *quota));
  return choice;
}

void restrict_runs_to(std::vector<int> cpus) { restriction() = std::move(cpus); }

std::vector<int> usable_cpus() { return restriction().empty() ? allowed_cpus() : restriction(); }

CpuChoice chosen_cpus(size_t workers) {
  return choose_cpus(read_cpu_places(kSysfs, usable_cpus()), workers, read_cpu_supply().quota);
}

std::vector<int> parse_cpu_list(const std::string& text) {
  std::vector<int> cpus;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    int first = 0;
    auto parsed = std::from_chars(at, end, first);
    if (parsed.ec != std::errc{}) return cpus;
    int last = first;
    if (parsed.ptr < end && *parsed.ptr == '-') {
      parsed = std::from_chars(parsed.ptr + 1, end, last);
      if (parsed.ec != std::errc{}) return cpus;
    }
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    at = parsed.ptr;
    if (at < end && *at != ',') return cpus;
    ++at;
  }
  return cpus;
}

std::string cpu_list_text(std::vector<int> cpus) {
  std::sort(cpus.begin(), cpus.end());
  std::string text;
  for (size_t i = 0; i < cpus.size();) {
    size_t end = i + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(cpus[i]);
    if (end - i > 1) text += (end - i == 2 ? "," : "-") + std::to_string(cpus[end - 1]);
    i = end;
  }
  return text;
}

std::string CpuChoice::words() const {
  return fmt::format("{}{}{}", cpu_list_text(cpus), notes.empty() ? "" : ": ", fmt::join(notes, "; "));
}

}  // namespace vmm
