#include "vmm/kvm/vcpu.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <vector>

#include "vmm/check.h"
#include "vmm/kvm/ioctl_numbers.h"
#include "vmm/kvm/tsc.h"
#include "vmm/run/retry.h"

namespace vmm {

namespace {

// Measured here: to have KVM write all three costs 0.3 µs of a 9.6 µs exit (CPL 0), of which the segment
// registers are 0.2 µs; an ioctl to see one of them costs 6 µs. Events are looked at for every interrupt.
constexpr uint64_t kAlwaysWritten = KVM_SYNC_X86_EVENTS;

// What KVM leaves out of the events that it writes, because they have no place for an instruction's length.
bool is_hidden(const kvm_vcpu_events& events) {
  constexpr uint8_t kBreakpoint = 3;
  constexpr uint8_t kOverflow = 4;
  const bool exception = events.exception.injected != 0 || events.exception.pending != 0;
  return (events.interrupt.injected != 0 && events.interrupt.soft != 0) ||
         (exception && (events.exception.nr == kBreakpoint || events.exception.nr == kOverflow));
}

bool is_access(const kvm_run& area) {
  return area.exit_reason == KVM_EXIT_MMIO || area.exit_reason == KVM_EXIT_IO;
}

}  // namespace

VcpuFd::VcpuFd(UniqueFd fd, Mapping mapping)
    : fd_(std::move(fd)), mapping_(std::move(mapping)), area_(reinterpret_cast<kvm_run*>(mapping_.data())) {}

Result<VcpuFd> VcpuFd::adopt(UniqueFd fd, size_t run_area_bytes) {
  auto mapping = Mapping::shared(fd.get(), run_area_bytes);
  if (!mapping) return Failure(mapping.error());
  VcpuFd vcpu(std::move(fd), std::move(*mapping));
  auto& synced = vcpu.area_->s.regs;
  if (::ioctl(vcpu.fd(), KVM_GET_REGS, &synced.regs) != 0) return host_error("KVM_GET_REGS", errno);
  if (::ioctl(vcpu.fd(), KVM_GET_SREGS, &synced.sregs) != 0) return host_error("KVM_GET_SREGS", errno);
  if (::ioctl(vcpu.fd(), KVM_GET_VCPU_EVENTS, &synced.events) != 0) {
    return host_error("KVM_GET_VCPU_EVENTS", errno);
  }
  vcpu.area_->kvm_valid_regs = kAlwaysWritten;
  return vcpu;
}

void VcpuFd::note_entry() {
  entered_at_.reset();
  if ((fresh_ & KVM_SYNC_X86_REGS) != 0) entered_at_ = area_->s.regs.regs.rip;
  if ((area_->kvm_dirty_regs & KVM_SYNC_X86_EVENTS) != 0) hidden_waits_ = is_hidden(events());
}

void VcpuFd::note_end(int error, bool was_access) {
  fresh_ = area_->kvm_valid_regs;
  // The guest ran, if this is not the next access of the instruction that KVM had to finish first.
  const bool ran = error == 0 && !(was_access && is_access(*area_));
  if (ran) hidden_waits_ = extint_queued_ = false;
  if (error != EINTR) return;
  if (area_->ready_for_interrupt_injection != 0) hidden_waits_ = false;
  area_->exit_reason = KVM_EXIT_INTR;  // immediate_exit leaves that of the exit before
}

int VcpuFd::run() {
  note_entry();
  if (fetch_error_ != 0) [[unlikely]]
    return fetch_error_;  // what was made of the registers is wrong
  if (only_finish_) request_exit();
  const bool was_access = is_access(*area_);
  constexpr int kTries = 16;  // where the host is short of memory
  int error = ENOMEM;
  for (int tries = kTries; error == ENOMEM && tries > 0; --tries) {
    error = ::ioctl(fd_.get(), KVM_RUN, 0) == 0 ? 0 : errno;
  }
  note_end(error, was_access);
  if (!only_finish_) return error;
  clear_exit_request();
  return error == EINTR ? kOnlyFinished : error;
}

void VcpuFd::fetch_regs() const {
  const int error = retried([this] { return ::ioctl(fd(), KVM_GET_REGS, &area_->s.regs.regs); });
  if (error != 0) fetch_error_ = error;
  fresh_ |= KVM_SYNC_X86_REGS;
}

void VcpuFd::fetch_sregs() const {
  const int error = retried([this] { return ::ioctl(fd(), KVM_GET_SREGS, &area_->s.regs.sregs); });
  if (error != 0) fetch_error_ = error;
  fresh_ |= KVM_SYNC_X86_SREGS;
}

kvm_regs& VcpuFd::mutable_regs() {
  (void)regs();  // what is not changed goes back as it is
  area_->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
  return area_->s.regs.regs;
}

kvm_sregs& VcpuFd::mutable_sregs() {
  (void)sregs();
  area_->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
  return area_->s.regs.sregs;
}

kvm_vcpu_events& VcpuFd::mutable_events() {
  area_->kvm_dirty_regs |= KVM_SYNC_X86_EVENTS;
  return area_->s.regs.events;
}

// Does the next entry deliver an exception (or re-deliver an NMI)?
bool VcpuFd::exception_comes() const {
  const bool msr = area_->exit_reason == KVM_EXIT_X86_RDMSR || area_->exit_reason == KVM_EXIT_X86_WRMSR;
  const kvm_vcpu_events& now = events();
  return (msr && area_->msr.error != 0) || now.exception.injected != 0 || now.exception.pending != 0 ||
         now.nmi.injected != 0;
}

bool VcpuFd::is_unfinished() const {
  switch (area_->exit_reason) {
    case KVM_EXIT_IO:
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
      return true;
    case KVM_EXIT_MMIO:
      return area_->mmio.is_write == 0;
    default:
      return false;
  }
}

VcpuFd::Injection VcpuFd::injection() const {
  const bool takes = area_->ready_for_interrupt_injection != 0 && !injection_pending() && !exception_comes();
  if (!takes) return Injection::kNotNow;
  return is_unfinished() ? Injection::kOnceFinished : Injection::kNow;
}

void VcpuFd::inject_interrupt(apic::Vector vector) {
  KVMUX_CHECK(can_inject(), "an interrupt is injected only where the guest can take it");
  auto& interrupt = mutable_events().interrupt;
  interrupt.injected = 1;
  interrupt.nr = apic::raw(vector);
  interrupt.soft = 0;
}

int VcpuFd::queue_extint(apic::Vector vector) {
  KVMUX_CHECK(can_queue_extint(), "an interrupt of the 8259s is queued when the one before was taken");
  kvm_interrupt interrupt{apic::raw(vector)};
  if (::ioctl(fd(), KVM_INTERRUPT, &interrupt) != 0) return errno;
  extint_queued_ = true;
  return 0;
}

int VcpuFd::inject_nmi() {
  if (hidden_waits_) {
    // KVM counts this one itself; what is written to the events after it must leave its count alone.
    area_->s.regs.events.flags &= ~uint32_t{KVM_VCPUEVENT_VALID_NMI_PENDING};
    return retried([this] { return ::ioctl(fd(), KVM_NMI, 0); });
  }
  auto& wanted = mutable_events();
  const bool one_in_work = wanted.nmi.injected != 0 || wanted.nmi.masked != 0;
  const unsigned room = one_in_work ? 1 : 2;
  wanted.nmi.pending = static_cast<uint8_t>(std::min(room, wanted.nmi.pending + 1u));
  wanted.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
  return 0;
}

bool VcpuFd::event_waits() const {
  const kvm_vcpu_events& now = events();
  return hidden_waits_ || exception_comes() || injection_pending() ||
         (now.nmi.pending != 0 && now.nmi.masked == 0) || now.smi.pending != 0;
}

void VcpuFd::finish_instruction() {
  // A string instruction exits for each of its elements; KVM goes on to 1,024 of them without entering.
  constexpr int kMostExits = 4096;
  only_finish(true);
  for (int exits = 0; exits < kMostExits; ++exits) {
    // A write to MMIO that crosses pages is two of them.
    if ((!is_unfinished() && !is_access(*area_)) || run() != 0) break;
  }
  only_finish(false);
  area_->exit_reason = KVM_EXIT_INTR;
}

void VcpuFd::request_exit() {
  // Partner: clear_exit_request() and what the lease holder looks at after it.
  std::atomic_ref<uint8_t>(area_->immediate_exit).store(1, std::memory_order_seq_cst);
}

void VcpuFd::clear_exit_request() {
  // Most often there is none, and to look is cheaper than to store. Partner: request_exit(). Looks at pending
  // work made after this store see all that was done before a request that this store wiped out.
  const std::atomic_ref<uint8_t> request(area_->immediate_exit);
  if (request.load(std::memory_order_relaxed) != 0) request.store(0, std::memory_order_seq_cst);
}

Result<void> VcpuFd::set_cpuid(std::span<const kvm_cpuid_entry2> entries) {
  const CpuidHead head{static_cast<uint32_t>(entries.size()), 0};
  std::vector<std::byte> buffer(sizeof(head) + entries.size_bytes());
  std::memcpy(buffer.data(), &head, sizeof(head));
  std::memcpy(buffer.data() + sizeof(head), entries.data(), entries.size_bytes());
  if (::ioctl(fd(), kKvmSetCpuid2, buffer.data()) != 0) return host_error("KVM_SET_CPUID2", errno);
  return {};
}

Result<void> VcpuFd::make_runnable() {
  kvm_mp_state state{KVM_MP_STATE_RUNNABLE};
  if (::ioctl(fd(), KVM_SET_MP_STATE, &state) != 0) return host_error("KVM_SET_MP_STATE", errno);
  return {};
}

Result<uint64_t> VcpuFd::tsc_khz() const {
  const int khz = ::ioctl(fd(), KVM_GET_TSC_KHZ, 0);
  if (khz > 0) return static_cast<uint64_t>(khz);
  return host_error("KVM_GET_TSC_KHZ", khz < 0 ? errno : 0, "the host has no TSC of known rate");
}

Result<uint64_t> VcpuFd::tsc_offset() const {
  uint64_t offset = 0;
  kvm_device_attr attribute{};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  attribute.addr = reinterpret_cast<uint64_t>(&offset);
  if (::ioctl(fd(), KVM_GET_DEVICE_ATTR, &attribute) == 0) return offset;
  // Before Linux 5.16: read the guest's TSC between two looks at the host's.
  struct {
    uint32_t count;
    uint32_t pad;
    kvm_msr_entry entry;
  } msrs{1, 0, {kMsrTsc, 0, 0}};
  const uint64_t before = __builtin_ia32_rdtsc();
  if (::ioctl(fd(), kKvmGetMsrs, &msrs) != 1)
    return host_error("KVM_GET_MSRS", errno, "cannot read the guest's TSC");
  const uint64_t after = __builtin_ia32_rdtsc();
  return msrs.entry.data - (before + (after - before) / 2);
}

}  // namespace vmm
