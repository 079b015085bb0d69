// What a result was measured on. Read once, any thread.
#pragma once

#include <cstdint>
#include <string>

namespace vmm {

struct HostDescription {
  std::string kernel;     // "Linux 6.18.1"
  std::string cpu_model;  // of /proc/cpuinfo
  uint32_t cpus = 0;      // online
  uint32_t cpus_allowed = 0;
};

HostDescription describe_host();

inline constexpr const char* kVersion = KVMUX_VERSION;  // of the CMake project

}  // namespace vmm
