// Steal time: what a guest reads of the CPU that it did not get.
#include <cstdio>

#include "tests/kvm/boot/boot_guest.h"

using kvm_test::boot_guest;
using kvm_test::Booted;

namespace {

struct Off {
  unsigned long off_us = 0;
  unsigned long of_us = 0;
};

// What the guest printed of this vCPU.
Off off_of(const Booted& guest, unsigned cpu) {
  for (const std::string& line : guest.lines) {
    unsigned which = 0;
    Off off;
    const int found = std::sscanf(line.c_str(), "cpu %u off %lu of %lu us", &which, &off.off_us, &off.of_us);
    if (found == 3 && which == cpu) return off;
  }
  return {};
}

}  // namespace

TEST_CASE("two busy vCPUs on one worker have half of it stolen from each, and see the other off") {
  REQUIRE_KVM(system);
  for (const char* policy : {"yield", "kvmux"}) {
    CAPTURE(policy);
    const Booted guest = boot_guest("steal.elf", {.vcpus = 2, .workers = 1, .policy = policy});
    CHECK_MESSAGE(guest.good(), (guest.result.failure + guest.text()));
    unsigned long off = 0;
    unsigned long of = 0;
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
      const Off one = off_of(guest, cpu);
      CAPTURE(one.off_us);
      CAPTURE(one.of_us);
      REQUIRE(one.of_us > 0);
      CHECK(one.off_us > one.of_us * 40 / 100);
      CHECK(one.off_us < one.of_us * 65 / 100);
      off += one.off_us;
      of += one.of_us;
    }
    // Either runs whenever the other does not; switches belong to whom they lead to.
    CHECK(off > of * 47 / 100);
    CHECK(off < of * 60 / 100);
  }
}
