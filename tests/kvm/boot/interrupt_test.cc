// Interrupts as guests see them, oversubscribed.
#include <sstream>

#include "tests/kvm/boot/boot_guest.h"
#include "tests/kvm/boot/program.h"

using kvm_test::boot_guest;
using kvm_test::Booted;
using kvm_test::Finished;
using kvm_test::guest_path;
using kvm_test::run_program;

namespace {

// What the guest said: kvmux itself may have a word about moves.
std::string found_by(const Finished& guest) {
  std::string found;
  std::istringstream lines(guest.output);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("kvmux: moves cost", 0) != 0) found += line + "\n";
  }
  return found;
}

Finished run_eight(uint32_t workers, std::string_view policy, const char* irqchip = "user") {
  return run_program({"boot", guest_path("smp8.elf"), "--vcpus", "8", "--workers", std::to_string(workers),
                      "--policy", std::string(policy), "--irqchip", irqchip, "--mem", "32M", "--timeout",
                      "240s"});
}

}  // namespace

TEST_CASE("interrupts of every kind, four vCPUs on two workers, under four presets") {
  REQUIRE_KVM(system);
  for (const char* policy : {"rr", "yield", "v2", "kvmux"}) {
    CAPTURE(policy);
    const Booted guest = boot_guest("interrupts.elf", {.vcpus = 4, .workers = 2, .policy = policy});
    CHECK_MESSAGE(guest.good(), guest.text(), guest.result.failure);
    CHECK(guest.has_line("ok and x2APIC mode again"));  // the last check: none was left out
  }
}

TEST_CASE(
    "lines: the PIT's rate, levels masked in service, what nobody accepts, restarts, with LAPICs of both "
    "kinds") {
  REQUIRE_KVM(system);
  for (const vmm::Irqchip irqchip : {vmm::Irqchip::kUser, vmm::Irqchip::kSplit}) {
    if (irqchip == vmm::Irqchip::kSplit && !system.capabilities().has(KVM_CAP_SPLIT_IRQCHIP)) continue;
    CAPTURE(static_cast<int>(irqchip));
    const bool user = irqchip == vmm::Irqchip::kUser;
    const Booted guest =
        boot_guest("lines.elf", {.vcpus = 2, .irqchip = irqchip, .cmdline = user ? "lint0" : ""});
    CHECK_MESSAGE(guest.good(), guest.text(), guest.result.failure);
    CHECK(guest.has_line("ok lines: the end"));
    if (!user) continue;
    CHECK(guest.has_line("# level: 6 for 6"));
    CHECK(guest.has_line("ok LINT0, edge: five pulses of the 8259s, one interrupt each"));
  }
}

TEST_CASE("eight vCPUs find the same on 1, 2 and 8 workers under every preset") {
  REQUIRE_KVM(system);
  const Finished first = run_eight(2, "fair");
  REQUIRE_MESSAGE(first.status == 1, first.output);  // the guest's 0: all checks held
  REQUIRE_MESSAGE(first.has_line("ok timers of all processors"), first.output);
  for (const sched::Preset& preset : sched::presets()) {
    for (const uint32_t workers : {1u, 2u, 8u}) {
      CAPTURE(preset.name);
      CAPTURE(workers);
      const Finished guest = run_eight(workers, preset.name);
      CHECK(guest.status == 1);
      CHECK(found_by(guest) == found_by(first));
    }
  }
  if (system.capabilities().has(KVM_CAP_SPLIT_IRQCHIP)) {
    CHECK(found_by(run_eight(2, "host", "split")) == found_by(first));
  }
}
