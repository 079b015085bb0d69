#include "vmm/cli/setup_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "vmm/cli/linux_guest.h"

namespace vmm {
namespace {

std::string guest_title(const VmSpec& vm) {
  if (vm.linux_guest) return fmt::format("{} ({})", vm.guest, vm.linux_guest->load);
  const std::string details = vm.guest == "abuse" ? vm.args : describe_workload(vm.guest, vm.workload);
  return details.empty() ? vm.guest : vm.guest + " (" + details + ")";
}

// ", weights 1:4", in lowest terms; empty where all weigh the same.
std::string weights_text(std::span<const sched::Weight> weights) {
  uint64_t divisor = 0;
  bool alike = true;
  for (const sched::Weight weight : weights) {
    divisor = std::gcd(divisor, weight.value);
    alike = alike && weight.value == weights.front().value;
  }
  if (alike) return "";
  std::string text = ", weights ";
  for (size_t i = 0; i < weights.size(); ++i)
    text += fmt::format("{}{}", i == 0 ? "" : ":", weights[i].value / divisor);
  return text;
}

bool all_run_the_same(const Setup& setup) {
  const VmSpec& model = setup.spec.vms.front();
  const auto same = [&model](const VmSpec& vm) {
    return vm.guest == model.guest && vm.args == model.args && vm.linux_guest == model.linux_guest &&
           std::memcmp(&vm.workload, &model.workload, sizeof vm.workload) == 0;
  };
  return std::all_of(setup.spec.vms.begin(), setup.spec.vms.end(), same) &&
         std::all_of(setup.takes_policy.begin(), setup.takes_policy.end(), [](bool takes) { return takes; });
}

// "1 × 16 + 8 × 2, weights 4:1": neighbours of one size and weight together.
std::string listed_size(const std::vector<VmSpec>& vms) {
  std::string text;
  std::vector<sched::Weight> weights;
  for (size_t i = 0; i < vms.size();) {
    const size_t first = i;
    while (i < vms.size() && vms[i].vcpus == vms[first].vcpus &&
           vms[i].weight.value == vms[first].weight.value)
      ++i;
    text += fmt::format("{}{} × {}", first == 0 ? "" : " + ", i - first, vms[first].vcpus);
    weights.push_back(vms[first].weight);
  }
  return text + weights_text(weights);
}

}  // namespace

void name_grid(Setup& setup, std::span<const sched::Weight> weights) {
  const VmSpec& vm = setup.spec.vms.front();
  const size_t vms = setup.spec.vms.size();
  setup.guest = guest_title(vm);
  setup.size =
      fmt::format("{} × {}{}", vms, vm.vcpus, weights_text(weights.first(std::min(vms, weights.size()))));
}

void name_listed(Setup& setup) {
  if (all_run_the_same(setup)) {
    setup.guest = guest_title(setup.spec.vms.front());
    setup.size = listed_size(setup.spec.vms);
    return;
  }
  for (const VmSpec& vm : setup.spec.vms) {
    setup.guest += fmt::format("{}{}×{}", setup.guest.empty() ? "" : " + ",
                               vm.guest == "abuse" || vm.linux_guest ? guest_title(vm) : vm.guest, vm.vcpus);
  }
  setup.size = fmt::format("{} VMs", setup.spec.vms.size());
}

}  // namespace vmm
