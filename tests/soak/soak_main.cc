// The soak's command line: kvmux_soak --minutes N [--seed S] [--max-failures N] [--programs PERCENT], or
// --machine K [--times N] for one machine of a seed.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "tests/soak/batch.h"
#include "vmm/kvm/system.h"
#include "vmm/output/standard.h"

namespace {

using namespace soak;
constexpr int kSkipped = 77;

struct Flags {
  double minutes = 1;
  uint64_t seed = static_cast<uint64_t>(::time(nullptr));
  std::optional<uint64_t> machine;
  uint64_t times = 1;
  uint64_t first = 0;
  uint64_t max_failures = 10;
  uint64_t programs = 12;
  bool verbose = false;
  std::string kvmux = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "kvmux";
  std::string images = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "test_guests";
};

int parse(int argc, char** argv, Flags& flags) {
  CLI::App app{"random machines on real KVM, every invariant checked"};
  app.add_option("--minutes", flags.minutes, "how long");
  app.add_option("--seed", flags.seed, "of the machines; else from the clock");
  app.add_option("--machine", flags.machine, "only this machine of the seed, in this process");
  app.add_option("--times", flags.times, "with --machine: so often");
  app.add_option("--first", flags.first, "begin with this machine");
  app.add_option("--max-failures", flags.max_failures, "give up then");
  app.add_flag("--verbose", flags.verbose, "a line for each machine");
  app.add_option("--programs", flags.programs, "percent of machines that run the program itself");
  app.add_option("--kvmux", flags.kvmux, "the program");
  app.add_option("--images", flags.images, "folder of the foreign images");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? -1 : 2;
  }
  return 0;
}

// Temporary files of this process, gone with it.
class Folder {
 public:
  Folder() : owner_(::getpid()) { path_ = ::mkdtemp(name_.data()) != nullptr ? name_ : ""; }
  ~Folder() {
    std::error_code ignored;
    if (::getpid() == owner_) std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  pid_t owner_;
  std::string name_ = "/tmp/kvmux-soak-XXXXXX";
  std::string path_;
};

int one_machine(const Plan& plan, const Flags& flags) {
  Watchdog dog;
  Totals totals;
  std::printf("%s\n", draw_machine(plan.seed, *flags.machine, plan.surroundings).text().c_str());
  uint64_t failed = 0;
  for (uint64_t i = 0; i < flags.times; ++i) failed += run_machine(plan, *flags.machine, dog, totals) ? 0 : 1;
  std::printf("%llu of %llu runs failed\n", static_cast<unsigned long long>(failed),
              static_cast<unsigned long long>(flags.times));
  return failed == 0 ? 0 : 1;
}

std::atomic<bool> interrupted{false};

void print_totals(const Totals& t, double minutes) {
  std::printf(
      "soak: %.1f minutes, %llu machines (%llu as programs), %.0f vCPU-seconds, %llu IPIs, %llu exits, "
      "%llu undecided on a busy host, %llu failures\n",
      minutes, static_cast<unsigned long long>(t.machines), static_cast<unsigned long long>(t.programs),
      t.vcpu_seconds, static_cast<unsigned long long>(t.ipis), static_cast<unsigned long long>(t.exits),
      static_cast<unsigned long long>(t.undecided), static_cast<unsigned long long>(t.failures));
  std::fflush(stdout);
}

int soak_for(Plan& plan, const Flags& flags) {
  const auto begin = std::chrono::steady_clock::now();
  const auto passed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / 60;
  };
  plan.end = begin + std::chrono::milliseconds(static_cast<int64_t>(flags.minutes * 60'000));
  std::signal(SIGINT, [](int) { interrupted = true; });
  std::signal(SIGTERM, [](int) { interrupted = true; });
  Totals totals;
  double said = 0;
  for (uint64_t next = flags.first;
       std::chrono::steady_clock::now() < plan.end && !interrupted && totals.failures < plan.max_failures;) {
    next = run_batch(plan, next, totals);
    if (passed() - said < 5) continue;
    said = passed();
    print_totals(totals, said);
  }
  print_totals(totals, passed());
  return totals.failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  if (const int status = parse(argc, argv, flags); status != 0) return std::max(status, 0);
  const auto system = vmm::System::open();
  if (!system || !system->capabilities().check_required()) {
    std::printf("SKIP soak: %s\n", system ? system->capabilities().check_required().error().text().c_str()
                                          : system.error().text().c_str());
    return kSkipped;
  }
  const Folder folder;
  if (folder.path().empty() || !write_images(folder.path())) return 3;
  if (::access(flags.kvmux.c_str(), X_OK) != 0 || !std::filesystem::is_directory(flags.images)) {
    std::printf("kvmux_soak: %s or %s is missing: only machines in this process\n", flags.kvmux.c_str(),
                flags.images.c_str());
    flags.programs = 0;
  }
  Plan plan{.seed = flags.seed,
            .surroundings = {.folder = folder.path(),
                             .split_irqchip = system->capabilities().has(KVM_CAP_SPLIT_IRQCHIP),
                             .program_share = flags.programs},
            .programs = {.kvmux = flags.kvmux, .images = flags.images, .folder = folder.path()},
            .end = {},
            .max_failures = flags.max_failures,
            .verbose = flags.verbose};
  std::printf("soak: seed %llu\n", static_cast<unsigned long long>(flags.seed));
  std::fflush(stdout);
  return flags.machine ? one_machine(plan, flags) : soak_for(plan, flags);
}
