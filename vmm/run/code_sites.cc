#include "vmm/run/code_sites.h"

#include <algorithm>

#include "guest/embedded.h"
#include "vmm/load/elf.h"

namespace vmm {
namespace {

constexpr size_t kMostSites = 100;
constexpr const char* kBelowKernel = "(user space)";  // all that lies below a kernel whose names are known

// The function, or the instruction itself.
CodeSite site_at(uint64_t rip, const SymbolTable& symbols) {
  if (symbols.is_upper_half() && rip >> 63 == 0) return {.symbol = kBelowKernel, .address = 0, .bytes = 0, .samples = 0};
  const auto place = symbols.find(rip);
  if (!place) return {.symbol = {}, .address = rip, .bytes = 1, .samples = 0};
  return {.symbol = place->symbol->name, .address = place->symbol->start, .bytes = place->bytes, .samples = 0};
}

CodeSites collect(Vm& vm, SiteCounts Vcpu::* counts, const SymbolTable& symbols) {
  std::map<uint64_t, uint64_t> samples;
  uint64_t other = 0;
  for (uint32_t i = 0; i < vm.vcpu_count(); ++i) {
    const SiteCounts& of_vcpu = vm.vcpu(VcpuIndex{i}).*counts;
    of_vcpu.for_each([&](uint64_t rip, uint64_t count) { samples[rip] += count; });
    other += of_vcpu.other();
  }
  return by_function(samples, other, symbols);
}

}  // namespace

CodeSites by_function(const std::map<uint64_t, uint64_t>& samples_by_rip, uint64_t other,
                      const SymbolTable& symbols) {
  std::map<std::pair<uint64_t, std::string>, CodeSite> functions;  // user space is no place: address 0
  for (const auto& [rip, samples] : samples_by_rip) {
    CodeSite site = site_at(rip, symbols);
    auto& known = functions.try_emplace({site.address, site.symbol}, std::move(site)).first->second;
    known.samples += samples;
  }
  CodeSites all;
  all.other = other;
  all.sites.reserve(functions.size());
  for (auto& [key, site] : functions) all.sites.push_back(std::move(site));
  std::stable_sort(all.sites.begin(), all.sites.end(),
                   [](const CodeSite& a, const CodeSite& b) { return a.samples > b.samples; });
  for (size_t i = kMostSites; i < all.sites.size(); ++i) all.other += all.sites[i].samples;
  if (all.sites.size() > kMostSites) all.sites.resize(kMostSites);
  return all;
}

SitesOfVm sites_of(Vm& vm, const SymbolTable& symbols) {
  return {.spinning = collect(vm, &Vcpu::spun_at, symbols), .taken_off = collect(vm, &Vcpu::taken_off_at, symbols)};
}

void forget_sites(Vm& vm) {
  for (uint32_t i = 0; i < vm.vcpu_count(); ++i) {
    Vcpu& vcpu = vm.vcpu(VcpuIndex{i});
    vcpu.spun_at.clear();
    vcpu.taken_off_at.clear();
  }
}

const SymbolTable& GuestSymbols::of(VmId vm) {
  const VmSpec& its = spec_.vms[index_of(vm)];
  const bool given = its.linux_guest && !its.linux_guest->symbols.empty();
  const std::string& name = given ? its.linux_guest->symbols : its.linux_guest ? its.linux_guest->kernel : its.guest;
  const auto [at, is_new] = tables_.try_emplace((its.linux_guest ? "linux " : "tiny ") + name);
  if (!is_new) return at->second;
  const auto embedded = its.linux_guest ? std::nullopt : guests::find(name);
  if (embedded) {
    at->second = elf_symbols(embedded->image);
  } else if (given) {
    if (auto symbols = read_symbols(name)) at->second = std::move(*symbols);  // was read before: the command line's
  } else if (const auto file = read_image_file(name)) {
    at->second = elf_symbols(*file);
  }
  return at->second;
}

}  // namespace vmm
