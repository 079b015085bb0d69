#include "vmm/kvm/vm.h"

#include <asm/kvm_para.h>
#include <fmt/format.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "vmm/kvm/tsc.h"
#include "vmm/run/retry.h"

namespace vmm {

namespace {

// Three pages for a TSS and one for an identity map that older Intel CPUs need in real mode. They must lie
// below 4 GiB and outside of RAM and devices: between the local APIC page and the firmware area.
constexpr uint64_t kIdentityMapAddress = 0xfeffc000;
constexpr unsigned long kTssAddress = 0xfeffd000;

constexpr uint32_t kMsrApicBase = 0x1b;      // SDM vol. 4: IA32_APIC_BASE
constexpr uint32_t kMsrTscDeadline = 0x6e0;  // SDM vol. 4: IA32_TSC_DEADLINE

// Interrupted by a signal, KVM_CREATE_VM may have done nothing and wants to be asked again.
int create_vm(int kvm) {
  return uninterrupted([kvm] { return ::ioctl(kvm, KVM_CREATE_VM, 0); });
}

}  // namespace

Result<VmFd> VmFd::create(const System& system, const VmOptions& options) {
  const auto in_vm = [&](const Error& e) { return e.in(options.id); };
  if (auto ok = system.capabilities().check_required(); !ok) return Failure(in_vm(ok.error()));
  VmFd vm(system, options);
  vm.fd_ = UniqueFd(create_vm(system.fd()));
  if (!vm.fd_) return Failure(in_vm(host_error("KVM_CREATE_VM", errno).value()));
  if (auto ok = vm.reserve_pages(); !ok) return Failure(in_vm(ok.error()));
  if (auto ok = vm.set_up_exits(); !ok) return Failure(in_vm(ok.error()));
  if (auto ok = vm.place_lapic(); !ok) return Failure(in_vm(ok.error()));
  return vm;
}

Result<void> VmFd::reserve_pages() const {
  uint64_t identity_map = kIdentityMapAddress;
  if (system_->capabilities().has(KVM_CAP_SET_IDENTITY_MAP_ADDR) &&
      ::ioctl(fd(), KVM_SET_IDENTITY_MAP_ADDR, &identity_map) != 0) {
    return host_error("KVM_SET_IDENTITY_MAP_ADDR", errno);
  }
  if (system_->capabilities().has(KVM_CAP_SET_TSS_ADDR) &&
      ::ioctl(fd(), KVM_SET_TSS_ADDR, kTssAddress) != 0) {
    return host_error("KVM_SET_TSS_ADDR", errno);
  }
  return {};
}

Result<void> VmFd::enable(int capability, uint64_t argument, const char* name) const {
  kvm_enable_cap request{};
  request.cap = static_cast<uint32_t>(capability);
  request.args[0] = argument;
  if (::ioctl(fd(), KVM_ENABLE_CAP, &request) == 0) return {};
  return host_error(fmt::format("KVM_ENABLE_CAP {}", name), errno);
}

// All of it must happen before the first vCPU exists.
Result<void> VmFd::set_up_exits() {
  const Capabilities& has = system_->capabilities();
  if (has.has(KVM_CAP_EXIT_ON_EMULATION_FAILURE)) {
    auto ok = enable(KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1, "KVM_CAP_EXIT_ON_EMULATION_FAILURE");
    if (!ok) return ok;
    emulation_failures_ = true;
  }
  if (!options_.kernel_pause_exits && has.can_disable_pause_exits()) {
    return enable(KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_PAUSE, "KVM_CAP_X86_DISABLE_EXITS");
  }
  return {};
}

Result<void> VmFd::place_lapic() const {
  if (options_.lapic == LapicPlace::kKernel) {
    auto ok = enable(KVM_CAP_SPLIT_IRQCHIP, options_.ioapic_pins, "KVM_CAP_SPLIT_IRQCHIP");
    if (!ok || !system_->capabilities().has(KVM_CAP_X2APIC_API)) return ok;
    return enable(KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
                  "KVM_CAP_X2APIC_API");
  }
  // x2APIC registers: without a LAPIC of its own KVM finds them invalid. Some kernels call other APIC-related
  // MSRs unknown instead; both exit.
  auto ok = enable(KVM_CAP_X86_USER_SPACE_MSR,
                   KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER,
                   "KVM_CAP_X86_USER_SPACE_MSR");
  if (!ok) return ok;
  return filter_msrs();
}

// KVM would silently take these for itself: a TSC deadline written without an in-kernel LAPIC is lost, APIC
// base transitions are our LAPIC's to judge, and what the guest makes of its TSC moves our LAPIC's deadlines.
Result<void> VmFd::filter_msrs() const {
  uint8_t denied = 0;
  kvm_msr_filter filter{};
  filter.flags = KVM_MSR_FILTER_DEFAULT_ALLOW;
  const auto deny = [&](kvm_msr_filter_range& range, uint32_t msr, uint32_t accesses) {
    range.flags = accesses;
    range.nmsrs = 1;
    range.base = msr;
    range.bitmap = &denied;
  };
  deny(filter.ranges[0], kMsrApicBase, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE);
  deny(filter.ranges[1], kMsrTscDeadline, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE);
  deny(filter.ranges[2], kMsrTsc, KVM_MSR_FILTER_WRITE);
  deny(filter.ranges[3], kMsrTscAdjust, KVM_MSR_FILTER_WRITE);
  if (options_.own_steal_time) {
    deny(filter.ranges[4], MSR_KVM_STEAL_TIME, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE);
  }
  if (::ioctl(fd(), KVM_X86_SET_MSR_FILTER, &filter) == 0) return {};
  return host_error("KVM_X86_SET_MSR_FILTER", errno);
}

Result<void> VmFd::map_memory(const GuestMemory& memory, Gpa at) {
  kvm_userspace_memory_region region{};
  region.slot = slots_;
  region.guest_phys_addr = at.value;
  region.memory_size = memory.size();
  region.userspace_addr = reinterpret_cast<uintptr_t>(memory.host_base());
  if (::ioctl(fd(), KVM_SET_USER_MEMORY_REGION, &region) != 0) {
    return Failure(host_error("KVM_SET_USER_MEMORY_REGION", errno,
                              fmt::format("{:#x} bytes at {:#x}", memory.size(), at.value))
                       .value()
                       .in(options_.id));
  }
  ++slots_;
  return {};
}

Result<VcpuFd> VmFd::create_vcpu(VcpuIndex index, const CpuidOptions& cpuid) {
  const auto in_vcpu = [&](const Error& e) { return e.in(options_.id, index); };
  const uint32_t limit = system_->capabilities().max_vcpus();
  UniqueFd fd(::ioctl(fd_.get(), KVM_CREATE_VCPU, static_cast<unsigned long>(index_of(index))));
  if (!fd) {
    const int why = errno;
    const bool too_many = why == EINVAL && index_of(index) >= limit;
    return Failure(in_vcpu(host_error("KVM_CREATE_VCPU", why,
                                      too_many ? fmt::format("this host's KVM allows {} vCPUs in a VM", limit)
                                      : why == EMFILE ? "raise the limit of open files (ulimit -n)"
                                                      : "")
                               .value()));
  }
  auto vcpu = VcpuFd::adopt(std::move(fd), system_->run_area_bytes());
  if (!vcpu) return Failure(in_vcpu(vcpu.error()));
  if (auto ok = vcpu->set_cpuid(vcpu_cpuid(system_->supported_cpuid(), index, cpuid)); !ok) {
    return Failure(in_vcpu(ok.error()));
  }
  return vcpu;
}

}  // namespace vmm
