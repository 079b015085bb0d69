// /dev/kvm itself: the API version, the capabilities, the CPUID that KVM can offer. Open it once, before any
// VM; const afterwards, so any thread may use it.
#pragma once

#include <linux/kvm.h>

#include <vector>

#include "vmm/kvm/capability.h"
#include "vmm/kvm/fd.h"
#include "vmm/result.h"

namespace vmm {

class System {
 public:
  // A missing device, missing permission or wrong API version says what to do about it. Missing capabilities
  // do not fail here (doctor wants to list them) but in VmFd::create().
  [[nodiscard]] static Result<System> open(const char* path = "/dev/kvm");

  [[nodiscard]] const Capabilities& capabilities() const { return capabilities_; }
  // What KVM_GET_SUPPORTED_CPUID offers: the input of vcpu_cpuid().
  [[nodiscard]] const std::vector<kvm_cpuid_entry2>& supported_cpuid() const { return cpuid_; }
  [[nodiscard]] size_t run_area_bytes() const { return run_area_bytes_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  System() = default;

  UniqueFd fd_;
  Capabilities capabilities_;
  std::vector<kvm_cpuid_entry2> cpuid_;
  size_t run_area_bytes_ = 0;
};

}  // namespace vmm
