// What --trace costs guests on KVM: pairs of runs, one traced and one not, in turn and in changing order; the
// ratio of their throughput with its interval.
//   bench_trace_overhead [PAIRS [SECONDS [GUEST…]]]      21 pairs of 1 s; lock and ipi
// Target: below 1 % lost.
#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "sched/policy/parse.h"
#include "vmm/cli/guests.h"
#include "vmm/run/run.h"
#include "vmm/stats/sample.h"
#include "vmm/trace/recorder.h"

namespace {

using namespace vmm;

constexpr size_t kEvents = 1'000'000;  // as --trace-events has it by default
constexpr double kTarget = 0.99;

RunSpec spec_of(const std::string& guest, double seconds, uint64_t seed) {
  RunSpec spec;
  spec.duration = Nanos(static_cast<int64_t>(seconds * 1e9));
  spec.quiet_console = true;
  spec.seed = seed;
  for (int i = 0; i < 2; ++i) {
    VmSpec& vm = spec.vms.emplace_back();
    vm.guest = guest;
    vm.vcpus = 4;
    vm.policy = *sched::parse_policy("kvmux");
    vm.workload = make_workload(guest, {});
  }
  return spec;
}

double throughput(const RunSpec& spec, TraceRecorder* recorder) {
  RunControl control;
  control.trace = recorder;
  const auto result = run(spec, control);
  if (!result) {
    fmt::print(stderr, "{}\n", result.error().text());
    std::exit(3);
  }
  double sum = 0;
  for (const VmResult& vm : result->vms) sum += vm.ops_per_second;
  return sum;
}

void compare(const std::string& guest, int pairs, double seconds) {
  std::vector<double> traced;
  std::vector<double> untraced;
  uint64_t events = 0;
  for (int i = 0; i < pairs; ++i) {
    const RunSpec spec = spec_of(guest, seconds, static_cast<uint64_t>(i) + 1);
    const auto with = [&] {
      TraceRecorder recorder(spec.workers, kEvents);
      traced.push_back(throughput(spec, &recorder));
      const auto content = recorder.content();
      events += content.lost + content.events.size();
    };
    const auto without = [&] { untraced.push_back(throughput(spec, nullptr)); };
    if (i % 2 == 0) {
      with();
      without();
    } else {
      without();
      with();
    }
  }
  const auto ratio = paired_ratio(traced, untraced, 1);
  if (!ratio) return fmt::print("{}: no ratio\n", guest);
  const double rate = static_cast<double>(events) / (pairs * seconds);
  fmt::print(
      "{:<44} {:<46} {:<7} {}\n", fmt::format("throughput traced : untraced, {}, 2 × 4", guest),
      fmt::format("{:.4f} ({:.4f} … {:.4f}), {:.0f} events/s", ratio->ratio, ratio->low, ratio->high, rate),
      ratio->low >= kTarget   ? "met"
      : ratio->high < kTarget ? "missed"
                              : "open",
      "≥ 0.99");
}

}  // namespace

int main(int argc, char** argv) {
  const int pairs = argc > 1 ? std::atoi(argv[1]) : 21;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 1.0;
  if (pairs < 2 || seconds <= 0) {
    fmt::print(stderr, "usage: bench_trace_overhead [PAIRS ≥ 2 [SECONDS > 0 [GUEST…]]]\n");
    return 2;
  }
  std::vector<std::string> guests(argv + std::min(argc, 3), argv + argc);
  if (guests.empty()) guests = {"lock", "ipi"};
  for (const std::string& guest : guests) compare(guest, pairs, seconds);
  return 0;
}
