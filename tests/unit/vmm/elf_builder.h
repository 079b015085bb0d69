// Builds small ELF64 images for tests: a good one by default, anything else by changing its fields.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstring>
#include <vector>

namespace vmm_test {

struct ElfBuilder {
  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> programs;
  size_t payload_bytes = 64;  // behind the program headers, each byte its own offset's low byte

  ElfBuilder() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_entry = 0x200010;
    header.e_phoff = sizeof(Elf64_Ehdr);
    header.e_ehsize = sizeof(Elf64_Ehdr);
    header.e_phentsize = sizeof(Elf64_Phdr);
    add(0x200000, 64, 128);
  }

  Elf64_Phdr& add(uint64_t address, uint64_t file_bytes, uint64_t memory_bytes) {
    Elf64_Phdr p{};
    p.p_type = PT_LOAD;
    p.p_flags = PF_R | PF_X;
    p.p_vaddr = p.p_paddr = address;
    p.p_filesz = file_bytes;
    p.p_memsz = memory_bytes;
    p.p_align = 1;
    programs.push_back(p);
    header.e_phnum = static_cast<Elf64_Half>(programs.size());
    place_payload();
    return programs.back();
  }

  // All segments take their bytes from the payload's start.
  void place_payload() {
    for (Elf64_Phdr& p : programs) p.p_offset = payload_offset();
  }
  [[nodiscard]] uint64_t payload_offset() const {
    return sizeof(Elf64_Ehdr) + programs.size() * sizeof(Elf64_Phdr);
  }

  [[nodiscard]] std::vector<std::byte> bytes() const {
    std::vector<std::byte> out(payload_offset() + payload_bytes);
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i);
    std::memcpy(out.data(), &header, sizeof(header));
    std::memcpy(out.data() + sizeof(header), programs.data(), programs.size() * sizeof(Elf64_Phdr));
    return out;
  }
};

}  // namespace vmm_test
