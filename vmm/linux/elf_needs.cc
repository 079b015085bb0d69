#include "vmm/linux/elf_needs.h"

#include <elf.h>

#include <cstring>

namespace vmm::linux_guest {
namespace {

template <class T>
std::optional<T> read_at(std::string_view file, uint64_t offset) {
  T value;
  if (offset > file.size() || file.size() - offset < sizeof value) return std::nullopt;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

std::string string_at(std::string_view file, uint64_t offset) {
  if (offset >= file.size()) return {};
  const std::string_view rest = file.substr(offset);
  const size_t end = rest.find('\0');
  return end == std::string_view::npos ? std::string{} : std::string{rest.substr(0, end)};
}

// Where in the file an address is, by the loaded segments.
std::optional<uint64_t> offset_of(const std::vector<Elf64_Phdr>& segments, uint64_t address) {
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type != PT_LOAD || address < segment.p_vaddr) continue;
    if (address - segment.p_vaddr < segment.p_filesz) return segment.p_offset + (address - segment.p_vaddr);
  }
  return std::nullopt;
}

bool read_dynamic(std::string_view file, const std::vector<Elf64_Phdr>& segments, const Elf64_Phdr& dynamic,
                  ElfNeeds& needs) {
  std::vector<uint64_t> names;
  std::optional<uint64_t> strings;
  for (uint64_t at = 0; at < dynamic.p_filesz; at += sizeof(Elf64_Dyn)) {
    const auto entry = read_at<Elf64_Dyn>(file, dynamic.p_offset + at);
    if (!entry) return false;
    if (entry->d_tag == DT_NULL) break;
    if (entry->d_tag == DT_NEEDED) names.push_back(entry->d_un.d_val);
    if (entry->d_tag == DT_STRTAB) strings = offset_of(segments, entry->d_un.d_ptr);
  }
  if (!names.empty() && !strings) return false;
  for (const uint64_t name : names) {
    std::string library = string_at(file, *strings + name);
    if (library.empty()) return false;
    needs.libraries.push_back(std::move(library));
  }
  return true;
}

}  // namespace

std::optional<ElfNeeds> elf_needs(std::string_view file) {
  const auto header = read_at<Elf64_Ehdr>(file, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_phentsize != sizeof(Elf64_Phdr)) {
    return std::nullopt;
  }
  std::vector<Elf64_Phdr> segments;
  for (uint64_t i = 0; i < header->e_phnum; ++i) {
    const auto segment = read_at<Elf64_Phdr>(file, header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment) return std::nullopt;
    segments.push_back(*segment);
  }
  ElfNeeds needs;
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_INTERP) needs.interpreter = string_at(file, segment.p_offset);
    if (segment.p_type == PT_DYNAMIC && !read_dynamic(file, segments, segment, needs)) return std::nullopt;
  }
  return needs;
}

}  // namespace vmm::linux_guest
