#include "vmm/run/move_cost.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <thread>

#include "vmm/kvm/vm.h"
#include "vmm/run/kept_figure.h"
#include "vmm/run/moves.h"
#include "vmm/run/os_thread.h"
#include "vmm/thread_signals.h"

namespace vmm {
Result<std::vector<Nanos>> times_of_moves(const std::function<Nanos()>& run, const MoveRounds& rounds) {
  std::vector<Nanos> moved;
  const Nanos begin = monotonic_now();
  try {
    const ThreadsWithoutSignals quiet;
    do {
      run();
      std::thread([&] {
        // On the CPU where it begins if that one cannot be had: it is the thread that counts.
        if (rounds.cpu_there >= 0) (void)bind_thread(std::array{rounds.cpu_there});
        moved.push_back(run());
      }).join();
      if (moved.back() < rounds.enough) break;
      if (rounds.limit != Nanos{} && monotonic_now() - begin >= rounds.limit) break;
    } while (moved.size() < rounds.most);
  } catch (const std::system_error& error) {
    return host_error("pthread_create", error.code().value(),
                      "a vCPU is run on two threads to see what moves cost");
  }
  return moved;
}

Nanos move_cost_from(std::vector<Nanos> moved, Nanos staying) {
  std::sort(moved.begin(), moved.end());
  const bool cheap = moved.front() - staying < kDearMove;
  const Nanos typical = cheap ? moved.front() : moved[moved.size() / 2];
  return std::max(Nanos{}, typical - staying);
}

Result<Nanos> measure_move_cost() {
  auto system = System::open();
  if (!system) return Failure(system.error());
  auto vm = VmFd::create(*system, {});
  if (!vm) return Failure(vm.error());
  auto vcpu = vm->create_vcpu(VcpuIndex{0}, {});
  if (!vcpu) return Failure(vcpu.error());
  int failed = 0;
  // Returns before the guest is entered, whatever state the vCPU is in.
  const auto run = [&] {
    vcpu->request_exit();
    const Nanos start = monotonic_now();
    const int error = vcpu->run();
    if (error != EINTR) failed = error;
    return monotonic_now() - start;
  };
  run();  // the first is not like the others
  const Nanos staying = std::min(run(), run());
  auto moved = times_of_moves(run, {.enough = kDearMove});
  if (!moved) return Failure(moved.error());
  if (failed != 0) return host_error("KVM_RUN", failed, "a requested exit does not come before the guest");
  return move_cost_from(std::move(*moved), staying);
}

Nanos move_cost_of_host() {
  static const Nanos cost = figure_of_boot("move-cost-ns", measure_move_cost);
  return cost;
}

bool waits_for_grace_periods(std::string_view release) {
  int major = 0;
  int minor = 0;
  const char* const end = release.data() + release.size();
  const auto first = std::from_chars(release.data(), end, major);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.') return false;
  if (std::from_chars(first.ptr + 1, end, minor).ec != std::errc{}) return false;
  return major < 6 || (major == 6 && minor < 13);
}

}  // namespace vmm
