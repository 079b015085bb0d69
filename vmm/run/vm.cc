#include "vmm/run/vm.h"

#include <algorithm>

namespace vmm {
namespace {

bool has_tsc_deadline(const System& system, bool lapic_in_kernel) {
  return !lapic_in_kernel || system.capabilities().has(KVM_CAP_TSC_DEADLINE_TIMER);
}

void disable(Vcpu& vcpu) {
  constexpr uint32_t kApicBaseMsr = 0x1b;  // SDM vol. 4: IA32_APIC_BASE
  const bool done = vcpu.lapic.write_msr(kApicBaseMsr, 0, vcpu.clock(Nanos{})).has_value();
  KVMUX_CHECK(done, "a local APIC can be disabled in any mode");
}

}  // namespace

Result<std::unique_ptr<Vm>> Vm::create(const System& system, const VmOptions& options, uint64_t memory_bytes,
                                       sched::VcpuId first) {
  auto memory = GuestMemory::allocate(memory_bytes);
  if (!memory) return Failure(memory.error().in(options.id));
  auto fd = VmFd::create(system, options);
  if (!fd) return Failure(fd.error().in(options.id));
  if (auto mapped = fd->map_memory(*memory); !mapped) return Failure(mapped.error().in(options.id));
  return std::unique_ptr<Vm>(new Vm(std::move(*fd), std::move(*memory), first, system));
}

Result<void> Vm::add_vcpus(uint32_t count, CpuProfile profile, Paravirt paravirt) {
  const bool in_kernel = fd_.options().lapic == LapicPlace::kKernel;
  const bool own_steal = fd_.options().own_steal_time && paravirt == Paravirt::kKvm;
  for (uint32_t i = 0; i < count; ++i) {
    const VcpuIndex index{i};
    const auto named = [&](const Error& error) { return Failure(error.in(id(), index)); };
    auto kvm = fd_.create_vcpu(
        index, {.profile = profile,
                .vcpu_count = count,
                .tsc_deadline = has_tsc_deadline(*system_, in_kernel),
                .paravirt = paravirt,
                .own_steal_time = own_steal});
    if (!kvm) return named(kvm.error());
    const auto khz = kvm->tsc_khz();
    if (!khz) return named(khz.error());
    tsc_khz_ = *khz;
    const auto offset = kvm->tsc_offset();
    if (!offset) return named(offset.error());
    const apic::LapicConfig config{.id = apic::ApicId{i}, .is_bsp = i == 0, .tsc_khz = *khz};
    vcpus_.push_back(std::make_unique<Vcpu>(sched::VcpuId{index_of(first_) + i}, id(), index, count,
                                            std::move(*kvm), config, *offset));
    lapics_.push_back(&vcpus_.back()->lapic);
    if (in_kernel) disable(*vcpus_.back());
    if (own_steal) vcpus_.back()->steal.emplace(memory_);
  }
  return {};
}

bool Vm::end_with_failure(std::string why) {
  sched::MutexLock lock(mutex_);
  if (ended()) return false;
  failure_ = std::move(why);
  ended_.store(true, std::memory_order_release);  // partner: ended()
  return true;
}

bool Vm::end_with_code(int code) {
  sched::MutexLock lock(mutex_);
  if (ended()) return false;
  exit_code_ = code;
  ended_.store(true, std::memory_order_release);  // partner: ended()
  return true;
}

std::string Vm::failure() const {
  sched::MutexLock lock(mutex_);
  return failure_;
}

std::optional<int> Vm::exit_code() const {
  sched::MutexLock lock(mutex_);
  return exit_code_;
}

bool Vm::vcpu_stopped(uint64_t code) {
  uint64_t worst = worst_code_.load();
  while (code > worst && !worst_code_.compare_exchange_weak(worst, code)) {
  }
  if (stopped_.fetch_add(1) + 1 < vcpu_count()) return false;
  return end_with_code(static_cast<int>(std::min<uint64_t>(worst_code_.load(), 255)));
}

}  // namespace vmm
