// A machine of the soak: what is run, how it is disturbed, and what is expected of each VM. Drawn from a seed
// and a number, the same on every host with the same capabilities.
//
// Plain data and pure functions, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/run_types.h"

namespace soak {

using vmm::Nanos;
constexpr Nanos ms(int64_t n) { return Nanos{n * 1'000'000}; }

enum class Kind : uint8_t {
  kRun,      // vmm::run() in this process
  kProgram,  // `kvmux run`, with signals
  kCompare,  // `kvmux compare --out`, stopped, killed and resumed
  kBoot,     // `kvmux boot` of a foreign image
};

enum class Role : uint8_t {
  kWorks,     // a built-in guest: works, no errors, not ended
  kMustFail,  // a hostile guest: ends with a line that holds `says`
  kStorms,    // a hostile guest that may do anything to itself
};

struct Member {
  Role role = Role::kWorks;
  std::string says;
};

struct Machine {
  uint64_t seed = 0;
  uint64_t number = 0;
  Kind kind = Kind::kRun;
  vmm::RunSpec spec;
  std::vector<Member> members;     // one a VM of the spec
  std::vector<std::string> words;  // the spec as arguments of `kvmux run`
  bool may_be_refused = false;     // drawn without regard to what fits together
  Nanos stop_after{-1};            // end it early, so long after its start; < 0: do not
  Nanos patience{};                // a window in which every vCPU must get to work
  uint32_t vcpus = 0;              // in all

  std::string text() const;  // the words, as one line
};

// What a draw depends on besides the seed.
struct Surroundings {
  std::string folder;          // holds hostile guests' images as write_images() left them
  bool split_irqchip = false;  // KVM can hold the local APICs
  uint64_t program_share = 0;  // percent of machines that run the program itself
};

// Hostile guests as files in the folder. False: says why on standard error.
bool write_images(const std::string& folder);

Machine draw_machine(uint64_t seed, uint64_t number, const Surroundings& surroundings);

}  // namespace soak
