#include "vmm/load/elf_sections.h"

#include <elf.h>
#include <fmt/format.h>

#include "vmm/check.h"
#include "vmm/load/program_headers.h"

namespace vmm {
namespace {

Failure refuse(std::string why) { return usage_error("load ELF image", std::move(why)); }

template <class Ehdr, class Shdr>
Result<ElfSections> read_class(ImageBytes file) {
  ElfSections found;
  const auto h = read_field<Ehdr>(file, 0);
  if (!h || h->e_shoff == 0 || h->e_shnum == 0 || h->e_shnum > kMaxSections) return found;
  if (h->e_shentsize != sizeof(Shdr)) {
    return refuse(fmt::format("section headers of {} bytes, must be {}", h->e_shentsize, sizeof(Shdr)));
  }
  const uint64_t bytes = uint64_t{h->e_shnum} * sizeof(Shdr);
  if (!inside(file, h->e_shoff, bytes)) {
    return refuse(
        fmt::format("truncated: {} section headers at offset {:#x} reach beyond the file's {:#x} bytes",
                    h->e_shnum, h->e_shoff, file.size()));
  }
  const ImageBytes headers = file.subspan(h->e_shoff, bytes);
  found.headers.assign(headers.begin(), headers.end());
  found.count = h->e_shnum;
  found.header_bytes = sizeof(Shdr);
  found.names = h->e_shstrndx;
  for (uint32_t i = 0; i < found.count; ++i) {
    const Shdr section = *read_field<Shdr>(headers, uint64_t{i} * sizeof(Shdr));
    const bool has_bytes =
        section.sh_type != SHT_NULL && section.sh_type != SHT_NOBITS && section.sh_size != 0;
    if (!has_bytes || section.sh_addr != 0) continue;
    if (!inside(file, section.sh_offset, section.sh_size)) {
      return refuse(
          fmt::format("truncated: section {}, {:#x} bytes at offset {:#x}, reaches beyond the file's "
                      "{:#x} bytes",
                      i, section.sh_size, section.sh_offset, file.size()));
    }
    found.unplaced.push_back({i, file.subspan(section.sh_offset, section.sh_size)});
  }
  return found;
}

template <class Shdr>
void set_address(ElfSections& sections, uint32_t index, Gpa at) {
  Shdr section;
  std::byte* const place = sections.headers.data() + uint64_t{index} * sizeof(Shdr);
  std::memcpy(&section, place, sizeof(section));
  section.sh_addr = static_cast<decltype(section.sh_addr)>(at.value);
  std::memcpy(place, &section, sizeof(section));
}

}  // namespace

Result<ElfSections> read_elf_sections(ImageBytes file) {
  if (!is_elf(file) || file.size() < EI_NIDENT) return ElfSections{};
  return file[EI_CLASS] == std::byte{ELFCLASS64} ? read_class<Elf64_Ehdr, Elf64_Shdr>(file)
                                                 : read_class<Elf32_Ehdr, Elf32_Shdr>(file);
}

void set_section_address(ElfSections& sections, uint32_t index, Gpa at) {
  KVMUX_CHECK(index < sections.count, "one of the file's sections");
  if (sections.header_bytes == sizeof(Elf64_Shdr)) return set_address<Elf64_Shdr>(sections, index, at);
  set_address<Elf32_Shdr>(sections, index, at);
}

}  // namespace vmm
