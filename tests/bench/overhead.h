// What an extra costs guests on KVM: pairs of runs, one with it and one without, in turn and in changing
// order; the ratio of their throughput with its interval. Main thread.
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sched/policy/parse.h"
#include "vmm/cli/guests.h"
#include "vmm/run/run.h"
#include "vmm/stats/sample.h"

namespace overhead {

inline constexpr double kTarget = 0.99;

struct Arguments {
  int pairs = 21;
  double seconds = 1.0;
  std::vector<std::string> guests{"lock", "ipi"};
};

// [PAIRS [SECONDS [GUEST…]]]; ends the program if they are none.
inline Arguments arguments(int argc, char** argv) {
  Arguments result;
  if (argc > 1) result.pairs = std::atoi(argv[1]);
  if (argc > 2) result.seconds = std::atof(argv[2]);
  if (result.pairs < 2 || result.seconds <= 0) {
    fmt::print(stderr, "usage: {} [PAIRS ≥ 2 [SECONDS > 0 [GUEST…]]]\n", argv[0]);
    std::exit(2);
  }
  if (argc > 3) result.guests.assign(argv + 3, argv + argc);
  return result;
}

inline vmm::RunSpec spec_of(const std::string& guest, double seconds, uint64_t seed) {
  vmm::RunSpec spec;
  spec.duration = vmm::Nanos(static_cast<int64_t>(seconds * 1e9));
  spec.quiet_console = true;
  spec.seed = seed;
  for (int i = 0; i < 2; ++i) {
    vmm::VmSpec& vm = spec.vms.emplace_back();
    vm.guest = guest;
    vm.vcpus = 4;
    vm.policy = *sched::parse_policy("kvmux");
    vm.workload = vmm::make_workload(guest, {});
  }
  return spec;
}

inline double throughput(const vmm::RunSpec& spec, vmm::RunControl& control) {
  const auto result = vmm::run(spec, control);
  if (!result) {
    fmt::print(stderr, "{}\n", result.error().text());
    std::exit(3);
  }
  double sum = 0;
  for (const vmm::VmResult& vm : result->vms) sum += vm.ops_per_second;
  return sum;
}

// `with`: runs it with the extra. `more`: what else is to be said, once all have run.
inline void compare(
    std::string_view what, const std::string& guest, const Arguments& arguments,
    const std::function<double(const vmm::RunSpec&)>& with,
    const std::function<std::string()>& more = [] { return std::string(); }) {
  std::vector<double> rates_with;
  std::vector<double> rates_without;
  for (int i = 0; i < arguments.pairs; ++i) {
    const vmm::RunSpec spec = spec_of(guest, arguments.seconds, static_cast<uint64_t>(i) + 1);
    const auto run_with = [&] { rates_with.push_back(with(spec)); };
    const auto run_without = [&] {
      vmm::RunControl control;
      rates_without.push_back(throughput(spec, control));
    };
    if (i % 2 == 0) run_with();
    run_without();
    if (i % 2 != 0) run_with();
  }
  const auto ratio = vmm::paired_ratio(rates_with, rates_without, 1);
  if (!ratio) return fmt::print("{}: no ratio\n", guest);
  fmt::print("{:<44} {:<46} {:<7} {}\n", fmt::format("throughput {}, {}, 2 × 4", what, guest),
             fmt::format("{:.4f} ({:.4f} … {:.4f}){}", ratio->ratio, ratio->low, ratio->high, more()),
             ratio->low >= kTarget   ? "met"
             : ratio->high < kTarget ? "missed"
                                     : "open",
             "≥ 0.99");
}

}  // namespace overhead
