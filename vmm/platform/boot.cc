#include "vmm/platform/boot.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "sched/policy/parse.h"
#include "vmm/platform/boot_engine.h"
#include "vmm/platform/pc_vm.h"
#include "vmm/platform/policy_course.h"
#include "vmm/platform/wakeup.h"
#include "vmm/run/cpu_choice.h"
#include "vmm/run/observer.h"
#include "vmm/run/retry.h"
#include "vmm/run/silence_watch.h"
#include "vmm/run/sleep_state.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/watch/promise.h"
#include "vmm/watch/stall_watch.h"

namespace vmm {
namespace {

// The pieces of a boot, in the order in which they must go: the engine's threads first, then board and VM.
struct Bench {
  std::unique_ptr<Wakeup> wakeup;
  std::unique_ptr<Engine> engine;
  PcVm pc;

  explicit Bench(std::unique_ptr<Wakeup> w) : wakeup(std::move(w)) {}
  ~Bench() {
    if (engine != nullptr) engine->stop();
  }
};

Result<void> build(const BootSpec& spec, const BootConsole& console, Bench& bench) {
  auto engine = make_boot_engine(spec);
  if (!engine) return Failure(engine.error());
  bench.engine = std::move(*engine);
  bench.engine->trouble().on_report([&wakeup = *bench.wakeup] { wakeup.ring(); });
  const auto system = System::open();
  if (!system) return Failure(system.error());
  const bool split = spec.irqchip == Irqchip::kSplit;
  const VmOptions options{.id = VmId{0},
                          .lapic = split ? LapicPlace::kKernel : LapicPlace::kUserSpace,
                          .kernel_pause_exits = split,
                          // A thread for each vCPU: what KVM tells of it is the truth.
                          .own_steal_time = !sched::is_host_queue(spec.policy.features.queue)};
  auto pc = make_pc_vm(*system,
                       {.options = options,
                        .memory_bytes = spec.memory_bytes,
                        .vcpus = spec.vcpus,
                        .cpu_profile = spec.cpu_profile,
                        .paravirt = spec.paravirt},
                       spec.image, *bench.engine,
                       {.console = console.output,
                        .console_ready = console.ready,
                        .look_again = [&wakeup = *bench.wakeup] { wakeup.ring(); }});
  if (!pc) return Failure(pc.error());
  bench.pc = std::move(*pc);
  bench.engine->add(bench.pc.running());
  return {};
}

// A pipe or file is read as far as the guest has room. A terminal always, for the sake of Ctrl-A X.
bool wants_input(const BootConsole& console, PcBoard& board) {
  return console.filter || board.typed_room() > 0;
}

// What is typed: a descriptor until it ends.
struct Input {
  int fd;
  int failures = 0;  // in a row

  void failed(int error, const BootConsole& console) {
    constexpr int kTries = 16;
    if (passes(error) && ++failures < kTries) return;
    fd = -1;
    // Never opened, or a terminal that has hung up: an end like any other.
    const bool worth_saying = error != EBADF && error != EIO;
    if (worth_saying && console.input_lost) {
      console.input_lost(
          host_error("standard input", error, "what is typed does not reach the guest").value().text());
    }
  }
};

// Bytes from the terminal or a pipe. False: leave. The input's end only means that nobody types any more.
bool take_input(const BootConsole& console, Input& input, PcBoard& board) {
  std::array<uint8_t, 4096> bytes;
  const size_t room = console.filter ? bytes.size() : std::min(bytes.size(), board.typed_room());
  const ssize_t got = ::read(input.fd, bytes.data(), room);
  if (got <= 0) {
    if (got == 0) input.fd = -1;
    if (got < 0) input.failed(errno, console);
    return true;
  }
  input.failures = 0;
  const auto typed = std::span(bytes).first(static_cast<size_t>(got));
  if (!console.filter) {
    board.receive(typed);
    return true;
  }
  std::vector<uint8_t> for_guest;
  const bool stays = console.filter(typed, for_guest);
  board.receive(for_guest);
  return stays;
}

// Tells the serving thread when the console has room again, for as long as it exists.
class ConsoleBell {
 public:
  ConsoleBell(const BootConsole& console, Wakeup& wakeup) : console_(console) {
    if (console_.when_ready) console_.when_ready([&wakeup] { wakeup.ring(); });
  }
  ConsoleBell(const ConsoleBell&) = delete;
  ConsoleBell& operator=(const ConsoleBell&) = delete;
  ~ConsoleBell() {
    if (console_.when_ready) console_.when_ready(nullptr);
  }

 private:
  const BootConsole& console_;
};

// Sleeps until somebody rings, types, or the time has come. The descriptors that are ready, or an error that
// does not pass.
Result<std::array<bool, 2>> wait_for_events(int bell, int typed, Nanos wait) {
  const timespec limit = to_timespec(std::max(Nanos{}, wait));
  std::array<pollfd, 2> fds{{{bell, POLLIN, 0}, {typed, POLLIN, 0}}};
  constexpr timespec kAtOnce{};
  const timespec* patience = &limit;
  int ready = 0;
  const int error = retried([&] {
    ready = ::ppoll(fds.data(), fds.size(), patience, nullptr);
    if (ready < 0 && errno == EINTR) patience = &kAtOnce;  // a signal: there is something to look at
    return ready;
  });
  if (error != 0) return host_error("ppoll", error, "the board's devices cannot be served");
  if (ready <= 0) return std::array{false, false};
  return std::array{fds[0].revents != 0, fds[1].revents != 0};
}

// Serves the board until the guest ends or has to.
BootEnd serve(const Bench& bench, const BootConsole& console, Input& input, Nanos end, SilenceWatch& watch,
              watch::StallWatch* stalls, PolicyCourse& course, const std::atomic<bool>& stop) {
  for (;;) {
    const Nanos now = monotonic_now();
    bench.pc.board->run_timers(now);
    watch.look(now);
    if (stalls != nullptr) stalls->serve();
    if (bench.pc.vm->ended()) return BootEnd::kExit;
    if (stop.load() || bench.engine->trouble().any()) return BootEnd::kStopped;
    if (now >= end) return BootEnd::kTimeout;
    course.look(now);
    const Nanos until = std::min(
        {end, course.next(), bench.pc.board->next_deadline().value_or(sched::kForever), watch.next_look()});
    const int typed = input.fd >= 0 && wants_input(console, *bench.pc.board) ? input.fd : -1;
    const auto ready = wait_for_events(bench.wakeup->fd(), typed, until - now);
    if (!ready) {
      bench.engine->trouble().report(ready.error());
      return BootEnd::kStopped;
    }
    if (bench.wakeup->take()) bench.pc.board->console_clear();
    if ((*ready)[1] && !take_input(console, input, *bench.pc.board)) return BootEnd::kStopped;
  }
}

BootResult result_of(const Bench& bench, BootEnd end) {
  BootResult result{.end = end,
                    .exit_code = 0,
                    .failure = bench.pc.vm->failure(),
                    .silence = {},
                    .unclaimed = bench.pc.board->unclaimed(),
                    .lost = bench.pc.board->lost(),
                    .began = {},
                    .ended = {},
                    .sections = {},
                    .sites = {},
                    .stalls = {},
                    .stalled = false};
  if (end != BootEnd::kExit) return result;
  if (!result.failure.empty()) {
    result.end = BootEnd::kFailed;
  } else if (bench.pc.board->was_reset()) {
    result.end = BootEnd::kReset;
  }
  result.exit_code = bench.pc.vm->exit_code().value_or(0);
  return result;
}

// Null: nobody listens.
Result<std::unique_ptr<watch::StallWatch>> watch_stalls(const BootSpec& spec, const BootConsole& console,
                                                        const Bench& bench, const SymbolTable& symbols) {
  if (!console.say) return nullptr;
  return watch::StallWatch::start(
      *bench.engine,
      {.stall = spec.stall,
       .longest_wait = watch::promised_wait(as_run(spec)),
       .cpus = static_cast<uint32_t>(chosen_cpus(spec.workers).cpus.size()),
       .say = console.say,
       .keep_trace = console.keep_trace,
       .symbolize = [&symbols](VmId, uint64_t address) { return symbols.name_at(address); },
       .call_driver = [&wakeup = *bench.wakeup] { wakeup.ring(); }});
}

ObservedRun observed(const BootSpec& spec, const Engine& engine) {
  return {.engine = engine,
          .policies = {{spec.policy, std::nullopt}},
          .length = spec.timeout.value_or(sched::kForever),
          .guest = {},
          .tsc_khz = 0,
          .host_schedules = sched::is_host_queue(spec.policy.features.queue)};
}

// The engine has stopped.
std::string silence_of(const Bench& bench, const SilenceWatch& watch) {
  constexpr Nanos kWorthSaying{500'000'000};
  const Nanos now = monotonic_now();
  const auto since = watch.silent_since(bench.pc.vm->id());
  if (!since || now - *since < kWorthSaying) return {};
  const std::chrono::duration<double> silent = now - *since;
  return fmt::format("it did nothing for the last {:.1f} s: {}", silent.count(),
                     describe(sleep_states(*bench.pc.vm, now)));
}

}  // namespace

Result<BootResult> boot(const BootSpec& spec, const BootConsole& console, const std::atomic<bool>& stop) {
  auto wakeup = Wakeup::create();
  if (!wakeup) return Failure(wakeup.error());
  Bench bench(std::move(*wakeup));
  if (auto built = build(spec, console, bench); !built) return Failure(built.error());
  const Nanos started_at = monotonic_now();
  const Nanos end = spec.timeout ? started_at + *spec.timeout : sched::kForever;
  SilenceWatch watch(*bench.engine);
  const SymbolTable of_image = spec.symbols.empty() ? elf_symbols(spec.image.file) : SymbolTable{};
  const SymbolTable& symbols = spec.symbols.empty() ? of_image : spec.symbols;
  bench.engine->trace_into(spec.trace);
  const Nanos began = monotonic_now();
  if (auto started = bench.engine->start(); !started) return Failure(started.error());
  const auto watching = watch_stalls(spec, console, bench, symbols);
  if (!watching) return Failure(watching.error());
  watch::StallWatch* const stalls = watching->get();
  if (stalls != nullptr) {
    watch.on_death([stalls](VmId vm, const std::string& why) { stalls->vm_died(vm, why); });
  }
  if (spec.confine_caller) {
    if (auto in = sandbox::enter_sandbox(sandbox::ThreadKind::kDevice); !in) return Failure(in.error());
  }
  const ConsoleBell bell(console, *bench.wakeup);
  Input input{console.input};
  Observation observation(spec.observer, observed(spec, *bench.engine));
  PolicyCourse course(spec, *bench.engine, *bench.pc.vm, started_at, observation);
  const BootEnd how = serve(bench, console, input, end, watch, stalls, course, stop);
  observation.end();
  if (stalls != nullptr) stalls->stop();
  auto sections = course.finish();
  bench.engine->stop();
  bench.pc.board->drain_console();
  if (const auto trouble = bench.engine->trouble().first()) return Failure(*trouble);
  BootResult result = result_of(bench, how);
  result.sections = std::move(sections);
  result.sites = sites_of(*bench.pc.vm, symbols);
  result.began = began;
  result.ended = monotonic_now();
  if (stalls != nullptr) {
    result.stalls = stalls->stalls();
    result.stalled = stalls->stalled();
  }
  if (how == BootEnd::kTimeout) result.silence = silence_of(bench, watch);
  return result;
}

}  // namespace vmm
