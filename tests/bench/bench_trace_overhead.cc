// What --trace costs guests on KVM (overhead.h).
//   bench_trace_overhead [PAIRS [SECONDS [GUEST…]]]      21 pairs of 1 s; lock and ipi
// Target: below 1 % lost.
#include "tests/bench/overhead.h"
#include "vmm/trace/recorder.h"

namespace {

constexpr size_t kEvents = 1'000'000;  // as --trace-events has it by default

}  // namespace

int main(int argc, char** argv) {
  const overhead::Arguments arguments = overhead::arguments(argc, argv);
  for (const std::string& guest : arguments.guests) {
    uint64_t events = 0;
    const auto with = [&events](const vmm::RunSpec& spec) {
      vmm::TraceRecorder recorder(spec.workers, kEvents);
      vmm::RunControl control;
      control.trace = &recorder;
      const double rate = overhead::throughput(spec, control);
      const auto content = recorder.content();
      events += content.lost + content.events.size();
      return rate;
    };
    overhead::compare("traced : untraced", guest, arguments, with, [&] {
      return fmt::format(", {:.0f} events/s",
                         static_cast<double>(events) / (arguments.pairs * arguments.seconds));
    });
  }
  return 0;
}
