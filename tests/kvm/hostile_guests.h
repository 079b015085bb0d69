// Guests that break the rules in one way each: vCPU 1 of two does it, vCPU 0 waits. Shared by the tests of
// what becomes of them and by the soak, which puts them beside others at random.
//
// Constant data, any thread.
#pragma once

#include <cstdint>
#include <span>

namespace kvm_test {

struct HostileGuest {
  const char* name;
  std::span<const uint8_t> code;  // for 1 MiB, see guest_image.h
  const char* says;               // a part of the failure line
};

// Each ends its VM, with a line that names vCPU 1.
std::span<const HostileGuest> hostile_guests();

// These go on for ever and may harm their own VM only. `says` is empty.
std::span<const HostileGuest> stormy_guests();

}  // namespace kvm_test
