#include "vmm/watch/judge.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/watch/words.h"

namespace vmm::watch {
namespace {

using Doing = WorkerView::Doing;
using Kind = Finding::Kind;
using sched::RunState;

constexpr Nanos kOnTime{100'000'000};  // a watcher that is no later than this was not held up

// A share of a time in per mille.
constexpr Nanos part(Nanos whole, int64_t per_mille) { return whole / 1000 * per_mille; }

Finding finding(Kind kind, std::optional<sched::WorkerId> worker, std::optional<sched::VcpuId> vcpu,
                Nanos lasts, std::string text) {
  return {.kind = kind, .worker = worker, .vcpu = vcpu, .lasts = lasts, .text = std::move(text)};
}

std::string of_whose(const MachineView& view, const WorkerView& worker) {
  return worker.vcpu ? " with " + name_of(view, *worker.vcpu) : std::string{};
}

sched::WorkerId id_of(size_t worker) { return sched::WorkerId{static_cast<uint32_t>(worker)}; }

}  // namespace

std::vector<Finding> Judge::look(const MachineView& view, std::span<const ThreadHost> threads, Nanos late,
                                 bool stopped) {
  follow(view, threads, late > kOnTime ? late : Nanos{});
  std::vector<Finding> all;
  if (stopped && late >= limits_.stall) {
    all.push_back(
        finding(Kind::kProcessStopped, {}, {}, late,
                fmt::format("the host stopped kvmux for {} (SIGSTOP, a frozen cgroup, a machine that was "
                            "suspended): the host's doing, not the scheduler's",
                            seconds(late))));
  }
  std::vector<bool> held(view.workers.size());
  for (size_t i = 0; i < view.workers.size(); ++i) {
    auto found = of_worker(view, i);
    held[i] = found.has_value();
    if (found) all.push_back(std::move(*found));
  }
  // A vCPU that waits for a worker which is held up is no finding of its own.
  for (const VcpuView& vcpu : view.vcpus) {
    const size_t worker = has_own_queues() ? index_of(vcpu.worker) : index_of(vcpu.id);
    if (worker < held.size() && held[worker]) continue;
    if (auto found = of_vcpu(view, vcpu)) all.push_back(std::move(*found));
  }
  std::vector<Finding> fresh;
  for (const Finding& one : all) {
    const bool stood =
        std::any_of(standing_.begin(), standing_.end(), [&](const Finding& old) { return old.is_same(one); });
    if (!stood || one.kind == Kind::kProcessStopped) fresh.push_back(one);
  }
  standing_ = std::move(all);
  return fresh;
}

void Judge::follow(const MachineView& view, std::span<const ThreadHost> threads, Nanos late) {
  const Nanos stretch = last_ ? std::max(Nanos{}, view.at - *last_) : Nanos{};
  workers_.resize(view.workers.size());
  vcpus_.resize(view.vcpus.size());
  for (size_t i = 0; i < view.workers.size(); ++i) {
    WorkerTrack& track = workers_[i];
    const ThreadHost host = i < threads.size() ? threads[i] : ThreadHost{};
    if (last_) follow_worker(view.workers[i], host, stretch, late, track);
    if (!last_ || view.workers[i].beats != track.beats) track.still_since = view.at;
    track.beats = view.workers[i].beats;
    track.parked = view.workers[i].parked;
    track.host = host;
    track.thread = view.workers[i].thread;
    // Queues shrink: what waits long came when it was longer.
    track.runnable = std::max(view.workers[i].runnable, track.runnable - track.runnable / 16);
  }
  for (const VcpuView& vcpu : view.vcpus) follow_vcpu(vcpu, view.at);
  last_ = view.at;
  keep_sample(view);
}

void Judge::follow_worker(const WorkerView& view, const ThreadHost& host, Nanos stretch, Nanos late,
                          WorkerTrack& track) {
  const Nanos rest = std::max(Nanos{}, stretch - late);  // when the watcher ran, and so could this one
  Nanos waited{};
  Nanos stopped{};
  // A worker that has changed threads (carriers) has beaten meanwhile.
  if (host.known && track.host.known && view.thread == track.thread) {
    const Nanos ran = host.ran - track.host.ran;
    track.taken.ran += ran;
    waited = std::min(rest, host.waited - track.host.waited);
    // A wait that is not over is not counted yet.
    const bool no_cpu = host.state == 'R' && track.host.state == 'R' && ran < part(rest, 50);
    if (no_cpu) waited = rest;
    if (host.is_stopped() && track.host.is_stopped()) stopped = rest;
  }
  const Nanos by_host = std::min(stretch, late + std::min(rest, waited + stopped));
  track.taken.host += by_host;
  track.taken.waited += waited;
  track.taken.stopped += stopped;
  track.taken.all += std::min(stretch, by_host + std::max(Nanos{}, view.parked - track.parked));
}

void Judge::follow_vcpu(const VcpuView& view, Nanos now) {
  VcpuTrack& track = vcpus_[index_of(view.id)];
  const bool is_other = track.state != view.state || track.since != view.since;
  const bool is_owed =
      view.state == RunState::kMoving || (view.state == RunState::kHalted && view.is_called());
  if (is_other || !is_owed) track.owed_since.reset();
  if (is_owed && !track.owed_since) track.owed_since = now;
  track.state = view.state;
  track.since = view.since;
}

// Back to the beginning of whatever may be judged, be it excused ever so long.
void Judge::keep_sample(const MachineView& view) {
  constexpr size_t kMost = 20'000;
  Nanos oldest = view.at - 5 * allowed_wait();
  for (const VcpuView& vcpu : view.vcpus) {
    if (vcpu.state == RunState::kQueued) oldest = std::min(oldest, vcpu.since);
    oldest = std::min(oldest, vcpus_[index_of(vcpu.id)].owed_since.value_or(oldest));
  }
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (is_wanted(view, i)) oldest = std::min(oldest, workers_[i].still_since);
  }
  Sample& sample = samples_.emplace_back(Sample{.at = view.at, .taken = {}});
  for (const WorkerTrack& track : workers_) sample.taken.push_back(track.taken);
  while (samples_.size() > kMost || (samples_.size() > 2 && samples_[1].at <= oldest)) samples_.pop_front();
}

// From the last look at or before then: rather a bit too much than too little.
Judge::Taken Judge::taken_since(size_t worker, Nanos at) const {
  const auto after = std::upper_bound(samples_.begin(), samples_.end(), at,
                                      [](Nanos time, const Sample& sample) { return time < sample.at; });
  const Sample& from = after == samples_.begin() ? samples_.front() : *std::prev(after);
  const Taken& now = workers_[worker].taken;
  if (worker >= from.taken.size()) return now;
  const Taken& then = from.taken[worker];
  return {.all = now.all - then.all,
          .host = now.host - then.host,
          .waited = now.waited - then.waited,
          .stopped = now.stopped - then.stopped,
          .ran = now.ran - then.ran};
}

Nanos Judge::most_taken_since(Nanos at) const {
  Nanos most{};
  for (size_t i = 0; i < workers_.size(); ++i) most = std::max(most, taken_since(i, at).all);
  return most;
}

Nanos Judge::allowed_wait() const {
  if (!has_own_queues()) return limits_.stall;
  uint32_t runnable = 1;
  for (const WorkerTrack& track : workers_) runnable = std::max(runnable, track.runnable);
  return std::max(limits_.stall, 2 * limits_.longest_wait(runnable));
}

// Somebody is there for it to run.
bool Judge::is_wanted(const MachineView& view, size_t worker) const {
  const WorkerView& w = view.workers[worker];
  if (w.doing == Doing::kParked || w.doing == Doing::kGone) return false;
  if (w.vcpu || w.runnable > 0) return true;
  if (has_own_queues() || worker >= view.vcpus.size()) return false;
  return view.vcpus[worker].state == RunState::kHalted && view.vcpus[worker].is_called();
}

std::optional<Finding> Judge::of_worker(const MachineView& view, size_t worker) const {
  const WorkerView& seen = view.workers[worker];
  const WorkerTrack& track = workers_[worker];
  if (!is_wanted(view, worker) && seen.doing != Doing::kSwitching) return std::nullopt;
  const sched::WorkerId id = id_of(worker);
  const std::string name = has_own_queues() ? fmt::format("worker {}", worker)
                                            : "the thread of " + name_of(view, sched::VcpuId{index_of(id)});
  const Nanos still = view.at - track.still_since;
  const Taken since_beat = taken_since(worker, track.still_since);
  if (track.host.is_stopped() && since_beat.stopped >= part(limits_.stall, 900)) {
    return finding(
        Kind::kThreadStopped, id, seen.vcpu, since_beat.stopped,
        fmt::format("the host stopped {} (thread {}, {}) for {}{}: the host's doing, not the scheduler's",
                    name, seen.thread, words_of(track.host.state), seconds(since_beat.stopped),
                    of_whose(view, seen)));
  }
  const Nanos from = view.at - limits_.stall;
  if (track.host.known && track.host.state == 'R' && samples_.front().at <= from) {
    const Taken lately = taken_since(worker, from);
    const auto threads = static_cast<int64_t>(std::max<size_t>(1, view.workers.size()));
    const int64_t least = std::min<int64_t>(20, 250 * limits_.cpus / threads);  // per mille
    if (lately.ran <= part(limits_.stall, least) && lately.waited >= part(limits_.stall, 900)) {
      return finding(
          Kind::kStarved, id, seen.vcpu, limits_.stall,
          fmt::format("the host gave {} (thread {}) {} of CPU in the last {}{}: the host's doing, not "
                      "the scheduler's",
                      name, seen.thread, seconds(lately.ran), seconds(limits_.stall), of_whose(view, seen)));
    }
  }
  const bool outside = seen.doing == Doing::kHandling || seen.doing == Doing::kSwitching;
  if (!outside || still - since_beat.all < limits_.stall) return std::nullopt;
  return finding(
      Kind::kOutsideGuest, id, seen.vcpu, still,
      fmt::format("{} has been outside KVM_RUN{} for {}, {}, with {} of CPU: a system call, a lock or a "
                  "device holds it",
                  name, of_whose(view, seen), seconds(still), words_of(track.host.state),
                  seconds(since_beat.ran)));
}

std::optional<Finding> Judge::of_vcpu(const MachineView& view, const VcpuView& vcpu) const {
  if (vcpus_[index_of(vcpu.id)].owed_since) return of_owed(view, vcpu);
  if (vcpu.state == RunState::kQueued && has_own_queues()) return of_waiting(view, vcpu);
  return std::nullopt;
}

// It is runnable, and its worker gets on.
std::optional<Finding> Judge::of_waiting(const MachineView& view, const VcpuView& vcpu) const {
  const size_t worker = index_of(vcpu.worker);
  if (worker >= view.workers.size()) return std::nullopt;
  const WorkerView& seen = view.workers[worker];
  const Nanos wait = view.at - vcpu.since;
  const Nanos allowed = allowed_wait();
  const Taken taken = taken_since(worker, vcpu.since);
  const std::string who = fmt::format("{} has waited {} for worker {}", name_of(vcpu), seconds(wait), worker);
  const auto found = [&](Kind kind, std::string text) {
    return finding(kind, vcpu.worker, vcpu.id, wait, std::move(text));
  };
  if (wait - taken.all <= allowed) {
    if (wait <= 4 * allowed || taken.waited <= wait / 2) return std::nullopt;
    return found(Kind::kStarved,
                 fmt::format("{}, to which the host gave no CPU for {} of that: the host's doing, not the "
                             "scheduler's",
                             who, seconds(std::min(wait, taken.waited))));
  }
  if (seen.doing == Doing::kAsleep)
    return found(Kind::kLostKick, who + ", which sleeps: the scheduler did not wake it up");
  if (seen.vcpu && seen.since <= vcpu.since)
    return found(Kind::kEndlessTurn, fmt::format("{}, which has run {} all the while: its turn does not end",
                                                 who, name_of(view, *seen.vcpu)));
  return found(
      Kind::kPassedOver,
      fmt::format("{}, which runs others meanwhile; the policy promises {}: the scheduler passes it over",
                  who, seconds(allowed / 2)));
}

// It was to be woken, or to arrive at a queue. Whoever should see to that may be any worker.
std::optional<Finding> Judge::of_owed(const MachineView& view, const VcpuView& vcpu) const {
  const Nanos since = *vcpus_[index_of(vcpu.id)].owed_since;
  const Nanos lasts = view.at - since;
  const Nanos taken = has_own_queues() ? most_taken_since(since) : taken_since(index_of(vcpu.id), since).all;
  if (lasts - taken < limits_.stall) return std::nullopt;
  std::optional<sched::WorkerId> worker;
  if (vcpu.worker != sched::kNoWorker) worker = vcpu.worker;
  if (vcpu.state == RunState::kMoving) {
    return finding(
        Kind::kLostOnItsWay, worker, vcpu.id, lasts,
        fmt::format("{} has been on its way to a queue for {}: the scheduler took it off one and put it "
                    "on none",
                    name_of(vcpu), seconds(lasts)));
  }
  return finding(Kind::kLostWakeup, worker, vcpu.id, lasts,
                 fmt::format("{} has been halted with {} pending for {}: {} lost a wake-up", name_of(vcpu),
                             pending_of(vcpu), seconds(lasts), has_own_queues() ? "the scheduler" : "kvmux"));
}

}  // namespace vmm::watch
