#include "vmm/kvm/tsc.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "vmm/kvm/ioctl_numbers.h"

namespace vmm {
namespace {

// KVM_GET_MSRS and KVM_SET_MSRS of one; see ioctl_numbers.h.
struct OneMsr {
  uint32_t count = 1;
  uint32_t pad = 0;
  kvm_msr_entry entry{};
};

// As get_msr(), answers with how many were done.
Result<void> set_msr(const VcpuFd& vcpu, uint32_t index, uint64_t value) {
  OneMsr msr;
  msr.entry.index = index;
  msr.entry.data = value;
  const int done = ::ioctl(vcpu.fd(), kKvmSetMsrs, &msr);
  if (done != 1) return host_error(fmt::format("KVM_SET_MSRS {:#x}", index), done < 0 ? errno : EINVAL);
  return {};
}

// Before Linux 5.16 a vCPU's offset cannot be set as such, only the counter, which KVM may round to that of
// its siblings.
Result<void> set_offset(const VcpuFd& vcpu, uint64_t offset) {
  kvm_device_attr attribute{};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  attribute.addr = reinterpret_cast<uint64_t>(&offset);
  if (::ioctl(vcpu.fd(), KVM_SET_DEVICE_ATTR, &attribute) == 0) return {};
  if (errno != ENXIO && errno != ENOTTY && errno != EINVAL)
    return host_error("KVM_SET_DEVICE_ATTR TSC", errno);
  return set_msr(vcpu, kMsrTsc, __builtin_ia32_rdtsc() + offset);
}

}  // namespace

// Answers with how many were done.
Result<uint64_t> get_msr(const VcpuFd& vcpu, uint32_t index) {
  OneMsr msr;
  msr.entry.index = index;
  const int done = ::ioctl(vcpu.fd(), kKvmGetMsrs, &msr);
  if (done != 1) return host_error(fmt::format("KVM_GET_MSRS {:#x}", index), done < 0 ? errno : EINVAL);
  return msr.entry.data;
}

TscSetting after_tsc_write(const TscSetting& before, uint64_t host_tsc, uint32_t msr, uint64_t value) {
  const uint64_t is = msr == kMsrTsc ? host_tsc + before.offset : before.adjust;
  const uint64_t moved = value - is;
  return {before.offset + moved, before.adjust + moved};
}

Result<uint64_t> write_guest_tsc(const VcpuFd& vcpu, uint32_t msr, uint64_t value) {
  const auto offset = vcpu.tsc_offset();
  if (!offset) return offset;
  const auto adjust = get_msr(vcpu, kMsrTscAdjust);
  if (!adjust) return adjust;
  const TscSetting next = after_tsc_write({*offset, *adjust}, __builtin_ia32_rdtsc(), msr, value);
  if (auto ok = set_offset(vcpu, next.offset); !ok) return Failure(ok.error());
  // From the host's side this moves no counter.
  if (auto ok = set_msr(vcpu, kMsrTscAdjust, next.adjust); !ok) return Failure(ok.error());
  return vcpu.tsc_offset();  // what KVM made of it
}

}  // namespace vmm
