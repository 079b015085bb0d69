// `vmlinux`: which ELF files are Linux, and how it is started.
#include "vmm/load/vmlinux.h"

#include <doctest/doctest.h>

#include <functional>

#include "tests/unit/vmm/boot_image_bytes.h"
#include "tests/unit/vmm/elf_builder.h"
#include "vmm/platform/firmware.h"

using vmm::BootFormat;
using vmm::Gpa;
using vmm::GuestMemory;
using namespace vmm_test;

namespace {

constexpr uint64_t kKernelMap = 0xffffffff80000000;

// An ELF64 at 2 MiB, linked where Linux is, entered by its physical address, with a text in its payload.
Bytes kernel_elf(const std::string& text = "Linux version 6.1.0-50",
                 const std::function<void(ElfBuilder&)>& change = {}) {
  ElfBuilder elf;
  elf.programs[0].p_vaddr = kKernelMap + 0x200000;
  if (change) change(elf);
  Bytes bytes = elf.bytes();
  std::memcpy(bytes.data() + elf.payload_offset() + 8, text.data(), text.size());
  return bytes;
}

vmm::Result<vmm::StartState> load(const Bytes& file, const GuestMemory& memory) {
  return vmm::load_boot_image({.file = file, .format = {}}, memory);
}

// The same of 32 bits.
Bytes kernel_elf32() {
  constexpr uint32_t kPayload = sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr);
  Elf32_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_386;
  header.e_version = EV_CURRENT;
  header.e_entry = 0x200000;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf32_Phdr);
  header.e_phnum = 1;
  const Elf32_Phdr load{PT_LOAD, kPayload, 0xc0200000, 0x200000, 32, 32, PF_R | PF_X, 1};
  Bytes bytes(kPayload + 32);
  put(bytes, 0, header);
  put(bytes, sizeof(header), load);
  std::memcpy(bytes.data() + kPayload, "Linux version 4.19", 18);
  return bytes;
}

}  // namespace

TEST_CASE("vmlinux: told from other ELF files by its banner and by being linked high") {
  CHECK(vmm::detect_format(kernel_elf()) == BootFormat::kVmlinux);
  for (const char* text : {"Linux version %s (%s)", "Linux versiom 6.1.0", "", "Linux version /6"}) {
    CAPTURE(text);
    CHECK(vmm::detect_format(kernel_elf(text)) == BootFormat::kElf);
  }
  const auto low = [](ElfBuilder& e) { e.programs[0].p_vaddr = e.programs[0].p_paddr; };
  CHECK(vmm::detect_format(kernel_elf("Linux version 6", low)) == BootFormat::kElf);
  const auto below = [](ElfBuilder& e) {
    e.programs[0].p_vaddr = 0x1000;
    e.programs[0].p_paddr = kKernelMap;
  };
  CHECK(vmm::detect_format(kernel_elf("Linux version 6", below)) == BootFormat::kElf);
  // A text that stands in the file, and is not loaded, or is cut off by the segment's end or the file's.
  const auto unloaded = [](ElfBuilder& e) { e.programs[0].p_filesz = 8 + 14; };
  CHECK(vmm::detect_format(kernel_elf("Linux version 6", unloaded)) == BootFormat::kElf);
  Bytes cut = kernel_elf();
  cut.resize(ElfBuilder().payload_offset() + 8 + 14);
  CHECK(!vmm::is_vmlinux(cut));
  CHECK(!vmm::is_vmlinux({}));
  // Per-CPU data of older kernels: a segment linked at 0, beside those that are linked high.
  const auto percpu = [](ElfBuilder& e) { e.add(0x300000, 64, 64).p_vaddr = 0; };
  CHECK(vmm::is_vmlinux(kernel_elf("Linux version 5.10", percpu)));
}

TEST_CASE("vmlinux: a note for PVH, or a Multiboot header, goes first") {
  const auto noted = [](ElfBuilder& e) {
    Elf64_Phdr& p = e.add(0x300000, 20, 20);
    p.p_type = PT_NOTE;
    e.payload_bytes = 128;
  };
  Bytes file = kernel_elf("", noted);
  ElfBuilder elf;
  noted(elf);
  put(file, elf.payload_offset(), std::array<uint32_t, 5>{4, 4, 18, 0x006e6558, 0x200000});
  std::memcpy(file.data() + elf.payload_offset() + 32, "Linux version 6", 15);
  CHECK(vmm::is_vmlinux(file));
  CHECK(vmm::detect_format(file) == BootFormat::kPvh);
  Bytes multiboot = kernel_elf();
  put(multiboot, ElfBuilder().payload_offset() + 40, std::array<uint32_t, 3>{0x1badb002, 0, 0u - 0x1badb002});
  CHECK(vmm::is_vmlinux(multiboot));
  CHECK(vmm::detect_format(multiboot) == BootFormat::kMultiboot);
}

TEST_CASE("vmlinux: 64-bit entry, boot parameters, command line and initrd") {
  const GuestMemory memory = make_memory();
  REQUIRE(memory.store(Gpa{vmm::kHandoverStart.value + 0x1e8}, uint64_t{0xeeeeeeeeeeeeeeee}));
  const Bytes file = kernel_elf();
  const Bytes initrd(5000, std::byte{0xf7});
  const std::vector<vmm::BootModule> modules{{initrd, "initrd"}};
  const auto start = vmm::load_boot_image(
      {.file = file, .format = {}, .modules = modules, .cmdline = "console=ttyS0"}, memory);
  REQUIRE_MESSAGE(start.has_value(), start.error().text());
  CHECK(start->mode == vmm::CpuMode::kLong);
  CHECK(start->entry == Gpa{0x200010});
  CHECK(memory.load<char>(Gpa{0x200008}).value() == 'L');
  const uint64_t params = start->registers.rsi;
  const auto field32 = [&](uint64_t at) { return memory.load<uint32_t>(Gpa{params + at}).value(); };
  CHECK(memory.load<uint16_t>(Gpa{params + 0x1fe}).value() == 0xaa55);
  CHECK(field32(0x202) == 0x53726448);
  CHECK(memory.load<uint16_t>(Gpa{params + 0x206}).value() == 0x020c);
  CHECK(memory.load<uint8_t>(Gpa{params + 0x210}).value() == 0xff);
  CHECK(memory.load<uint8_t>(Gpa{params + 0x1ef}).value() == 0);  // the sentinel: fields are not dirt
  CHECK(text_at(memory, field32(0x228)) == "console=ttyS0");
  CHECK(field32(0x21c) == 5000);
  CHECK(field32(0x218) == memory.size() - 8192);
  CHECK(memory.load<uint8_t>(Gpa{field32(0x218) + 4999}).value() == 0xf7);
  CHECK(memory.load<uint64_t>(Gpa{params + 0x70}).value() == vmm::kAcpiStart.value);
  const auto map = vmm::memory_map(memory.size());
  REQUIRE(memory.load<uint8_t>(Gpa{params + 0x1e8}).value() == map.size());
  for (size_t i = 0; i < map.size(); ++i) {
    const uint64_t at = params + 0x2d0 + i * 20;
    CHECK(memory.load<uint64_t>(Gpa{at}).value() == map[i].start.value);
    CHECK(memory.load<uint64_t>(Gpa{at + 8}).value() == map[i].bytes);
    CHECK(memory.load<uint32_t>(Gpa{at + 16}).value() == static_cast<uint32_t>(map[i].type));
  }
  const auto by_name =
      vmm::load_boot_image({.file = ElfBuilder().bytes(), .format = BootFormat::kVmlinux}, memory);
  REQUIRE(by_name);  // --format vmlinux asks no questions
  CHECK(by_name->registers.rsi == params);
}

TEST_CASE("vmlinux: entered where it says, as a virtual address too") {
  const GuestMemory memory = make_memory();
  const auto start = load(
      kernel_elf("Linux version 6", [](ElfBuilder& e) { e.header.e_entry = kKernelMap + 0x200020; }), memory);
  REQUIRE(start);
  CHECK(start->entry == Gpa{0x200020});
}

TEST_CASE("64-bit starts: CS 10H and the others 18H, as descriptors of the GDT have them") {
  const GuestMemory memory = make_memory();
  REQUIRE(vmm::write_firmware({1, 1}, memory));
  for (const vmm::CpuMode mode : {vmm::CpuMode::kProtected, vmm::CpuMode::kLong}) {
    const bool is_long = mode == vmm::CpuMode::kLong;
    CAPTURE(is_long);
    kvm_regs regs{};
    kvm_sregs sregs{};
    vmm::enter_start_state({.mode = mode, .entry = Gpa{0x200000}, .registers = {.rsi = 0x90000}}, regs,
                           sregs);
    CHECK(regs.rsi == 0x90000);
    CHECK((regs.rflags & 0x200) == 0);
    CHECK(sregs.cs.selector == 0x10);
    CHECK(sregs.cs.l == (is_long ? 1 : 0));
    for (const kvm_segment& s : {sregs.ds, sregs.es, sregs.ss}) CHECK(s.selector == 0x18);
    const auto gdt = memory.load<std::array<uint64_t, 4>>(Gpa{sregs.gdt.base}).value();
    CHECK(sregs.gdt.limit == sizeof(gdt) - 1);
    CHECK((gdt[2] >> 53 & 1) == (is_long ? 1u : 0u));  // L
    CHECK((gdt[2] >> 40 & 0xff) == 0x9b);              // code: execute, read
    CHECK((gdt[3] >> 40 & 0xff) == 0x93);              // data: read, write
  }
}

TEST_CASE("vmlinux: what cannot start is refused") {
  const GuestMemory memory = make_memory();
  CHECK(vmm::is_vmlinux(kernel_elf32()));
  check_refused(load(kernel_elf32(), memory), "a 32-bit kernel, accepted are 64-bit ones: take its bzImage");
  const auto high = [](ElfBuilder& e) {
    e.programs[0].p_paddr = 0x1000000;
    e.header.e_entry = 0x1000010;
  };
  check_refused(load(kernel_elf("Linux version 6", high), memory), "not in the guest's memory");
  const Bytes file = kernel_elf();
  check_refused(vmm::load_boot_image(
                    {.file = file, .format = {}, .modules = {}, .cmdline = std::string(2048, 'x')}, memory),
                "a command line of 2048 bytes, this kernel takes 2047");
  CHECK(vmm::load_boot_image({.file = file, .format = {}, .modules = {}, .cmdline = std::string(2047, 'x')},
                             memory));
  const Bytes big(uint64_t{7} << 20);
  const std::vector<vmm::BootModule> one{{big, "big"}};
  check_refused(vmm::load_boot_image({.file = file, .format = {}, .modules = one}, memory), "does not fit");
  const std::vector<vmm::BootModule> two{{file, "a"}, {file, "b"}};
  check_refused(vmm::load_boot_image({.file = file, .format = {}, .modules = two}, memory), "one initrd");
  const Bytes whole = bzimage();
  const std::vector<vmm::BootModule> kernel{{whole, "vmlinuz"}};
  check_refused(vmm::load_boot_image({.file = file, .format = {}, .modules = kernel}, memory),
                "'vmlinuz' is a Linux kernel (bzImage), accepted is an initramfs");
  for (size_t size = 0; size + 1 < file.size(); ++size) {
    static_cast<void>(vmm::is_vmlinux(std::span(file).first(size)));
    static_cast<void>(vmm::parse_vmlinux(std::span(file).first(size)));
  }
}
