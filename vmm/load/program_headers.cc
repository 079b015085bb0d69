#include "vmm/load/program_headers.h"

#include <elf.h>

#include <algorithm>

#include "vmm/load/elf.h"

namespace vmm {
namespace {

template <class Ehdr, class Phdr>
std::vector<ProgramHeader> headers_of_class(ImageBytes file) {
  std::vector<ProgramHeader> found;
  const auto header = read_field<Ehdr>(file, 0);
  if (!header) return found;
  for (unsigned i = 0; i < std::min<unsigned>(header->e_phnum, kMaxProgramHeaders); ++i) {
    const uint64_t at = uint64_t{header->e_phoff} + uint64_t{i} * header->e_phentsize;
    const auto p = at >= header->e_phoff ? read_field<Phdr>(file, at) : std::nullopt;
    if (!p) continue;
    const bool lies_inside = inside(file, p->p_offset, p->p_filesz);
    found.push_back({.type = p->p_type,
                     .offset = p->p_offset,
                     .file_bytes = p->p_filesz,
                     .virtual_start = p->p_vaddr,
                     .physical_start = p->p_paddr,
                     .memory_bytes = p->p_memsz,
                     .align = p->p_align,
                     .content = lies_inside ? file.subspan(p->p_offset, p->p_filesz) : ImageBytes{}});
  }
  return found;
}

}  // namespace

bool is_elf(ImageBytes file) {
  return file.size() >= SELFMAG && std::memcmp(file.data(), ELFMAG, SELFMAG) == 0;
}

std::vector<ProgramHeader> program_headers(ImageBytes file) {
  if (!is_elf(file) || file.size() < EI_NIDENT) return {};
  return file[EI_CLASS] == std::byte{ELFCLASS64} ? headers_of_class<Elf64_Ehdr, Elf64_Phdr>(file)
                                                 : headers_of_class<Elf32_Ehdr, Elf32_Phdr>(file);
}

}  // namespace vmm
