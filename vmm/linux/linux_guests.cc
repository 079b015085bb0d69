#include "vmm/linux/linux_guests.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "vmm/linux/guest_image.h"
#include "vmm/load/elf.h"
#include "vmm/run/retry.h"
#include "vmm/sandbox/sandbox.h"

namespace vmm {
namespace {

// The files and what is made of them; the image points into it.
struct Files {
  std::vector<std::byte> kernel;
  std::vector<std::byte> initrd;
  std::vector<BootModule> modules;
};

Result<BootImage> read_files(const LinuxGuest& guest, Files& files) {
  auto kernel = read_image_file(guest.kernel);
  if (!kernel) return Failure(kernel.error());
  files.kernel = std::move(*kernel);
  if (!guest.initrd.empty()) {
    auto initrd = read_image_file(guest.initrd);
    if (!initrd) return Failure(initrd.error());
    files.initrd = std::move(*initrd);
    files.modules.push_back({files.initrd, guest.initrd});
  }
  const auto known = sandbox::in_loader([&] { return check_kernel(files.kernel); });
  if (!known) {
    Error error = known.error();
    error.operation = "--guest linux,kernel=" + guest.kernel;
    return Failure(std::move(error));
  }
  BootImage image;
  image.file = files.kernel;
  image.modules = files.modules;
  image.cmdline = kernel_cmdline(guest);
  return image;
}

// False: a signal came.
Result<bool> wait_for(int bell, Nanos wait) {
  const timespec limit = to_timespec(std::max(Nanos{}, wait));
  pollfd fd{bell, POLLIN, 0};
  bool interrupted = false;
  const int error = retried([&] {
    const int ready = interrupted ? 0 : ::ppoll(&fd, 1, &limit, nullptr);
    interrupted = ready < 0 && errno == EINTR;
    return interrupted ? 0 : ready;
  });
  if (error != 0) return host_error("ppoll", error, "the boards' devices cannot be served");
  return !interrupted;
}

}  // namespace

Result<std::unique_ptr<RunVm>> LinuxGuests::make(const System& system, const RunVmSetup& setup,
                                                 Engine& engine) {
  const auto in_vm = [&](const Error& error) { return Failure(error.in(setup.options.id)); };
  if (wakeup_ == nullptr) {
    auto wakeup = Wakeup::create();
    if (!wakeup) return Failure(wakeup.error());
    wakeup_ = std::move(*wakeup);
    engine.trouble().on_report([&bell = *wakeup_] { bell.ring(); });
  }
  Files files;
  const auto image = read_files(*setup.spec.linux_guest, files);
  if (!image) return in_vm(image.error());
  auto inbox = std::make_unique<LinuxInbox>(*wakeup_);
  auto pc = make_pc_vm(system,
                       {.options = setup.options,
                        .first = setup.first,
                        .memory_bytes = setup.spec.memory_bytes,
                        .vcpus = setup.spec.vcpus,
                        .cpu_profile = CpuProfile::kHost,
                        .paravirt = spec_.paravirt ? Paravirt::kKvm : Paravirt::kNone},
                       *image, engine, inbox->outlets());
  if (!pc) return in_vm(pc.error());
  auto vm = std::make_unique<LinuxVm>(std::move(inbox), std::move(*pc), spec_, setup.spec);
  vms_.push_back(vm.get());
  return vm;
}

Result<void> LinuxGuests::serve(Nanos until) {
  for (;;) {
    const Nanos now = monotonic_now();
    Nanos next = until;
    bool changed = false;
    for (LinuxVm* vm : vms_) {
      changed = vm->serve(now) || changed;
      next = std::min(next, vm->next_deadline().value_or(sched::kForever));
    }
    if (changed || now >= until) return {};
    const auto waited = wait_for(wakeup_->fd(), next - now);
    if (!waited) return Failure(waited.error());
    if (!*waited) return {};
    (void)wakeup_->take();
  }
}

PcGuests::Standing LinuxGuests::standing() const {
  Standing all = Standing::kReady;
  for (const LinuxVm* vm : vms_) {
    const Standing its = vm->standing();
    if (its == Standing::kFailed) return its;
    if (its == Standing::kBooting) all = its;
  }
  return all;
}

PcGuests::NotReady LinuxGuests::why_not_ready(Nanos limit) const {
  const auto has = [this](Standing standing) {
    return std::find_if(vms_.begin(), vms_.end(),
                        [standing](const LinuxVm* vm) { return vm->standing() == standing; });
  };
  auto found = has(Standing::kFailed);
  if (found == vms_.end()) found = has(Standing::kBooting);
  if (found == vms_.end()) return {guest_error("boot", "its VMs ended").value(), {}};
  const LinuxVm& vm = **found;
  const auto lines = vm.last_lines();
  std::string why = vm.why_not_ready(limit);
  why += lines.empty() ? "; its console is empty" : fmt::format("; its console ends with '{}'", lines.back());
  std::string shown;
  for (const std::string& line : lines) shown += fmt::format("vm{}| {}\n", index_of(vm.vm().id()), line);
  return {guest_error("boot", std::move(why)).value().in(vm.vm().id()), std::move(shown)};
}

void LinuxGuests::go() {
  for (LinuxVm* vm : vms_) vm->go();
  wakeup_->ring();
}

void LinuxGuests::ask() {
  for (LinuxVm* vm : vms_) vm->ask();
  wakeup_->ring();
}

bool LinuxGuests::answered() const {
  return std::all_of(vms_.begin(), vms_.end(), [](const LinuxVm* vm) { return vm->answered(); });
}

std::unique_ptr<PcGuests> make_linux_guests(const RunSpec& spec) {
  return std::make_unique<LinuxGuests>(spec);
}

}  // namespace vmm
