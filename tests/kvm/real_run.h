// Whole runs on real KVM through vmm::run(), and guests for them from a few bytes of code. One thread.
//
//   RunSpec spec = short_run(ms(100));
//   add_vm(spec, "compute", 2);
//   GuestFile guest(some_code());      // GUEST_CODE of guest_code.h
//   add_vm(spec, guest.path(), 1);
//   const RunResult result = run_it(spec);
#pragma once

#include <dirent.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "sched/policy/parse.h"
#include "tests/kvm/guest_code.h"
#include "tests/kvm/guest_image.h"
#include "tests/kvm/require_kvm.h"
#include "vmm/cli/guests.h"
#include "vmm/run/run.h"

namespace kvm_test {

constexpr vmm::Nanos ms(int64_t n) { return vmm::Nanos{n * 1'000'000}; }

// An ELF file with this code at 1 MiB, gone when the object is.
class GuestFile {
 public:
  explicit GuestFile(std::span<const uint8_t> code) {
    const auto bytes = guest_image(code);
    const int fd = ::mkstemp(path_.data());
    REQUIRE(fd >= 0);
    const bool written = ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    ::close(fd);
    REQUIRE(written);
  }
  ~GuestFile() { ::unlink(path_.c_str()); }
  GuestFile(const GuestFile&) = delete;
  GuestFile& operator=(const GuestFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/kvmux-guest-XXXXXX";
};

inline vmm::RunSpec short_run(vmm::Nanos duration) {
  vmm::RunSpec spec;
  const int64_t longer = is_slow_host() ? 5 : 1;
  spec.warmup = longer * ms(20);
  spec.duration = longer * duration;
  spec.quiet_console = true;
  return spec;
}

inline vmm::VmSpec& add_vm(vmm::RunSpec& spec, const std::string& guest, uint32_t vcpus,
                           const char* policy = "fair") {
  vmm::VmSpec& vm = spec.vms.emplace_back();
  vm.guest = guest;
  vm.vcpus = vcpus;
  vm.policy = *sched::parse_policy(policy);
  vm.workload = vmm::make_workload(guest, {});
  return vm;
}

inline vmm::RunResult run_it(const vmm::RunSpec& spec) {
  vmm::RunControl control;
  auto result = vmm::run(spec, control);
  REQUIRE_MESSAGE(result, result.error().text());
  return std::move(*result);
}

// Every vCPU did work, and nothing was wrong with it.
inline void check_healthy(const vmm::VmResult& vm) {
  CHECK(vm.failure == "");
  CHECK_FALSE(vm.exit_code);
  for (const vmm::VcpuResult& vcpu : vm.vcpus) {
    CHECK(vcpu.operations > 0);
    CHECK(vcpu.guest_errors == 0);
  }
}

// What a process has of these at the moment.
inline int entries_of(const char* folder) {
  DIR* dir = ::opendir(folder);
  REQUIRE(dir != nullptr);
  int count = 0;
  while (::readdir(dir) != nullptr) ++count;
  ::closedir(dir);
  return count;
}
inline int threads() { return entries_of("/proc/self/task"); }
inline int open_fds() { return entries_of("/proc/self/fd"); }
// Their lines in /proc/self/maps that contain `name`.
inline int mappings(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find(name) != std::string::npos ? 1 : 0;
  return count;
}

}  // namespace kvm_test
