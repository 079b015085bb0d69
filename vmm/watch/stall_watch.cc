#include "vmm/watch/stall_watch.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <system_error>

#include "vmm/run/clock.h"
#include "vmm/run/os_thread.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/thread_signals.h"
#include "vmm/watch/dump.h"
#include "vmm/watch/request.h"
#include "vmm/watch/words.h"

namespace vmm::watch {
namespace {

using namespace std::chrono_literals;

constexpr Nanos kUnreported{2s};     // what is judged, though not reported, with --stall off
constexpr Nanos kBetweenDumps{10s};  // what is found meanwhile is a line
constexpr uint32_t kMostDumps = 5;   // a run
constexpr size_t kMostStalls = 100;  // that are said, and kept
constexpr Nanos kTraced{100ms};      // before the dump, and before the stall began

Limits limits_of(const WatchSetup& setup) {
  return {.stall = setup.stall > Nanos{} ? setup.stall : kUnreported,
          .longest_wait = setup.longest_wait,
          .cpus = setup.cpus};
}

bool holds_worker(const Finding& finding) {
  using Kind = Finding::Kind;
  return finding.kind == Kind::kThreadStopped || finding.kind == Kind::kStarved ||
         finding.kind == Kind::kOutsideGuest;
}

}  // namespace

StallWatch::StallWatch(Engine& engine, WatchSetup setup)
    : engine_(engine), setup_(std::move(setup)), started_(monotonic_now()), judge_(limits_of(setup_)) {}

Result<std::unique_ptr<StallWatch>> StallWatch::start(Engine& engine, WatchSetup setup) {
  auto watch = std::unique_ptr<StallWatch>(new StallWatch(engine, std::move(setup)));
  for (const pid_t thread : engine.threads()) watch->files_.emplace(thread, thread);
  std::promise<Result<void>> ready;
  auto set_up = ready.get_future();
  try {
    watch->thread_ = std::thread([&self = *watch, ready = std::move(ready)]() mutable {
      Result<void> result = self.set_up();
      const bool good = result.has_value();
      ready.set_value(std::move(result));
      if (good) self.loop();
    });
  } catch (const std::system_error& error) {
    return host_error("pthread_create", error.code().value(), "what watches a run is a thread");
  }
  if (auto result = set_up.get(); !result) return Failure(result.error());
  return watch;
}

Result<void> StallWatch::set_up() {
  ::pthread_setname_np(::pthread_self(), "kvmux-watch");
  leave_signals_to_main();
  own_.emplace(os_thread_id());
  own_before_ = own_->read();
  return sandbox::enter_sandbox(sandbox::ThreadKind::kWatch);
}

void StallWatch::stop() {
  if (!thread_.joinable()) return;
  ends_.store(true);
  {
    const std::lock_guard lock(mutex_);
    answered_.notify_all();
  }
  rouse();
  thread_.join();
}

// Eight looks a stall: it is found an eighth of its time late.
Nanos StallWatch::period() const {
  return std::clamp(limits_of(setup_).stall / 8, Nanos{20ms}, Nanos{500ms});
}

void StallWatch::loop() {
  Nanos planned = monotonic_now() + period();
  while (!ends_.load()) {
    const bool roused = sleep_until(planned);
    if (ends_.load()) break;
    if (take_request()) {
      look(monotonic_now());
      dump_now("SIGUSR1: what the machine does", judge_.standing());
    }
    if (roused && monotonic_now() < planned) continue;
    look(planned);
    planned = monotonic_now() + period();
  }
  const auto& standing = judge_.standing();
  stalled_ = setup_.stall > Nanos{} && std::any_of(standing.begin(), standing.end(),
                                                   [](const Finding& f) { return !f.is_hosts_doing(); });
}

void StallWatch::read_threads() {
  threads_.clear();
  for (const WorkerView& worker : view_.workers) {
    const auto files = files_.find(worker.thread);
    threads_.push_back(files == files_.end() ? ThreadHost{} : files->second.read());
  }
}

void StallWatch::look(Nanos planned) {
  const Nanos late = std::max(Nanos{}, monotonic_now() - planned);
  const ThreadHost own = own_->read();
  // Who waits for a CPU is late as well, but not stopped.
  const bool stopped = !own.known || own.waited - own_before_.waited < late / 2;
  own_before_ = own;
  engine_.look(view_);
  read_threads();
  const auto fresh = judge_.look(view_, threads_, late, stopped);
  if (setup_.stall > Nanos{} && !fresh.empty()) report(fresh);
}

void StallWatch::report(const std::vector<Finding>& fresh) {
  for (const Finding& finding : fresh) {
    if (stalls_.size() < kMostStalls) stalls_.push_back(finding.text);
  }
  const Nanos now = monotonic_now();
  if (now >= no_dump_before_ && dumps_ < kMostDumps) {
    dump_now("something gets nowhere", fresh);
    no_dump_before_ = monotonic_now() + kBetweenDumps;
    ++dumps_;
    return;
  }
  if (stalls_.size() >= kMostStalls) return;
  for (const Finding& finding : fresh) setup_.say("kvmux: stall: " + finding.text + "\n");
}

// A pause would wait for a worker that does not come.
bool StallWatch::all_get_on() const {
  const auto& standing = judge_.standing();
  return std::none_of(standing.begin(), standing.end(), holds_worker) &&
         std::none_of(threads_.begin(), threads_.end(),
                      [](const ThreadHost& host) { return host.is_stopped(); });
}

void StallWatch::dump_now(const std::string& title, const std::vector<Finding>& findings) {
  Dossier dossier{.since_start = view_.at - started_,
                  .view = view_,
                  .has_own_queues = static_cast<bool>(setup_.longest_wait),
                  .threads = threads_,
                  .queues = {},
                  .histories = {},
                  .registers = {},
                  .why_no_registers = {},
                  .awaited = {}};
  look_on(engine_, dossier);
  if (!all_get_on()) {
    dossier.why_no_registers = "a worker does not come to a pause";
  } else if (auto inside = ask_driver()) {
    dossier.registers = std::move(inside->registers);
    dossier.awaited = std::move(inside->awaited);
  } else {
    dossier.why_no_registers = "the vCPUs could not be paused in time";
  }
  std::string text = dump(dossier, title, findings);
  if (!findings.empty() && setup_.keep_trace) text += keep_traces(findings.front());
  setup_.say(text);
}

std::string StallWatch::keep_traces(const Finding& finding) {
  const uint32_t number = dumps_ + 1;
  const Nanos began = view_.at - finding.lasts;
  const Nanos until = std::min(view_.at, began + kTraced / 5);
  std::string text = "kvmux: the trace where it began: " +
                     setup_.keep_trace(fmt::format("stall {} begins", number), began - kTraced, until) + "\n";
  text += "kvmux: the trace's last 100 ms: " +
          setup_.keep_trace(fmt::format("stall {}", number), view_.at - kTraced, view_.at) + "\n";
  return text;
}

// Nothing: it did not come in time.
std::optional<StallWatch::Inside> StallWatch::ask_driver() {
  constexpr auto kPatience = 1s;
  std::unique_lock lock(mutex_);
  answer_.reset();
  asks_.store(true);
  lock.unlock();
  if (setup_.call_driver) setup_.call_driver();
  lock.lock();
  answered_.wait_for(lock, kPatience, [&] { return answer_.has_value() || ends_.load(); });
  asks_.store(false);
  return std::exchange(answer_, std::nullopt);
}

void StallWatch::serve() {
  if (!asks_.load()) return;
  Dossier dossier;
  engine_.pause();
  look_inside(engine_, setup_.symbolize, monotonic_now(), dossier);
  engine_.resume();
  const std::lock_guard lock(mutex_);
  if (!asks_.load()) return;
  answer_ = Inside{std::move(dossier.registers), std::move(dossier.awaited)};
  answered_.notify_all();
}

void StallWatch::vm_died(VmId vm, const std::string& why) {
  if (setup_.stall <= Nanos{}) return;
  Dossier dossier;
  dossier.has_own_queues = static_cast<bool>(setup_.longest_wait);
  engine_.look(dossier.view);
  dossier.since_start = dossier.view.at - started_;
  look_on(engine_, dossier);
  look_inside(engine_, setup_.symbolize, dossier.view.at, dossier);
  setup_.say(dump(dossier, fmt::format("stall: vm{}: {}", index_of(vm), why), {}));
}

}  // namespace vmm::watch
