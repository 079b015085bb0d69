// Boots one of the test images and catches what it prints. One thread.
#pragma once

#include <doctest/doctest.h>

#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "sched/policy/parse.h"
#include "tests/kvm/require_kvm.h"
#include "vmm/load/elf.h"
#include "vmm/platform/boot.h"

namespace kvm_test {

struct Booted {
  vmm::BootResult result;
  std::vector<std::string> lines;

  std::string text() const {
    std::string all;
    for (const std::string& line : lines) all += line + "\n";
    return all;
  }
  // Lines that begin with '#': figures.
  std::string comments() const {
    std::string all;
    for (const std::string& line : lines) {
      if (line.starts_with('#')) all += line + "\n";
    }
    return all;
  }
  bool has_line(const std::string& wanted) const {
    for (const std::string& line : lines) {
      if (line == wanted) return true;
    }
    return false;
  }
  // The guest's own checks all held, and it came to its end.
  bool good() const {
    return result.end == vmm::BootEnd::kExit && result.exit_code == 1 &&
           text().find("FAILED") == std::string::npos;
  }
};

struct BootOptions {
  uint32_t vcpus = 1;
  uint32_t workers = 2;
  std::string policy = "yield";
  vmm::Irqchip irqchip = vmm::Irqchip::kUser;
  std::string cmdline = {};
  std::vector<vmm::BootModule> modules = {};
  vmm::Gpa flat_address{0x7c00};
  std::vector<vmm::PolicyChange> changes = {};
  std::chrono::seconds timeout{240};  // a loaded host is slow; usually a second is enough
};

inline Booted boot_bytes(std::span<const std::byte> image, const BootOptions& options = {}) {
  auto policy = sched::parse_policy(options.irqchip == vmm::Irqchip::kSplit ? "host" : options.policy);
  REQUIRE(policy);
  vmm::BootSpec spec;
  spec.image = {.file = image,
                .format = {},
                .flat_address = options.flat_address,
                .modules = options.modules,
                .cmdline = options.cmdline};
  spec.memory_bytes = uint64_t{32} << 20;
  spec.vcpus = options.vcpus;
  spec.workers = options.workers;
  spec.policy = std::move(*policy);
  spec.irqchip = options.irqchip;
  spec.changes = options.changes;
  spec.timeout = options.timeout;
  std::string output;
  const vmm::BootConsole console{
      .output = [&output](std::span<const uint8_t> bytes) { output.append(bytes.begin(), bytes.end()); },
      .input = -1,
      .filter = {}};
  const std::atomic<bool> stop{false};
  auto result = vmm::boot(spec, console, stop);
  REQUIRE_MESSAGE(result.has_value(), result.error().text());
  Booted booted{*result, {}};
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    booted.lines.push_back(line);
  }
  return booted;
}

inline Booted boot_guest(const std::string& file, const BootOptions& options = {}) {
  const auto image = vmm::read_image_file(std::string(KVMUX_TEST_GUESTS) + "/" + file);
  REQUIRE_MESSAGE(image.has_value(), image.error().text());
  return boot_bytes(*image, options);
}

}  // namespace kvm_test
