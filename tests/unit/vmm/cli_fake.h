// A fake backend and a program around it: commands run in no time, and tests see what was asked for.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "vmm/cli/cli.h"

namespace vmm {

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// A command line, taken apart at its spaces.
inline std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> result;
  std::istringstream stream{std::string{line}};
  for (std::string word; stream >> word;) result.push_back(word);
  return result;
}

// A plausible result: `ops` operations a second in each VM, the ledger full.
inline RunResult fake_result(const RunSpec& spec, double ops) {
  RunResult result;
  result.window = spec.duration;
  result.tsc_khz = 2e6;
  const double seconds = static_cast<double>(spec.duration.count()) / 1e9;
  for (const VmSpec& vm : spec.vms) {
    VmResult entry;
    entry.guest = vm.guest;
    entry.policy = vm.policy.name;
    entry.ops_per_second = ops;
    entry.vcpus.resize(vm.vcpus);
    for (VcpuResult& vcpu : entry.vcpus) {
      vcpu.operations = static_cast<uint64_t>(ops * seconds / vm.vcpus);
      vcpu.work_time = spec.duration / 8;
      vcpu.ledger.guest = spec.duration / 4;
      vcpu.ledger.spinning = spec.duration / 4;
      vcpu.ledger.waiting = spec.duration - spec.duration / 2;
      vcpu.sched.spin_exits = 100;
      vcpu.sched.yields_tried = 90;
      vcpu.sched.yields_done[0] = 80;
      vcpu.sched.yield_hits = 60;
      vcpu.ipis_sent = 1000;
      vcpu.ipis_acked = 999;
    }
    entry.ack_hist[kvmux_hist_bucket(20'000)] = 990;  // 10 µs at 2 GHz
    entry.ack_hist[kvmux_hist_bucket(2'000'000)] = 10;
    result.vms.push_back(std::move(entry));
  }
  result.worker_busy.assign(spec.workers, spec.duration);
  return result;
}

// Runs command lines against a backend of the test's choice.
struct FakeProgram {
  RunControl control;
  std::ostringstream out;
  std::ostringstream err;
  std::vector<RunSpec> asked;
  std::function<Result<RunResult>(const RunSpec&)> backend = [](const RunSpec& spec) {
    return fake_result(spec, 1000);
  };
  DoctorReport doctor;
  HostFacts facts;
  std::function<Result<linux_guest::GuestImage>(std::span<const linux_guest::Load>, const linux_guest::Say&)>
      linux_image;
  std::vector<int> cpus_named;  // by --cpus, last
  Nanos move_cost{3'000};

  // Two threads of one core.
  static std::vector<CpuPlace> places(const std::vector<int>& cpus) {
    std::vector<CpuPlace> all;
    for (const int cpu : cpus) all.push_back({.cpu = cpu});
    return all;
  }
  Nanos clock{0};

  int run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "kvmux");
    out.str("");
    err.str("");
    Services services{
        .run = [this](const RunSpec& spec, RunControl&) -> Result<RunResult> {
          asked.push_back(spec);
          clock += spec.duration;
          return backend(spec);
        },
        .choose_cpus =
            [this](size_t workers, const std::vector<int>& named) {
              cpus_named = named;
              return choose_cpus(places(named.empty() ? std::vector<int>{0, 1} : named), workers);
            },
        .move_cost = [this](const RunSpec&) { return move_cost; },
        .host_facts = [this] { return facts; },
        .doctor = [this]() -> Result<DoctorReport> { return doctor; },
        .linux_image = linux_image,
        .now = [this] { return clock; },
        .out = out,
        .err = err,
        .err_is_terminal = false,
        .control = control,
        .host = {"Linux 6.18", "Some CPU", 2, 2},
        .limits = {{0, 1}},
        .command_line = std::move(arguments),
    };
    return run_program(services);
  }
};

// A file that is gone after the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name)
      : path_(std::filesystem::temp_directory_path() /
              ("kvmux-unit-" + std::to_string(getpid()) + "-" + name)) {
    std::filesystem::remove(path_);
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  [[nodiscard]] std::string path() const { return path_.string(); }
  [[nodiscard]] std::string read() const {
    std::ifstream file{path_};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  void write(const std::string& text) const { std::ofstream{path_} << text; }

 private:
  std::filesystem::path path_;
};

}  // namespace vmm
