// The measuring loop of compare and sweep.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <ostream>
#include <set>
#include <thread>

#include "vmm/cli/grid.h"
#include "vmm/cli/live_cells.h"
#include "vmm/cli/progress.h"
#include "vmm/cli/run_record.h"
#include "vmm/cli/run_text.h"
#include "vmm/cli/switchback.h"
#include "vmm/cli/table.h"
#include "vmm/stats/analysis.h"
#include "vmm/thread_signals.h"

namespace vmm {
namespace {

// Runs handed out at once to each job: enough that none waits long for the others.
constexpr size_t kBatchPerJob = 32;

class Loop {
 public:
  Loop(Experiment& experiment, Journal* journal, Services& services)
      : experiment_(experiment),
        journal_(journal),
        services_(services),
        progress_(services.err, services.err_is_terminal, services.now) {}

  Measured run(const MeasureLimits& limits) {
    const Nanos start = services_.now();
    tracer_ = limits.tracer;
    live_ = limits.live;
    if (live_ != nullptr) {
      progress_.show_elsewhere(
          [this](const std::string& what, const std::string& how_far) { live_->begin(what, how_far); });
    }
    if (limits.max_time > Nanos{0}) progress_.limit(start + limits.max_time);
    while (!services_.control.stop && !measured_.error) {
      const Nanos elapsed = services_.now() - start;
      measured_.time_is_up = limits.max_time > Nanos{0} && elapsed >= limits.max_time;
      left_ = limits.max_time > Nanos{0} ? std::max(Nanos{}, limits.max_time - elapsed) : Nanos::max();
      const bool more = limits.jobs > 1 ? run_batch(limits.jobs) : run_next();
      if (!more) break;
    }
    services_.control.progress = nullptr;
    measured_.interrupted = services_.control.stop;
    progress_.clear();
    if (measured_.time_is_up || measured_.interrupted) say_what_is_left(services_.now() - start);
    return std::move(measured_);
  }

 private:
  bool run_next() {
    services_.control.progress = [this](double share) { progress_.update(share); };
    const auto next = experiment_.next(measured_.time_is_up);
    if (!next) return false;
    if (!next->cell->info.switchback) {
      step(*next);
      return true;
    }
    return take_turns(*next->cell);
  }

  // One boot of a switchback cell's VMs; the first one of all finds out how long turns should be. False: no
  // whole block fits into the time that is left.
  bool take_turns(const Cell& cell) {
    if (cell.info.period == 0) choose_turns(cell);
    if (measured_.error || services_.control.stop || given_up(cell)) return true;
    const TurnLengths turns = lengths_of(cell.info);
    const Nanos block = turns.period * static_cast<int64_t>(cell.slots.size());
    const auto fit = static_cast<size_t>(left_ / block);
    const auto wanted = experiment_.missing(cell, fit);
    if (wanted.empty()) return false;
    const Experiment::Count count = experiment_.count();
    progress_.plan(count.planned, count.done);
    progress_.note(open_text());
    auto records = run_session(wanted, turns);
    if (records.empty() && !services_.control.stop && !measured_.error && !given_up(cell)) {
      fail(wanted.front(), "no block of turns was counted: its guests ended, or the host was too busy");
    }
    progress_.finish(fmt::format("{} of them whole", records.size()));
    for (RunRecord& record : records) keep(std::move(record));
    if (live_ != nullptr) live_->update(cell);
    return true;
  }

  // What the turns of one boot measured, as far as it came.
  std::vector<RunRecord> run_session(std::span<const Experiment::Next> wanted, const TurnLengths& turns) {
    const Session session = make_session(wanted, turns);
    const Cell& cell = *wanted.front().cell;
    const std::string title = fmt::format("{} {} {} turns of {}", cell.info.guest, cell.info.size,
                                          wanted.size(), human_time(turns.period));
    progress_.begin(title);
    const Nanos start = services_.now();
    const auto result = traced_run(session.spec, tracer_, title, services_);
    const Nanos took = cell.info.backend == "sim" ? Nanos{} : services_.now() - start;
    if (!result && result.error().kind != ErrorKind::kGuest) {
      measured_.error = result.error();
    } else if (!result) {
      fail(wanted.front(), result.error().text());
    } else if (result->stalled) {
      measured_.error = stall_error(*result).value();
    } else if (has_guest_failure(*result)) {
      fail(wanted.front(), first_failure(*result));
    } else {
      return records_of(session, *result, took);
    }
    return {};
  }

  // From the policies' turns on workers; twice as long as long as the first half of a turn is another than
  // its second.
  void choose_turns(const Cell& cell) {
    constexpr size_t kPilotBlocks = 12;
    constexpr int kMostDoublings = 4;
    const auto set = [&](const TurnLengths& turns) {
      const auto seconds = [](Nanos time) { return static_cast<double>(time.count()) / 1e9; };
      experiment_.set_turns(cell.info.key, seconds(turns.period), seconds(turns.washout));
    };
    TurnLengths turns = default_turns(cell);
    set(turns);
    for (int i = 0; i < kMostDoublings; ++i) {
      RunTable pilot;
      for (RunRecord& record : run_session(experiment_.missing(cell, kPilotBlocks), turns)) {
        pilot.add(std::move(record));
      }
      if (measured_.error || services_.control.stop || given_up(cell)) return;
      const AnalysisOptions options{.design = {}, .baseline = cell.slots.front().label};
      if (!feels_the_turn_before(analyse(std::span(&cell.info, 1), pilot, options).front())) break;
      turns = {.period = 2 * turns.period, .washout = 2 * turns.washout};
      set(turns);
    }
    if (journal_ != nullptr) append(cell_line(cell.info));
  }

  bool given_up(const Cell& cell) const { return failed_.contains(cell.info.key); }

  static TurnLengths lengths_of(const CellInfo& info) {
    const auto nanos = [](double seconds) { return Nanos{std::llround(seconds * 1e9)}; };
    return {.period = nanos(info.period), .washout = nanos(info.washout)};
  }

  // Several simulated runs at a time. They are kept in the order of the batch, so that the result file does
  // not depend on the number of jobs.
  bool run_batch(size_t jobs) {
    services_.control.progress = nullptr;
    const auto batch = experiment_.next_batch(measured_.time_is_up, jobs * kBatchPerJob);
    if (batch.empty()) return false;
    std::vector<std::optional<Result<RunResult>>> results(batch.size());
    std::atomic<size_t> taken{0};
    {
      std::vector<std::jthread> threads;
      for (size_t i = 0; i < std::min(jobs, batch.size()); ++i) {
        threads.emplace_back([&] {
          leave_signals_to_main();
          for (size_t at = taken++; at < batch.size() && !services_.control.stop; at = taken++) {
            results[at] = services_.run(spec_of(batch[at]), services_.control);
          }
        });
      }
    }  // joined
    const Experiment::Count count = experiment_.count();
    progress_.plan(count.planned, count.done);
    for (size_t i = 0; i < batch.size() && !measured_.error; ++i) {
      if (!results[i]) continue;  // Ctrl-C came first
      progress_.begin(describe(batch[i]));
      take(batch[i], spec_of(batch[i]), *results[i], Nanos{});
    }
    return true;
  }

  static RunSpec spec_of(const Experiment::Next& next) {
    RunSpec spec = next.slot->spec;
    spec.seed = next.seed;
    spec.quiet_console = true;
    return spec;
  }

  void say_what_is_left(Nanos elapsed) {
    const Experiment::Count count = experiment_.count();
    if (count.planned <= count.done || kept_ == 0) return;
    const size_t left = count.planned - count.done;
    const double each = static_cast<double>(elapsed.count()) / 1e9 / static_cast<double>(kept_);
    services_.err << fmt::format("kvmux: {} of {} runs are done; the other {} take about {} at this pace\n",
                                 grouped(uint64_t{count.done}), grouped(uint64_t{count.planned}),
                                 grouped(uint64_t{left}), rough_time(each * static_cast<double>(left)));
  }

  void step(const Experiment::Next& next) {
    const Experiment::Count count = experiment_.count();
    progress_.plan(count.planned, count.done);
    if (begins_block(next)) progress_.note(open_text());
    progress_.begin(describe(next));
    const RunSpec spec = spec_of(next);
    const Nanos start = services_.now();
    const auto result = traced_run(spec, tracer_, describe(next), services_);
    take(next, spec, result, services_.now() - start);
    if (live_ != nullptr) live_->update(*next.cell);
  }

  void take(const Experiment::Next& next, const RunSpec& spec, const Result<RunResult>& result, Nanos took) {
    if (!result && result.error().kind != ErrorKind::kGuest) {
      measured_.error = result.error();
    } else if (!result) {
      fail(next, result.error().text());
    } else if (result->interrupted) {
      return;  // measured for too short a time to count
    } else if (result->stalled) {
      measured_.error = stall_error(*result).value();
    } else if (has_guest_failure(*result)) {
      fail(next, first_failure(*result));
    } else {
      RunRecord record = make_record(next.id, spec, *result, took);
      record.place = next.place;
      const double* throughput = record.metric(kThroughput);
      progress_.finish(throughput == nullptr ? "" : with_unit(Unit::kRate, *throughput));
      keep(std::move(record));
      if (const std::string notes = notes_of(*result); !notes.empty()) note(next, notes);
    }
  }

  // Looking at what is open takes an analysis: once a block.
  bool begins_block(const Experiment::Next& next) {
    const bool is_other = next.id.cell != looked_at_.cell || next.id.block != looked_at_.block;
    looked_at_ = next.id;
    return is_other;
  }

  // "open: lock v2, mixed yield and 2 more"; empty unless the experiment goes on until it is settled.
  std::string open_text() {
    constexpr size_t kNamed = 3;
    std::string text;
    const auto open = experiment_.open();
    for (size_t i = 0; i < std::min(open.size(), kNamed); ++i) {
      const std::string& guest = experiment_.cells()[open[i].cell].info.guest;
      text +=
          fmt::format("{}{} {}", i == 0 ? "open: " : ", ", guest.substr(0, guest.find(' ')), open[i].label);
    }
    if (open.size() > kNamed) text += fmt::format(" and {} more", open.size() - kNamed);
    return text;
  }

  void keep(RunRecord record) {
    record.process = experiment_.process();
    if (journal_ != nullptr) append(run_line(record));
    experiment_.add(std::move(record));
    ++kept_;
  }

  // It counts all the same. Once a slot: what repeats itself would bury the rest.
  void note(const Experiment::Next& next, const std::string& what) {
    if (noted_.insert({next.id.cell, next.id.slot}).second) {
      progress_.clear();
      services_.err << "kvmux: note: " << describe(next) << ": " << what << "\n";
    }
    if (journal_ != nullptr) append(note_line(next, what));
  }

  void fail(const Experiment::Next& next, const std::string& what) {
    const std::string line = describe(next) + ": " + what;
    progress_.clear();
    services_.err << "kvmux: " << line << "\n";
    measured_.guest_failures.push_back(line);
    if (journal_ != nullptr) append(failure_line(next, what));
    experiment_.give_up(next.id.cell);
    failed_.insert(next.id.cell);
  }

  void append(const Json& line) {
    if (const auto appended = journal_->append(line); !appended) measured_.error = appended.error();
  }

  Experiment& experiment_;
  Journal* journal_;
  Services& services_;
  RunTracer* tracer_ = nullptr;
  LiveCells* live_ = nullptr;
  Progress progress_;
  Nanos left_ = Nanos::max();     // until the time is up
  std::set<std::string> failed_;  // keys of cells
  size_t kept_ = 0;
  std::set<std::pair<std::string, uint32_t>> noted_;  // cell and slot
  RunId looked_at_{.cell = "", .block = UINT32_MAX, .attempt = 0, .slot = 0};
  Measured measured_;
};

}  // namespace

Measured measure_all(Experiment& experiment, Journal* journal, const MeasureLimits& limits,
                     Services& services) {
  return Loop(experiment, journal, services).run(limits);
}

}  // namespace vmm
