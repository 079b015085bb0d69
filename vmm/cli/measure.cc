// The measuring loop of compare and sweep.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ostream>
#include <set>
#include <thread>

#include "vmm/cli/grid.h"
#include "vmm/cli/progress.h"
#include "vmm/cli/run_json.h"
#include "vmm/cli/run_text.h"
#include "vmm/cli/table.h"

namespace vmm {
namespace {

RunRecord make_record(const RunId& id, const RunSpec& spec, const RunResult& result, Nanos took) {
  RunRecord record;
  record.id = id;
  record.seed = spec.seed;
  record.seconds = static_cast<double>(result.window.count()) / 1e9;
  // The simulator's results depend on nothing but the command.
  if (spec.backend != Backend::kSim) record.took = static_cast<double>(took.count()) / 1e9;
  record.metrics = measure(spec, result);
  for (const VmResult& vm : result.vms) record.vm_ops_per_second.push_back(vm.ops_per_second);
  record.noise = result.noise;
  record.detail = detail_of(spec, result);
  return record;
}

std::string describe(const Experiment::Next& next) {
  return fmt::format("{} {} block {}{} {}", next.cell->info.guest, next.cell->info.size, next.id.block + 1,
                     next.id.attempt == 0 ? "" : fmt::format(" (again, {})", next.id.attempt),
                     next.slot->label);
}

std::string first_failure(const RunResult& result) {
  for (size_t i = 0; i < result.vms.size(); ++i) {
    const VmResult& vm = result.vms[i];
    if (!vm.failure.empty()) return fmt::format("vm{}: {}", i, vm.failure);
    if (vm.exit_code.value_or(0) != 0) return fmt::format("vm{}: the guest ended with {}", i, *vm.exit_code);
  }
  return "a guest's check of itself failed";
}

// A line of the kind `failure`: kept for the reader, tried again by the next start.
Json failure_line(const Experiment::Next& next, const std::string& what) {
  return {{"kind", "failure"},          {"cell", next.id.cell}, {"block", next.id.block},
          {"attempt", next.id.attempt}, {"slot", next.id.slot}, {"what", what}};
}

// A line of the kind `note`: VMs that got nowhere in the whole window.
Json note_line(const Experiment::Next& next, const std::string& what) {
  Json line = failure_line(next, what);
  line["kind"] = "note";
  return line;
}

// "vm3: its vCPUs slept …, and 2 other VMs"; empty: none.
std::string notes_of(const RunResult& result) {
  std::string first;
  size_t others = 0;
  for (size_t i = 0; i < result.vms.size(); ++i) {
    if (result.vms[i].note.empty()) continue;
    if (first.empty()) {
      first = fmt::format("vm{}: {}", i, result.vms[i].note);
    } else {
      ++others;
    }
  }
  return others == 0 ? first : fmt::format("{}; and {} other VMs got nowhere", first, others);
}

// Runs handed out at once to each job: enough that none waits long for the others.
constexpr size_t kBatchPerJob = 32;

// SIGINT and SIGTERM are the main thread's.
void leave_signals_to_main() {
  sigset_t users;
  ::sigemptyset(&users);
  ::sigaddset(&users, SIGINT);
  ::sigaddset(&users, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &users, nullptr);
}

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
    if (limits.max_time > Nanos{0}) progress_.limit(start + limits.max_time);
    while (!services_.control.stop && !measured_.error) {
      measured_.time_is_up = limits.max_time > Nanos{0} && services_.now() - start >= limits.max_time;
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
    if (next) step(*next);
    return next.has_value();
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
  }

  void take(const Experiment::Next& next, const RunSpec& spec, const Result<RunResult>& result, Nanos took) {
    if (!result && result.error().kind != ErrorKind::kGuest) {
      measured_.error = result.error();
    } else if (!result) {
      fail(next, result.error().text());
    } else if (result->interrupted) {
      return;  // measured for too short a time to count
    } else if (has_guest_failure(*result)) {
      fail(next, first_failure(*result));
    } else {
      keep(make_record(next.id, spec, *result, took));
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
    if (journal_ != nullptr) append(run_line(record));
    const double* throughput = record.metric(kThroughput);
    progress_.finish(throughput == nullptr ? "" : with_unit(Unit::kRate, *throughput));
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
  }

  void append(const Json& line) {
    if (const auto appended = journal_->append(line); !appended) measured_.error = appended.error();
  }

  Experiment& experiment_;
  Journal* journal_;
  Services& services_;
  RunTracer* tracer_ = nullptr;
  Progress progress_;
  size_t kept_ = 0;
  std::set<std::pair<std::string, uint32_t>> noted_;  // cell and slot
  RunId looked_at_{.cell = "", .block = UINT32_MAX, .attempt = 0, .slot = 0};
  Measured measured_;
};

}  // namespace

Json session_line(const Services& services, const Json& cpus) {
  Json line{{"kind", "session"},
            {"schema", "kvmux.results"},
            {"schema_version", kJournalSchemaVersion},
            {"kvmux_version", kVersion},
            {"command", services.command_line},
            {"host", host_json(services.host)}};
  if (!cpus.is_null()) {  // real runs: the simulator's results depend on no instant and no CPU
    line["cpus"] = cpus;
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    line["started_unix"] = std::chrono::duration_cast<std::chrono::seconds>(since_epoch).count();
  }
  return line;
}

Measured measure_all(Experiment& experiment, Journal* journal, const MeasureLimits& limits,
                     Services& services) {
  return Loop(experiment, journal, services).run(limits);
}

Result<std::optional<Journal>> open_results(const std::string& path, Experiment& experiment, const Json& cpus,
                                            Services& services) {
  if (path.empty()) return std::nullopt;
  auto journal = Journal::open(path);
  if (!journal) return tl::unexpected(journal.error());
  size_t known = 0;
  for (const RunRecord& run : journal->contents().runs) {
    const auto ours = [&run](const Cell& cell) { return cell.info.key == run.id.cell; };
    if (std::none_of(experiment.cells().begin(), experiment.cells().end(), ours)) continue;
    known += experiment.add(run) ? 1 : 0;
  }
  if (known != 0) services.err << fmt::format("kvmux: {} runs are in {} already; going on\n", known, path);
  if (const auto appended = journal->append(session_line(services, cpus)); !appended) {
    return tl::unexpected(appended.error());
  }
  for (const Cell& cell : experiment.cells()) {
    const auto& stored = journal->contents().cells;
    if (std::find(stored.begin(), stored.end(), cell.info) != stored.end()) continue;
    if (const auto appended = journal->append(cell_line(cell.info)); !appended) {
      return tl::unexpected(appended.error());
    }
  }
  return std::optional<Journal>{std::move(*journal)};
}

}  // namespace vmm
