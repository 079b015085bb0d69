#include "vmm/load/boot_image.h"

#include <fmt/format.h>

#include "vmm/load/image_kind.h"
#include "vmm/load/linux_boot.h"
#include "vmm/load/multiboot.h"
#include "vmm/load/multiboot2.h"
#include "vmm/load/program_headers.h"
#include "vmm/load/pvh.h"
#include "vmm/load/vmlinux.h"
#include "vmm/platform/firmware.h"

namespace vmm {
namespace {

// Registers of guests whose format does not say what they find.
StartRegisters plain_registers(Gpa info) {
  StartRegisters r = multiboot_registers(info);
  r.rdi = info.value;
  r.rsp = kHandoverStart.value;
  return r;
}

Result<StartState> load_plain(const BootImage& boot, const PhysicalImage& image, CpuMode mode,
                              const GuestMemory& memory) {
  if (auto ok = place(boot.file, image, memory); !ok) return Failure(ok.error());
  const auto info = write_multiboot_info(end_of(image), boot.modules, boot.cmdline, memory);
  if (!info) return Failure(info.error());
  return StartState{.mode = mode, .entry = image.entry, .registers = plain_registers(*info)};
}

Result<StartState> load_elf(const BootImage& boot, const GuestMemory& memory) {
  const auto image = parse_elf_physical(boot.file);
  if (!image) return Failure(image.error());
  return load_plain(boot, *image, image->is_64bit ? CpuMode::kLong : CpuMode::kProtected, memory);
}

Result<StartState> load_flat(const BootImage& boot, const GuestMemory& memory) {
  constexpr uint64_t kFirstDisk = 0x80;
  if (boot.file.empty()) return usage_error("load flat image", "the file is empty");
  const PhysicalImage image{.segments = {{boot.flat_address, 0, boot.file.size(), boot.file.size()}},
                            .entry = boot.flat_address};
  const bool real = boot.flat_address < kHighMemoryStart;
  auto start = load_plain(boot, image, real ? CpuMode::kReal : CpuMode::kProtected, memory);
  if (start && real)
    start->registers = {.rdx = kFirstDisk, .rsp = std::min(boot.flat_address.value, uint64_t{0x7c00})};
  return start;
}

// Linux takes one initrd, or none.
Result<ImageBytes> initrd_of(const BootImage& boot) {
  if (boot.modules.size() > 1) {
    return usage_error("--initrd",
                       fmt::format("{} files given, Linux takes one initrd", boot.modules.size()));
  }
  const ImageBytes initrd = boot.modules.empty() ? ImageBytes{} : boot.modules.front().bytes;
  const auto other = foreign_kind(initrd);
  if (other && !other->is_initrd) {
    return usage_error("--initrd", fmt::format("'{}' is {}, accepted is an initramfs, or a file system image",
                                               boot.modules.front().text, other->name));
  }
  return initrd;
}

Result<StartState> load_linux_image(const BootImage& boot, const GuestMemory& memory) {
  const auto image = parse_linux(boot.file);
  if (!image) return Failure(image.error());
  const auto initrd = initrd_of(boot);
  if (!initrd) return Failure(initrd.error());
  return load_linux(boot.file, *image, *initrd, boot.cmdline, memory);
}

Result<StartState> load_vmlinux_image(const BootImage& boot, const GuestMemory& memory) {
  const auto initrd = initrd_of(boot);
  if (!initrd) return Failure(initrd.error());
  return load_vmlinux(boot.file, *initrd, boot.cmdline, memory);
}

Result<StartState> load_multiboot_image(const BootImage& boot, const GuestMemory& memory) {
  const auto header = find_multiboot(boot.file);
  if (!header) return usage_error("load Multiboot image", "no Multiboot header in the first 8 KiB");
  return load_multiboot(boot.file, *header, boot.modules, boot.cmdline, memory);
}

Result<StartState> load_multiboot2_image(const BootImage& boot, const GuestMemory& memory) {
  const auto header = find_multiboot2(boot.file);
  if (!header) return usage_error("load Multiboot 2 image", "no Multiboot 2 header in the first 32 KiB");
  return load_multiboot2(boot.file, *header, boot.modules, boot.cmdline, memory);
}

}  // namespace

BootFormat detect_format(ImageBytes file) {
  if (is_linux(file)) return BootFormat::kLinux;
  if (find_multiboot(file)) return BootFormat::kMultiboot;
  if (is_pvh(file)) return BootFormat::kPvh;
  if (find_multiboot2(file)) return BootFormat::kMultiboot2;
  if (is_vmlinux(file)) return BootFormat::kVmlinux;
  return is_elf(file) ? BootFormat::kElf : BootFormat::kFlat;
}

Result<void> check_kernel(ImageBytes file) {
  if (detect_format(file) != BootFormat::kFlat) return {};
  const auto other = foreign_kind(file);
  return usage_error("load kernel",
                     other ? foreign_words(*other)
                           : "this is no kernel that is known; accepted are a Linux bzImage or vmlinux, and "
                             "Multiboot, PVH and ELF images");
}

Result<StartState> load_boot_image(const BootImage& image, const GuestMemory& memory) {
  const BootFormat format = image.format.value_or(detect_format(image.file));
  const bool is_guess = !image.format && (format == BootFormat::kElf || format == BootFormat::kFlat);
  if (const auto other = is_guess ? foreign_kind(image.file) : std::nullopt) {
    return usage_error("load image",
                       fmt::format("{}; --format {} starts it all the same", foreign_words(*other),
                                   format == BootFormat::kElf ? "elf" : "flat"));
  }
  switch (format) {
    case BootFormat::kLinux:
      return load_linux_image(image, memory);
    case BootFormat::kMultiboot:
      return load_multiboot_image(image, memory);
    case BootFormat::kPvh:
      return load_pvh(image.file, image.modules, image.cmdline, memory);
    case BootFormat::kMultiboot2:
      return load_multiboot2_image(image, memory);
    case BootFormat::kVmlinux:
      return load_vmlinux_image(image, memory);
    case BootFormat::kElf:
      return load_elf(image, memory);
    case BootFormat::kFlat:
      return load_flat(image, memory);
  }
  return usage_error("load image", "unknown format");
}

}  // namespace vmm
