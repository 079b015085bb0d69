#include "vmm/run/tiny_vm.h"

#include <algorithm>
#include <cstring>

#include "guest/embedded.h"
#include "vmm/load/elf.h"
#include "vmm/load/long_mode.h"
#include "vmm/sandbox/sandbox.h"

namespace vmm {
namespace {

struct Image {
  std::vector<std::byte> owned;  // of a file; embedded images need none
  std::span<const std::byte> bytes;
};

Result<Image> find_image(const std::string& guest) {
  if (const auto embedded = guests::find(guest)) return Image{{}, embedded->image};
  auto file = read_image_file(guest);
  if (!file) return Failure(file.error());
  Image image{std::move(*file), {}};
  image.bytes = image.owned;
  return image;
}

// Files come from anybody: they are parsed where there is nothing to win.
template <class Parse>
auto parse_image(const Image& image, Parse parse) {
  return image.owned.empty() ? parse() : sandbox::in_loader(parse);
}

kvmux_boot_info boot_info(const TinyVmSetup& setup, const TinyVm& tiny, Gpa image_end) {
  kvmux_boot_info info{};
  describe_layout(tiny.plan, image_end, info);
  info.vm_id = index_of(setup.options.id);
  info.ring = setup.spec.ring;
  info.flags =
      setup.options.lapic == LapicPlace::kUserSpace ? KVMUX_BOOT_ICR64 : 0;  // KVM's takes no such store
  info.seed = setup.seed;
  info.tsc_khz = tiny.vm->tsc_khz();
  info.delay_iters_per_ms = static_cast<uint64_t>(setup.calibration.delay_iters_per_ms);
  info.pauses_per_ms = static_cast<uint64_t>(setup.calibration.pauses_per_ms);
  info.spin_window_ns = static_cast<uint64_t>(setup.spin_window.count());
  info.workload = setup.spec.workload;
  info.revision = KVMUX_ABI_REVISION;
  std::memcpy(info.args, setup.spec.args.data(), std::min(setup.spec.args.size(), sizeof(info.args) - 1));
  return info;
}

Result<void> fill(const TinyVmSetup& setup, const Image& image, const ElfImage& elf, TinyVm& tiny) {
  const GuestMemory& memory = tiny.vm->memory();
  auto loaded = parse_image(image, [&] { return load_elf64(image.bytes, elf, memory, tiny.plan.guest_end); });
  if (!loaded) return loaded;
  if (auto tables = write_tables(tiny.plan, memory); !tables) return tables;
  if (auto added = tiny.vm->add_vcpus(setup.spec.vcpus, CpuProfile::kHost); !added) return added;
  if (auto stored = memory.store(tiny.plan.boot_info(), boot_info(setup, tiny, elf.end)); !stored)
    return stored;
  for (uint32_t i = 0; i < setup.spec.vcpus; ++i) {
    Vcpu& vcpu = tiny.vm->vcpu(VcpuIndex{i});
    if (setup.options.lapic == LapicPlace::kKernel) {
      if (auto awake = vcpu.kvm.make_runnable(); !awake) {
        return Failure(awake.error().in(setup.options.id, VcpuIndex{i}));
      }
    }
    if (tiny.plan.has_marks) {
      std::byte* ring = memory.host_base() + tiny.plan.marks(VcpuIndex{i}).value;
      vcpu.marks = GuestMarks(reinterpret_cast<kvmux_mark_ring*>(ring),
                              static_cast<double>(tiny.vm->tsc_khz()));
    }
    enter_long_mode(tiny.plan, VcpuIndex{i}, elf.entry, vcpu.kvm.mutable_regs(), vcpu.kvm.mutable_sregs());
  }
  return {};
}

}  // namespace

kvmux_vcpu_results TinyVm::results(VcpuIndex index) const {
  return vm->memory().load<kvmux_vcpu_results>(plan.results(index)).value();  // the plan lies inside memory
}

std::atomic<uint64_t>* TinyVm::vcpus_running() const {
  std::byte* info = vm->memory().host_base() + plan.boot_info().value;
  return reinterpret_cast<std::atomic<uint64_t>*>(info + offsetof(kvmux_boot_info, vcpus_running));
}

sched::GuestPages TinyVm::pages() const {
  static_assert(sizeof(sched::GuestPage) == sizeof(kvmux_sync));
  static_assert(offsetof(sched::GuestPage, told) == offsetof(kvmux_sync, told));
  static_assert(offsetof(sched::GuestPage, acks) == offsetof(kvmux_sync, acks));
  static_assert(sched::kTellsPreempted == KVMUX_TELLS_PREEMPTED && sched::kTellsTurnEnd == KVMUX_TELLS_TURN_END &&
                sched::kHearsAsks == KVMUX_HEARS_ASKS);
  static_assert(static_cast<int>(sched::GuestWait::kWork) == KVMUX_WAITS_WORK);
  std::byte* first = vm->memory().host_base() + plan.results(VcpuIndex{0}).value;
  return {first + offsetof(kvmux_vcpu_results, sync), sizeof(kvmux_vcpu_results), vm->vcpu_count()};
}

Result<TinyVm> make_tiny_vm(const System& system, const TinyVmSetup& setup, Notifier& notifier,
                            Console& console) {
  const auto in_vm = [&](const Error& error) { return Failure(error.in(setup.options.id)); };
  const auto image = find_image(setup.spec.guest);
  if (!image) return in_vm(image.error());
  const auto elf = parse_image(*image, [&] { return parse_elf64(image->bytes); });
  if (!elf) return in_vm(elf.error());
  const auto plan = plan_layout({setup.spec.vcpus, setup.spec.memory_bytes, elf->end, setup.marks});
  if (!plan) return in_vm(plan.error());
  auto vm = Vm::create(system, setup.options, plan->memory_bytes, setup.first);
  if (!vm) return Failure(vm.error());
  TinyVm tiny{std::move(*vm), nullptr, *plan};
  if (auto filled = fill(setup, *image, *elf, tiny); !filled) return in_vm(filled.error());
  tiny.board = std::make_unique<TinyBoard>(*tiny.vm, notifier, console);
  return tiny;
}

}  // namespace vmm
