// Everything that interrupts, mixed by chance, none lost and none doubled: the image `events` counts.
//   KVMUX_EVENTS  how many (20,000)
//   KVMUX_SEED    of the first run; a failure prints it
#include <cstdlib>
#include <random>

#include "tests/kvm/boot/boot_guest.h"

using kvm_test::boot_guest;
using kvm_test::Booted;

namespace {

uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* given = std::getenv(name);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

struct Setting {
  std::string policy;
  uint32_t workers;
  std::string mode;  // of the local APICs
};

const Setting kSettings[] = {
    {"kvmux", 2, ""}, {"rr", 2, "x2apic"}, {"v3", 3, ""}, {"kvmux", 1, "x2apic"}, {"host", 2, ""}};

}  // namespace

TEST_CASE("events: IPIs, NMIs, timers, INT n, faults, HLT and exits in any order: what is sent comes, once") {
  REQUIRE_KVM(system);
  const uint64_t events = number_from_environment("KVMUX_EVENTS", 20'000);
  const uint64_t seed = number_from_environment("KVMUX_SEED", std::random_device{}() % 1'000'000);
  MESSAGE("KVMUX_SEED=" << seed << ", KVMUX_EVENTS=" << events);
  uint64_t run = 0;
  for (const Setting& setting : kSettings) {
    CAPTURE(setting.policy);
    CAPTURE(setting.workers);
    const uint64_t share = events / std::size(kSettings);
    const std::string cmdline =
        "events=" + std::to_string(share) + " seed=" + std::to_string(seed + run++) + " " + setting.mode;
    CAPTURE(cmdline);
    const auto began = std::chrono::steady_clock::now();
    const Booted guest = boot_guest("events.elf", {.vcpus = 4,
                                                   .workers = setting.workers,
                                                   .policy = setting.policy,
                                                   .cmdline = cmdline,
                                                   .timeout = std::chrono::seconds(120 + share / 50)});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    CHECK_MESSAGE(guest.good(), guest.text(), guest.result.failure, guest.result.silence);
    CHECK(guest.has_line("ok events: the end"));
    MESSAGE(cmdline << " " << setting.policy << ": " << took.count() << " s\n" << guest.comments());
  }
}
