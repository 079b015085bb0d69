#include "vmm/load/elf_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "vmm/load/image_kind.h"

namespace vmm {
namespace {

struct Machine {
  uint16_t number;
  const char* name;
};
constexpr std::array kMachines{Machine{EM_386, "x86-32"},      Machine{EM_X86_64, "x86-64"},
                               Machine{EM_ARM, "ARM"},         Machine{EM_AARCH64, "ARM64"},
                               Machine{EM_RISCV, "RISC-V"},    Machine{EM_PPC, "PowerPC"},
                               Machine{EM_PPC64, "PowerPC64"}, Machine{EM_S390, "s390"},
                               Machine{EM_MIPS, "MIPS"},       Machine{EM_BPF, "eBPF"},
                               Machine{EM_SPARCV9, "SPARC64"}, Machine{EM_IA_64, "Itanium"}};

Failure refuse(std::string why) { return usage_error("load ELF image", std::move(why)); }

std::string name_of(uint16_t machine) {
  const auto found = std::find_if(kMachines.begin(), kMachines.end(),
                                  [machine](const Machine& m) { return m.number == machine; });
  return found == kMachines.end() ? std::to_string(machine) : fmt::format("{} ({})", machine, found->name);
}

const char* type_words(uint16_t type) {
  if (type == ET_REL) return "an object file: link it first";
  if (type == ET_CORE) return "a core dump";
  return "not an executable (ET_EXEC 2, ET_DYN 3)";
}

template <class Header>
Result<void> check_kind(const Header& h) {
  const bool is_64 = h.e_ident[EI_CLASS] == ELFCLASS64;
  if (h.e_machine != EM_X86_64 && (is_64 || h.e_machine != EM_386)) {
    return refuse(fmt::format("foreign machine {}, accepted is {}", name_of(h.e_machine),
                              is_64 ? "62 (x86-64) in a 64-bit image" : "3 (x86-32) or 62 (x86-64)"));
  }
  if (h.e_type != ET_EXEC && h.e_type != ET_DYN) {
    return refuse(fmt::format("type {} is {}; link it with -static -no-pie", h.e_type, type_words(h.e_type)));
  }
  if (h.e_ident[EI_VERSION] != EV_CURRENT || h.e_version != EV_CURRENT) {
    return refuse(fmt::format("unknown ELF version {}/{}", h.e_ident[EI_VERSION], h.e_version));
  }
  return {};
}

}  // namespace

Result<void> check_elf_ident(ImageBytes file, ElfClasses accepted) {
  if (file.size() < EI_NIDENT || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) {
    if (const auto kind = foreign_kind(file)) return refuse(foreign_words(*kind));
    return refuse("not an ELF file: the magic number at offset 0 is missing");
  }
  const auto at = [&](unsigned index) { return static_cast<unsigned>(file[index]); };
  const bool is_32 = at(EI_CLASS) == ELFCLASS32;
  if (at(EI_CLASS) != ELFCLASS64 && accepted == ElfClasses::k64) {
    return refuse(fmt::format("not a 64-bit image: class {} at offset {}{}", at(EI_CLASS), EI_CLASS,
                              is_32 ? "; `kvmux boot` takes 32-bit ones" : ""));
  }
  if (at(EI_CLASS) != ELFCLASS64 && !is_32) {
    return refuse(fmt::format("unknown class {} at offset {}", at(EI_CLASS), EI_CLASS));
  }
  if (at(EI_DATA) != ELFDATA2LSB) {
    return refuse(fmt::format("not little-endian: data encoding {} at offset {}", at(EI_DATA), EI_DATA));
  }
  return {};
}

Result<void> check_elf_kind(const Elf64_Ehdr& header) { return check_kind(header); }
Result<void> check_elf_kind(const Elf32_Ehdr& header) { return check_kind(header); }

}  // namespace vmm
