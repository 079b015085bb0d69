#include "vmm/kvm/capability.h"

#include <fmt/format.h>
#include <linux/kvm.h>

#include <algorithm>

#include "vmm/check.h"

namespace vmm {

namespace {

constexpr int kAllSyncRegs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;

using enum CapabilityUse;

constexpr CapabilityInfo kKnown[] = {
    {"KVM_CAP_USER_MEMORY", KVM_CAP_USER_MEMORY, kRequired, 0, "guest memory"},
    {"KVM_CAP_EXT_CPUID", KVM_CAP_EXT_CPUID, kRequired, 0, "CPUID of the vCPUs"},
    {"KVM_CAP_SYNC_REGS", KVM_CAP_SYNC_REGS, kRequired, kAllSyncRegs,
     "registers and injection without extra system calls (Linux 4.17)"},
    {"KVM_CAP_IMMEDIATE_EXIT", KVM_CAP_IMMEDIATE_EXIT, kRequired, 0,
     "preemption without lost signals (Linux 4.13)"},
    {"KVM_CAP_VCPU_EVENTS", KVM_CAP_VCPU_EVENTS, kRequired, 0, "interrupt and NMI injection"},
    {"KVM_CAP_X86_USER_SPACE_MSR", KVM_CAP_X86_USER_SPACE_MSR, kRequired, 0,
     "x2APIC in user space (Linux 5.10)"},
    {"KVM_CAP_X86_MSR_FILTER", KVM_CAP_X86_MSR_FILTER, kRequired, 0,
     "APIC base and TSC deadline in user space (Linux 5.10)"},
    {"KVM_CAP_GET_TSC_KHZ", KVM_CAP_GET_TSC_KHZ, kRequired, 0, "the guests' clock rate"},
    {"KVM_CAP_X86_DISABLE_EXITS", KVM_CAP_X86_DISABLE_EXITS, kOptional, KVM_X86_DISABLE_EXITS_PAUSE,
     "no yielding by the host inside PAUSE loops at CPL 0"},
    {"KVM_CAP_EXIT_ON_EMULATION_FAILURE", KVM_CAP_EXIT_ON_EMULATION_FAILURE, kOptional, 0,
     "completing instructions that KVM cannot emulate (Linux 5.14)"},
    {"KVM_CAP_SPLIT_IRQCHIP", KVM_CAP_SPLIT_IRQCHIP, kOptional, 0, "the LAPIC inside KVM: --irqchip split"},
    {"KVM_CAP_X2APIC_API", KVM_CAP_X2APIC_API, kOptional, 0, "--irqchip split with more than 255 vCPUs"},
    {"KVM_CAP_SET_TSS_ADDR", KVM_CAP_SET_TSS_ADDR, kOptional, 0, "real mode on older Intel CPUs"},
    {"KVM_CAP_SET_IDENTITY_MAP_ADDR", KVM_CAP_SET_IDENTITY_MAP_ADDR, kOptional, 0,
     "real mode on older Intel CPUs"},
    {"KVM_CAP_TSC_CONTROL", KVM_CAP_TSC_CONTROL, kOptional, 0, "a TSC rate other than the host's"},
    {"KVM_CAP_TSC_DEADLINE_TIMER", KVM_CAP_TSC_DEADLINE_TIMER, kOptional, 0,
     "TSC-deadline timers with --irqchip split"},
    {"KVM_CAP_NR_VCPUS", KVM_CAP_NR_VCPUS, kLimit, 0, "recommended vCPUs of one VM"},
    {"KVM_CAP_MAX_VCPUS", KVM_CAP_MAX_VCPUS, kLimit, 0, "most vCPUs of one VM"},
    {"KVM_CAP_MAX_VCPU_ID", KVM_CAP_MAX_VCPU_ID, kLimit, 0, "first vCPU id that is too high"},
};

}  // namespace

bool Capability::present() const { return value > 0 && (value & info->needed_bits) == info->needed_bits; }

std::span<const CapabilityInfo> Capabilities::known() { return kKnown; }

int Capabilities::value(int number) const {
  const auto it = std::ranges::find(table_, number, [](const Capability& c) { return c.info->number; });
  KVMUX_CHECK(it != table_.end(), "only listed capabilities are asked for");
  return it->value;
}

bool Capabilities::has(int number) const {
  const auto it = std::ranges::find(table_, number, [](const Capability& c) { return c.info->number; });
  KVMUX_CHECK(it != table_.end(), "only listed capabilities are asked for");
  return it->present();
}

Result<void> Capabilities::check_required() const {
  std::string missing;
  for (const Capability& c : table_) {
    if (c.info->use != kRequired || c.present()) continue;
    missing += fmt::format(
        "{}{} ({}{}; for {})", missing.empty() ? "" : ", ", c.info->name, c.info->number,
        c.value > 0 ? fmt::format(", answers {:#x}, needs {:#x}", c.value, c.info->needed_bits) : "",
        c.info->why);
  }
  if (missing.empty()) return {};
  return host_error("check KVM's capabilities", 0,
                    "missing " + missing + "; Linux 5.10 or newer has them all");
}

// Kernels without KVM_CAP_MAX_VCPUS allow as many as they recommend (KVM API, 4.7).
uint32_t Capabilities::max_vcpus() const {
  const int limit = value(KVM_CAP_MAX_VCPUS);
  return limit > 0 ? static_cast<uint32_t>(limit) : recommended_vcpus();
}

// 4 is what the KVM API (4.7) tells to assume if the capability is missing.
uint32_t Capabilities::recommended_vcpus() const {
  const int advice = value(KVM_CAP_NR_VCPUS);
  return advice > 0 ? static_cast<uint32_t>(advice) : 4;
}

bool Capabilities::can_disable_pause_exits() const { return has(KVM_CAP_X86_DISABLE_EXITS); }

}  // namespace vmm
