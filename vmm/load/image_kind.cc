#include "vmm/load/image_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "vmm/load/linux_boot.h"
#include "vmm/load/multiboot.h"
#include "vmm/load/multiboot2.h"
#include "vmm/load/pvh.h"
#include "vmm/load/vmlinux.h"

namespace vmm {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kUnpack = "unpack it first";
constexpr std::string_view kDisk = "there is no disk: take kernel and initrd out of it";
constexpr std::string_view kBoot = "`kvmux boot` starts it as such";
constexpr std::string_view kBootLinux =
    "`kvmux boot` starts it as such, and so does --guest linux,kernel=FILE";
constexpr std::string_view kOtherMachine = "it needs another processor: take an x86 build";

struct Magic {
  uint64_t offset;
  std::string_view bytes;
  ForeignKind kind;
};

constexpr std::array kMagics{
    Magic{0, "\x1f\x8b\x08"sv, {"a gzip file", kUnpack, true}},
    Magic{0,
          "\xfd"
          "7zXZ\0"sv,
          {"an xz file", kUnpack, true}},
    Magic{0, "\x28\xb5\x2f\xfd"sv, {"a zstd file", kUnpack, true}},
    Magic{0, "\x04\x22\x4d\x18"sv, {"an lz4 file", kUnpack, true}},
    Magic{0, "\x02\x21\x4c\x18"sv, {"an lz4 file", kUnpack, true}},
    Magic{0, "BZh"sv, {"a bzip2 file", kUnpack, true}},
    Magic{0, "\x89LZO\0\r\n"sv, {"an lzop file", kUnpack, true}},
    Magic{0, "\x5d\0\0"sv, {"an lzma file", kUnpack, true}},
    Magic{0, "PK\x03\x04"sv, {"a zip archive", kUnpack}},
    Magic{0, "7z\xbc\xaf\x27\x1c"sv, {"a 7z archive", kUnpack}},
    Magic{257, "ustar"sv, {"a tar archive", kUnpack}},
    Magic{0, "!<arch>\n"sv, {"an ar archive (static library or Debian package)", kUnpack}},
    Magic{0, "\xed\xab\xee\xdb"sv, {"an RPM package", kUnpack}},
    Magic{0, "070701"sv, {"an initramfs (cpio archive)", "give it by --initrd, beside a kernel", true}},
    Magic{0, "070702"sv, {"an initramfs (cpio archive)", "give it by --initrd, beside a kernel", true}},
    Magic{0, "070707"sv, {"a cpio archive", "give it by --initrd, beside a kernel", true}},
    Magic{0, "hsqs"sv, {"a squashfs file system", kDisk, true}},
    Magic{0x8001, "CD001"sv, {"an ISO 9660 image", kDisk}},
    Magic{0, "QFI\xfb"sv, {"a qcow2 disk image", kDisk}},
    Magic{0, "KDMV"sv, {"a VMDK disk image", kDisk}},
    Magic{0, "vhdxfile"sv, {"a VHDX disk image", kDisk}},
    Magic{0, "conectix"sv, {"a VHD disk image", kDisk}},
    Magic{0x40, "\x7f\x10\xda\xbe"sv, {"a VDI disk image", kDisk}},
    Magic{512, "EFI PART"sv, {"a disk image with a GPT", kDisk}},
    Magic{0x38, "ARM\x64"sv, {"a Linux kernel for ARM64", kOtherMachine}},
    Magic{0x38, "RSC\x05"sv, {"a Linux kernel for RISC-V", kOtherMachine}},
    Magic{0, "\x27\x05\x19\x56"sv, {"a U-Boot image", "take the kernel in it, as ELF or bzImage"}},
    Magic{0, "\xd0\x0d\xfe\xed"sv, {"a device tree", "PCs have none: give a kernel"}},
    Magic{0, "\xcf\xfa\xed\xfe"sv, {"a Mach-O executable", "link it as ELF"}},
    Magic{0, "\xce\xfa\xed\xfe"sv, {"a Mach-O executable", "link it as ELF"}},
    Magic{0, "BC\xc0\xde"sv, {"LLVM bitcode", "compile and link it first"}},
    Magic{0, "\0asm"sv, {"a WebAssembly module", "give a kernel"}},
    Magic{0, "#!"sv, {"a script", "there is no shell: give a kernel"}},
};

bool has(ImageBytes file, uint64_t offset, std::string_view bytes) {
  return inside(file, offset, bytes.size()) &&
         std::memcmp(file.data() + offset, bytes.data(), bytes.size()) == 0;
}

// In the order in which boot_image.h asks.
std::optional<ForeignKind> kernel_kind(ImageBytes file) {
  if (is_linux(file)) return ForeignKind{"a Linux kernel (bzImage)", kBootLinux};
  if (find_multiboot(file)) return ForeignKind{"a Multiboot kernel", kBoot};
  if (is_pvh(file)) return ForeignKind{"a kernel with a PVH entry", kBootLinux};
  if (find_multiboot2(file)) return ForeignKind{"a Multiboot 2 kernel", kBoot};
  if (is_vmlinux(file)) return ForeignKind{"a Linux kernel (vmlinux)", kBootLinux};
  return std::nullopt;
}

// Linux' EFI stub makes a PE file of a bzImage too; that is asked about before.
std::optional<ForeignKind> dos_kind(ImageBytes file) {
  constexpr uint64_t kPeOffset = 0x3c;
  if (!has(file, 0, "MZ")) return std::nullopt;
  const auto pe = read_field<uint32_t>(file, kPeOffset);
  if (!pe) return std::nullopt;
  if (has(file, *pe, "PE\0\0"sv)) {
    return ForeignKind{"a PE executable (Windows or EFI)",
                       "there is no EFI firmware: take an ELF or bzImage"};
  }
  return ForeignKind{"a DOS executable", "there is no DOS: take an ELF, bzImage or flat binary"};
}

// OMAGIC, NMAGIC, ZMAGIC, QMAGIC, for no machine or an i386, with sizes that the file can hold.
std::optional<ForeignKind> aout_kind(ImageBytes file) {
  const auto h = read_field<std::array<uint32_t, 8>>(file, 0);
  if (!h) return std::nullopt;
  const uint32_t magic = (*h)[0] & 0xffff;
  const uint32_t machine = (*h)[0] >> 16 & 0xff;
  const bool known = magic == 0407 || magic == 0410 || magic == 0413 || magic == 0314;
  const bool x86 = machine == 0 || machine == 100 || machine == 134;
  if (!known || !x86 || (*h)[1] == 0 || uint64_t{(*h)[1]} + (*h)[2] > file.size()) return std::nullopt;
  return ForeignKind{"an a.out executable",
                     "link it as ELF, or give it a Multiboot header with address fields"};
}

// All of its beginning is ASCII text or the lead and trail bytes of UTF-8; machine code has zeros and
// controls.
std::optional<ForeignKind> text_kind(ImageBytes file) {
  constexpr size_t kEnough = 16;
  constexpr size_t kLooked = 4096;
  if (file.size() < kEnough) return std::nullopt;
  const auto start = file.first(std::min(file.size(), kLooked));
  size_t high = 0;
  for (const std::byte byte : start) {
    const auto c = static_cast<uint8_t>(byte);
    if ((c < 0x20 && (c < '\t' || c > '\r') && c != 0x1b) || c == 0x7f) return std::nullopt;
    if (c >= 0x80) ++high;
  }
  if (high > start.size() / 2) return std::nullopt;
  return ForeignKind{"a text file", "give a kernel", true};  // as an initrd it is Linux' to judge
}

}  // namespace

std::optional<ForeignKind> foreign_kind(ImageBytes file) {
  for (const Magic& magic : kMagics) {
    if (has(file, magic.offset, magic.bytes)) return magic.kind;
  }
  for (const auto& kind : {kernel_kind(file), dos_kind(file), aout_kind(file), text_kind(file)}) {
    if (kind) return kind;
  }
  return std::nullopt;
}

std::string foreign_words(const ForeignKind& kind) {
  return fmt::format("this is {}: {}", kind.name, kind.advice);
}

}  // namespace vmm
