// What a guest writes into its pages of guest/abi.h, at two moments: becomes figures that add up, text
// without control characters, and JSON that can be read again.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/fuzz/input.h"
#include "vmm/cli/run_json.h"
#include "vmm/cli/run_text.h"
#include "vmm/run/guest_pages.h"
#include "vmm/stats/metrics.h"

namespace {

// Words at places of the input's choice: a page is mostly zeros, as a guest's is.
template <class Page>
void scribble(fuzz::Input& input, Page& page) {
  auto* bytes = reinterpret_cast<uint8_t*>(&page);
  for (unsigned n = input.take<uint8_t>() % 32; n > 0; --n) {
    const size_t at = input.take<uint16_t>() % (sizeof(page) - sizeof(uint64_t) + 1);
    const auto word = input.take<uint64_t>();
    std::memcpy(bytes + at, &word, sizeof(word));
  }
}

bool is_plain(char c) {
  return c == '\n' || c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

bool is_sane(vmm::Nanos time) { return time >= vmm::Nanos{} && time <= vmm::kMostGuestTime; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const vmm::Calibration calibration{.delay_iters_per_ms = static_cast<double>(input.take<uint32_t>()),
                                     .pauses_per_ms = static_cast<double>(input.take<uint32_t>()),
                                     .exit_cost = {}};
  vmm::RunResult result;
  result.window = vmm::Nanos{1 + input.take<uint32_t>()};
  result.tsc_khz = static_cast<double>(input.take<uint32_t>());
  vmm::RunSpec spec;
  for (unsigned v = 1 + input.take<uint8_t>() % 3; v > 0; --v) {
    spec.vms.emplace_back().guest = "compute";
    vmm::VmResult& vm = result.vms.emplace_back();
    vm.guest = "compute";
    for (unsigned i = 1 + input.take<uint8_t>() % 3; i > 0; --i) {
      kvmux_vcpu_results start{};
      scribble(input, start);
      kvmux_vcpu_results end = start;
      scribble(input, end);
      vmm::VcpuResult& vcpu = vm.vcpus.emplace_back();
      vmm::add_counters(start, end, calibration, vcpu);
      vmm::add_latencies(start, end, vm);
      vcpu.ledger.spinning = vmm::spinning_time(vcpu, calibration);
      fuzz::expect(is_sane(vcpu.work_time) && is_sane(vcpu.ledger.spinning));
      kvmux_check check{};
      scribble(input, check);
      vm.checks.push_back(vmm::read_check(i, check));
      fuzz::expect(vm.checks.back().name.size() <= sizeof(check.name));
    }
    spec.vms.back().vcpus = static_cast<uint32_t>(vm.vcpus.size());
  }
  spec.workers = 2;
  for (const auto& [name, value] : vmm::measure(spec, result)) fuzz::expect(std::isfinite(value));
  const std::string text = vmm::run_text(spec, result, vmm::VcpuDetail::kAlways);
  fuzz::expect(std::ranges::all_of(text, is_plain));
  const std::string json = vmm::dump(vmm::result_json(spec, result));
  fuzz::expect(!vmm::Json::parse(json, nullptr, false).is_discarded());
  return 0;
}
