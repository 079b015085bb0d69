// Which KVM capabilities kvmux knows, which of them it cannot do without, and what this host says to each.
// `doctor` prints the whole table; VmFd::create() refuses a host that misses a required one. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/result.h"

namespace vmm {

enum class CapabilityUse : uint8_t {
  kRequired,  // no guest runs without it
  kOptional,  // something named in `why` works less well without it
  kLimit,     // not a feature but a number that the host tells
};

struct CapabilityInfo {
  const char* name;  // as in <linux/kvm.h>
  int number;
  CapabilityUse use;
  int needed_bits;  // that must be set in the answer; 0: any answer above 0 will do
  const char* why;  // what kvmux does with it
};

struct Capability {
  const CapabilityInfo* info;
  int value;  // KVM_CHECK_EXTENSION's answer; 0 or less: absent
  [[nodiscard]] bool present() const;
};

class Capabilities {
 public:
  // One entry for each known capability, `value_of` being the host's answer.
  template <class ValueOf>
  [[nodiscard]] static Capabilities read(ValueOf value_of) {
    Capabilities all;
    for (const CapabilityInfo& info : known()) all.table_.push_back({&info, value_of(info.number)});
    return all;
  }
  [[nodiscard]] static std::span<const CapabilityInfo> known();

  [[nodiscard]] std::span<const Capability> table() const { return table_; }
  // The number must be one of known().
  [[nodiscard]] int value(int number) const;
  [[nodiscard]] bool has(int number) const;
  // A host error that lists every missing required capability with its number and what it is for.
  [[nodiscard]] Result<void> check_required() const;

  [[nodiscard]] uint32_t max_vcpus() const;          // limit of one VM
  [[nodiscard]] uint32_t recommended_vcpus() const;  // advice only
  [[nodiscard]] bool can_disable_pause_exits() const;

 private:
  std::vector<Capability> table_;
};

}  // namespace vmm
