// Files that are no images of ours are named, for `boot` and `run` alike.
#include "vmm/load/image_kind.h"

#include <doctest/doctest.h>
#include <elf.h>

#include "tests/unit/vmm/elf_builder.h"
#include "tests/unit/vmm/multiboot2_bytes.h"
#include "vmm/load/elf.h"

using namespace std::string_view_literals;
using namespace vmm_test;

namespace {

Bytes with(uint64_t offset, std::string_view magic, size_t size = 64) {
  Bytes bytes(std::max<size_t>(size, offset + magic.size()));
  std::memcpy(bytes.data() + offset, magic.data(), magic.size());
  return bytes;
}

// An ELF with a Xen note of this type in its payload.
Bytes noted_elf(uint32_t type) {
  ElfBuilder elf;
  Elf64_Phdr& note = elf.add(0x300000, 24, 24);
  note.p_type = PT_NOTE;
  Bytes bytes = elf.bytes();
  const uint32_t words[] = {4, 8, type, 0x006e6558, 0x100000, 0};
  std::memcpy(bytes.data() + elf.payload_offset(), words, sizeof(words));
  return bytes;
}

// With something in its payload.
Bytes elf_with(const void* bytes, size_t size, uint64_t linked_at = 0x200000) {
  ElfBuilder elf;
  elf.programs[0].p_vaddr = linked_at;
  Bytes file = elf.bytes();
  std::memcpy(file.data() + elf.payload_offset(), bytes, size);
  return file;
}
Bytes multiboot_elf() {
  const uint32_t header[] = {0x1badb002, 0, 0u - 0x1badb002};
  return elf_with(header, sizeof(header));
}
Bytes multiboot2_elf() {
  const Bytes header = multiboot2_header({});
  return elf_with(header.data(), header.size());
}
Bytes vmlinux() { return elf_with("Linux version 6.12", 18, 0xffffffff80200000); }

std::string name_of(const Bytes& file) {
  const auto kind = vmm::foreign_kind(file);
  return kind ? std::string(kind->name) : "nothing";
}

}  // namespace

TEST_CASE("formats that kvmux does not start are named") {
  Bytes pe = with(0, "MZ", 256);
  pe[0x3c] = std::byte{0x80};
  Bytes dos = pe;
  std::memcpy(pe.data() + 0x80, "PE\0\0", 4);
  const uint32_t aout[] = {0413 | 100u << 16, 64, 16, 0, 0, 0x1020, 0, 0};
  const std::pair<Bytes, std::string> cases[] = {
      {with(0, "\x1f\x8b\x08"), "a gzip file"},
      {with(0,
            "\xfd"
            "7zXZ\0"sv),
       "an xz file"},
      {with(0, "\x28\xb5\x2f\xfd"), "a zstd file"},
      {with(0, "\x04\x22\x4d\x18"), "an lz4 file"},
      {with(0, "BZh9"), "a bzip2 file"},
      {with(257, "ustar"), "a tar archive"},
      {with(0, "070701"), "an initramfs (cpio archive)"},
      {with(0x8001, "CD001"), "an ISO 9660 image"},
      {with(0, "QFI\xfb"), "a qcow2 disk image"},
      {with(512, "EFI PART"), "a disk image with a GPT"},
      {with(0x38, "ARM\x64"), "a Linux kernel for ARM64"},
      {with(0, "#!/bin/sh\n"), "a script"},
      {with(0, "\xcf\xfa\xed\xfe"), "a Mach-O executable"},
      {with(0, "menuentry 'a' { linux /vmlinuz }\n", 0), "a text file"},
      {with(0, "eine Datei f\xc3\xbcr Menschen\n", 0), "a text file"},
      {pe, "a PE executable (Windows or EFI)"},
      {dos, "a DOS executable"},
      {with(0, {reinterpret_cast<const char*>(aout), sizeof(aout)}, 4096), "an a.out executable"},
  };
  for (const auto& [file, name] : cases) {
    const std::string wanted = name;
    CAPTURE(wanted);
    CHECK(name_of(file) == wanted);
    for (size_t size = 0; size < std::min<size_t>(file.size(), 700); ++size) {
      static_cast<void>(vmm::foreign_kind(std::span(file).first(size)));  // cut off anywhere: no harm
    }
    const auto memory = vmm::GuestMemory::allocate(uint64_t{4} << 20, vmm::Prefault::kNo).value();
    const auto boot = vmm::load_boot_image({.file = file, .format = {}}, memory);
    REQUIRE(!boot);
    CHECK_MESSAGE(boot.error().text().find("this is " + wanted) != std::string::npos, boot.error().text());
    CHECK(boot.error().text().find("--format") != std::string::npos);
    const auto run = vmm::parse_elf64(file);
    REQUIRE(!run);
    CHECK_MESSAGE(run.error().text().find("this is " + wanted) != std::string::npos, run.error().text());
  }
}

TEST_CASE("kernels are named where something else is wanted") {
  const std::pair<Bytes, std::string> cases[] = {
      {bzimage(), "a Linux kernel (bzImage)"},
      {bzimage([](Bytes& b) {  // with the EFI stub, by which it is a PE file as well
         put(b, 0, std::array{'M', 'Z'});
         put(b, 0x3c, uint32_t{0x40});
         put(b, 0x40, std::array{'P', 'E', '\0', '\0'});
       }),
       "a Linux kernel (bzImage)"},
      {multiboot_elf(), "a Multiboot kernel"},
      {multiboot2_elf(), "a Multiboot 2 kernel"},
      {noted_elf(18), "a kernel with a PVH entry"},
      {vmlinux(), "a Linux kernel (vmlinux)"},
  };
  for (const auto& [file, name] : cases) {
    const std::string wanted = name;
    CAPTURE(wanted);
    CHECK(name_of(file) == wanted);
    CHECK(vmm::check_kernel(file));
    const auto run = vmm::parse_elf64(file);
    REQUIRE(!run);
    CHECK_MESSAGE(run.error().text().find("this is " + wanted) != std::string::npos, run.error().text());
    CHECK(run.error().text().find("kvmux boot") != std::string::npos);
    const Bytes kernel = bzimage();
    const std::vector<vmm::BootModule> modules{{file, "my initrd"}};
    const auto memory = vmm::GuestMemory::allocate(uint64_t{4} << 20, vmm::Prefault::kNo).value();
    const auto start = vmm::load_boot_image({.file = kernel, .format = {}, .modules = modules}, memory);
    REQUIRE(!start);
    CHECK_MESSAGE(start.error().text().find("'my initrd' is " + wanted) != std::string::npos,
                  start.error().text());
  }
}

TEST_CASE("what is no kernel is named where one is wanted") {
  const auto refused = [](const Bytes& file) {
    const auto checked = vmm::check_kernel(file);
    REQUIRE(!checked);
    CHECK(checked.error().kind == vmm::ErrorKind::kUsage);
    CHECK(checked.error().text().find("--format") == std::string::npos);
    return checked.error().text();
  };
  CHECK(refused(with(0, "\x1f\x8b\x08")).find("this is a gzip file: unpack it first") != std::string::npos);
  CHECK(refused(with(0, "070701")).find("an initramfs") != std::string::npos);
  CHECK(refused(Bytes(512, std::byte{0xf4})).find("no kernel that is known") != std::string::npos);
  CHECK(refused({}).find("no kernel that is known") != std::string::npos);
  CHECK(vmm::check_kernel(ElfBuilder().bytes()));
}

TEST_CASE("images of ours, and bytes that could be code, are not taken for anything else") {
  CHECK(name_of(ElfBuilder().bytes()) == "nothing");
  CHECK(name_of(noted_elf(17)) == "nothing");
  CHECK(name_of(Bytes(512, std::byte{0xf4})) == "nothing");
  CHECK(name_of({}) == "nothing");
  CHECK(name_of(with(0, "\xfa\xf4", 0)) == "nothing");
  CHECK(name_of(with(0, "\xeb\x3cMSDOS boot sector, mostly text\0\x01"sv, 0)) == "nothing");
  const auto memory = vmm::GuestMemory::allocate(uint64_t{4} << 20, vmm::Prefault::kNo).value();
  const Bytes script = with(0, "#!/bin/sh\n");
  CHECK(vmm::load_boot_image({.file = script, .format = vmm::BootFormat::kFlat}, memory).has_value());
}
