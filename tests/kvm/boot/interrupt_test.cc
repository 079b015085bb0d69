// Interrupts as guests see them, oversubscribed.
#include "tests/kvm/boot/boot_guest.h"

using kvm_test::boot_guest;
using kvm_test::Booted;

TEST_CASE("interrupts of every kind, four vCPUs on two workers, under three presets") {
  REQUIRE_KVM(system);
  for (const char* policy : {"rr", "yield", "v2"}) {
    CAPTURE(policy);
    const Booted guest = boot_guest("interrupts.elf", {.vcpus = 4, .workers = 2, .policy = policy});
    CHECK_MESSAGE(guest.good(), guest.text(), guest.result.failure);
  }
}

TEST_CASE("eight vCPUs find the same under every preset and any number of workers") {
  REQUIRE_KVM(system);
  const Booted first = boot_guest("smp8.elf", {.vcpus = 8, .workers = 2, .policy = "fair"});
  REQUIRE_MESSAGE(first.good(), first.text(), first.result.failure);
  CHECK(first.lines.size() == 10);
  for (const uint32_t workers : {1u, 8u}) {
    CAPTURE(workers);
    const Booted guest = boot_guest("smp8.elf", {.vcpus = 8, .workers = workers, .policy = "v2"});
    CHECK(guest.lines == first.lines);
  }
  for (const sched::Preset& preset : sched::presets()) {
    if (sched::is_host_queue(preset.features.queue)) continue;
    CAPTURE(preset.name);
    const Booted guest =
        boot_guest("smp8.elf", {.vcpus = 8, .workers = 2, .policy = std::string(preset.name)});
    CHECK(guest.lines == first.lines);
  }
}
