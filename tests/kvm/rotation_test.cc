// Workers change CPUs during a run, on real KVM.
#include <map>
#include <set>

#include "tests/kvm/real_run.h"
#include "vmm/run/move_cost.h"
#include "vmm/run/moves.h"
#include "vmm/run/os_thread.h"

using namespace kvm_test;
using namespace vmm;

namespace {

std::string read_line(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return {};
}

// The CPUs that each thread which runs vCPUs was bound to in the course of a run: workers', or carriers.
std::map<std::string, std::set<std::string>> cpus_of_workers(Nanos rotate) {
  RunSpec spec = short_run(ms(400));
  spec.rotate = rotate;
  for (int i = 0; i < 2; ++i) add_vm(spec, "compute", 2);
  const std::string running = has_carriers(spec, move_cost_of_host()) ? "kvmux-c" : "kvmux-w";
  std::map<std::string, std::set<std::string>> seen;
  RunControl control;
  control.progress = [&](double) {
    DIR* tasks = ::opendir("/proc/self/task");
    REQUIRE(tasks != nullptr);
    while (const dirent* entry = ::readdir(tasks)) {
      const std::string task = std::string("/proc/self/task/") + entry->d_name;
      const std::string name = read_line(task + "/comm", "");
      if (name.starts_with(running)) seen[name].insert(read_line(task + "/status", "Cpus_allowed_list:"));
    }
    ::closedir(tasks);
  };
  const auto result = vmm::run(spec, control);
  REQUIRE_MESSAGE(result, result.error().text());
  for (const VmResult& vm : result->vms) check_healthy(vm);
  return seen;
}

}  // namespace

TEST_CASE("workers move on by one CPU where that is asked for, and stay where it is not") {
  REQUIRE_KVM(system);
  REQUIRE_OR_SKIP(allowed_cpus().size() > 1, "this process may use one CPU only");
  for (const Nanos rotate : {ms(70), Nanos{}}) {  // no divisor of the 100 ms between two looks
    CAPTURE(rotate.count());
    const auto cpus = cpus_of_workers(rotate);
    CHECK(cpus.size() >= 2);
    for (const auto& worker : cpus) {
      const std::set<std::string>& bound = worker.second;
      CAPTURE(worker.first);
      if (rotate > Nanos{}) CHECK(bound.size() >= 2);
      // A carrier goes where its vCPU is chosen.
      if (rotate == Nanos{} && worker.first.starts_with("kvmux-w")) CHECK(bound.size() == 1);
    }
  }
}
