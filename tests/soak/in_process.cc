#include "tests/soak/in_process.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>

#include "tests/soak/judge.h"
#include "vmm/run/run.h"

namespace soak {
namespace {

// Sets `stop` so long after it was made, from a thread of its own, as a signal would.
class Stopper {
 public:
  Stopper(std::atomic<bool>& stop, Nanos after) {
    if (after < Nanos{}) return;
    thread_ = std::thread([&stop, after, this] {
      std::unique_lock lock(mutex_);
      over_changed_.wait_for(lock, after, [this] { return over_; });
      stop = true;
    });
  }
  ~Stopper() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    over_changed_.notify_one();
    thread_.join();
  }
  Stopper(const Stopper&) = delete;
  Stopper& operator=(const Stopper&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable over_changed_;
  bool over_ = false;
  std::thread thread_;
};

void count(const vmm::RunResult& result, Outcome& outcome) {
  for (const vmm::VmResult& vm : result.vms) {
    for (const vmm::VcpuResult& vcpu : vm.vcpus) {
      outcome.vcpu_seconds += std::chrono::duration<double>(result.window).count();
      outcome.ipis += vcpu.sched.ipis_sent;
      outcome.exits += vcpu.exits;
    }
  }
}

void note_error(const Machine& machine, const vmm::Error& error, Outcome& outcome) {
  const bool refused = error.kind == vmm::ErrorKind::kUsage;
  if (machine.may_be_refused && refused) return;
  const bool stopped = machine.stop_after >= Nanos{} && error.text().find("interrupted") != std::string::npos;
  if (stopped) return;
  outcome.failures.push_back((refused ? "refused: " : "run() failed: ") + error.text());
}

CpuUse cpu_use() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  std::ifstream stat("/proc/stat");  // "cpu", then user, nice, system, idle, iowait in ticks
  std::string name;
  int64_t user = 0;
  int64_t nice = 0;
  int64_t system = 0;
  int64_t idle = 0;
  int64_t iowait = 0;
  stat >> name >> user >> nice >> system >> idle >> iowait;
  return {.ours = std::chrono::seconds(now.tv_sec) + Nanos{now.tv_nsec},
          .idle = (idle + iowait) * ms(1'000) / ::sysconf(_SC_CLK_TCK)};
}

constexpr Nanos kLongest = ms(25'000);  // who needs more is left undecided

// Once, in a window of this length. True: there is nothing left to wait for.
bool run_once(const Machine& machine, Nanos duration, bool last, Watchdog& dog, Outcome& outcome) {
  vmm::RunSpec spec = machine.spec;
  spec.duration = duration;
  const Nanos stop_after = machine.stop_after;
  vmm::RunControl control;
  dog.begin(fmt::format("machine {} of seed {}, window {} ms: {}", machine.number, machine.seed,
                        duration / ms(1), machine.text()),
            ms(120'000) + 4 * duration);
  const CpuUse before = cpu_use();
  const auto result = [&] {
    const Stopper stopper(control.stop, stop_after);
    return vmm::run(spec, control);
  }();
  dog.end();
  if (!result) {
    note_error(machine, result.error(), outcome);
    return true;
  }
  count(*result, outcome);
  const CpuUse after = cpu_use();
  const Verdict verdict =
      judge(machine, spec, *result, {.ours = after.ours - before.ours, .idle = after.idle - before.idle});
  outcome.failures.insert(outcome.failures.end(), verdict.wrong.begin(), verdict.wrong.end());
  if (result->interrupted && stop_after < Nanos{}) outcome.failures.push_back("interrupted by nobody");
  if (!verdict.wrong.empty() || stop_after >= Nanos{}) return true;
  const bool too_short = last && duration < machine.patience;
  if (!verdict.not_yet.empty() && (too_short || (verdict.host_took_it && duration >= ms(4'000)))) {
    outcome.undecided = true;
    return true;
  }
  if (last) {
    for (const std::string& what : verdict.not_yet) {
      outcome.failures.push_back(fmt::format("in {} ms: {}", duration / ms(1), what));
    }
  }
  return verdict.not_yet.empty();
}

}  // namespace

Outcome run_in_process(const Machine& machine, Watchdog& dog) {
  Outcome outcome;
  const std::array<Nanos, 4> windows{machine.spec.duration, ms(1'000), ms(4'000),
                                     std::min(machine.patience, kLongest)};
  for (size_t i = 0; i < windows.size(); ++i) {
    const bool last = i + 1 == windows.size();
    if (run_once(machine, windows[i], last, dog, outcome)) break;
  }
  return outcome;
}

}  // namespace soak
