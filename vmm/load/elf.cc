#include "vmm/load/elf.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "vmm/load/elf_kind.h"
#include "vmm/load/image_kind.h"

namespace vmm {

namespace {

using Bytes = std::span<const std::byte>;

// Images may be hostile: nothing is read but through these two.
bool inside(Bytes file, uint64_t offset, uint64_t bytes) {
  return offset <= file.size() && bytes <= file.size() - offset;
}

template <class T>
T read_at(Bytes file, uint64_t offset) {
  T value;
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

bool overflows(uint64_t start, uint64_t bytes) { return start + bytes < start; }

bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

Failure refuse(std::string why) { return usage_error("load ELF image", std::move(why)); }

Result<Elf64_Ehdr> read_header(Bytes file) {
  if (auto ok = check_elf_ident(file, ElfClasses::k64); !ok) return Failure(ok.error());
  if (file.size() < sizeof(Elf64_Ehdr)) {
    return refuse(fmt::format("truncated: {} bytes, the ELF header has {}", file.size(), sizeof(Elf64_Ehdr)));
  }
  const auto header = read_at<Elf64_Ehdr>(file, 0);
  if (auto ok = check_elf_kind(header); !ok) return Failure(ok.error());
  if (const auto kind = foreign_kind(file)) return refuse(foreign_words(*kind));
  return header;
}

// Both tables inside the file, neither over the ELF header nor over the other. The section headers are not
// used, but a file that was cut off shows it there first.
Result<void> check_tables(Bytes file, const Elf64_Ehdr& h) {
  if (h.e_phnum == 0) return refuse("no program headers: nothing to load");
  if (h.e_phnum > kMaxProgramHeaders) {
    return refuse(fmt::format("{} program headers, at most {} are accepted", h.e_phnum, kMaxProgramHeaders));
  }
  if (h.e_phentsize != sizeof(Elf64_Phdr)) {
    return refuse(fmt::format("program headers of {} bytes, must be {}", h.e_phentsize, sizeof(Elf64_Phdr)));
  }
  const uint64_t program_bytes = h.e_phnum * sizeof(Elf64_Phdr);
  if (!inside(file, h.e_phoff, program_bytes)) {
    return refuse(
        fmt::format("truncated: {} program headers at offset {:#x} reach beyond the file's {:#x} bytes",
                    h.e_phnum, h.e_phoff, file.size()));
  }
  if (h.e_phoff < sizeof(Elf64_Ehdr)) {
    return refuse(fmt::format("the program headers at offset {:#x} overlap the ELF header", h.e_phoff));
  }
  if (h.e_shoff == 0 || h.e_shnum == 0) return {};
  const uint64_t section_bytes = uint64_t{h.e_shnum} * h.e_shentsize;
  if (!inside(file, h.e_shoff, section_bytes)) {
    return refuse(
        fmt::format("truncated: {} section headers at offset {:#x} reach beyond the file's {:#x} bytes",
                    h.e_shnum, h.e_shoff, file.size()));
  }
  if (h.e_shoff < sizeof(Elf64_Ehdr) || overlap(h.e_shoff, section_bytes, h.e_phoff, program_bytes)) {
    return refuse(fmt::format("the section headers at offset {:#x} overlap other headers", h.e_shoff));
  }
  return {};
}

// "program header 3 (at offset 0xe8)"
std::string name_of(const Elf64_Ehdr& h, unsigned index) {
  return fmt::format("program header {} (at offset {:#x})", index, h.e_phoff + index * sizeof(Elf64_Phdr));
}

Result<void> check_segment(Bytes file, const Elf64_Phdr& p, const std::string& name) {
  if (p.p_memsz < p.p_filesz) {
    return refuse(fmt::format("{}: {:#x} bytes in memory cannot hold {:#x} from the file", name, p.p_memsz,
                              p.p_filesz));
  }
  if (!inside(file, p.p_offset, p.p_filesz)) {
    return refuse(fmt::format("{}: {:#x} bytes at offset {:#x} reach beyond the file's {:#x} bytes", name,
                              p.p_filesz, p.p_offset, file.size()));
  }
  if (overflows(p.p_vaddr, p.p_memsz)) {
    return refuse(fmt::format("{}: {:#x} bytes at address {:#x} overflow", name, p.p_memsz, p.p_vaddr));
  }
  if (p.p_align > 1 && (!std::has_single_bit(p.p_align) || (p.p_vaddr - p.p_offset) % p.p_align != 0)) {
    return refuse(fmt::format("{}: address {:#x} and offset {:#x} do not fit alignment {:#x}", name,
                              p.p_vaddr, p.p_offset, p.p_align));
  }
  return {};
}

// A position-independent image without relocations runs anywhere; with them it would need a dynamic linker.
Result<void> check_dynamic(Bytes file, const Elf64_Phdr& p, const std::string& name) {
  if (!inside(file, p.p_offset, p.p_filesz)) {
    return refuse(fmt::format("{}: the dynamic section reaches beyond the file", name));
  }
  for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= p.p_filesz; at += sizeof(Elf64_Dyn)) {
    const auto entry = read_at<Elf64_Dyn>(file, p.p_offset + at);
    constexpr Elf64_Sxword kRelrSize = 35;  // DT_RELRSZ, not in every <elf.h>
    const bool relocates = entry.d_tag == DT_RELASZ || entry.d_tag == DT_RELSZ ||
                           entry.d_tag == DT_PLTRELSZ || entry.d_tag == kRelrSize;
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag == DT_NEEDED || (relocates && entry.d_un.d_val != 0)) {
      return refuse(fmt::format("{}: the image needs a dynamic linker: link it with -static -no-pie", name));
    }
  }
  return {};
}

struct LoadHeaders {
  std::vector<Elf64_Phdr> loads;
  uint64_t alignment = 1;
};

Result<LoadHeaders> read_program_headers(Bytes file, const Elf64_Ehdr& h) {
  LoadHeaders found;
  for (unsigned i = 0; i < h.e_phnum; ++i) {
    const auto p = read_at<Elf64_Phdr>(file, h.e_phoff + i * sizeof(Elf64_Phdr));
    Result<void> ok;
    if (p.p_type == PT_INTERP) {
      return refuse(name_of(h, i) + ": the image needs a dynamic linker: link it with -static -no-pie");
    }
    if (p.p_type == PT_DYNAMIC && h.e_type == ET_DYN) ok = check_dynamic(file, p, name_of(h, i));
    if (p.p_type == PT_LOAD) ok = check_segment(file, p, name_of(h, i));
    if (!ok) return Failure(ok.error());
    if (p.p_type != PT_LOAD || p.p_memsz == 0) continue;
    found.loads.push_back(p);
    found.alignment = std::max(found.alignment, p.p_align);
  }
  if (found.loads.empty()) return refuse("no loadable segment");
  return found;
}

// How far an image is moved: not at all, or, if position-independent, to the first place images may have.
Result<uint64_t> bias_of(const Elf64_Ehdr& h, const LoadHeaders& found) {
  if (h.e_type == ET_EXEC) return uint64_t{0};
  constexpr uint64_t kMostAlignment = uint64_t{1} << 30;
  if (found.alignment > kMostAlignment) {
    return refuse(fmt::format("alignment {:#x} is beyond {:#x}", found.alignment, kMostAlignment));
  }
  return std::max(found.alignment, kImageStart.value);
}

Result<void> check_image(const ElfImage& image) {
  for (size_t i = 1; i < image.segments.size(); ++i) {
    const ElfSegment& below = image.segments[i - 1];
    if (below.start + below.memory_bytes > image.segments[i].start) {
      return refuse(fmt::format("the segments at {:#x} and {:#x} overlap", below.start.value,
                                image.segments[i].start.value));
    }
  }
  const bool runs = std::ranges::any_of(image.segments, [&](const ElfSegment& s) {
    return s.executable && image.entry >= s.start && image.entry < s.start + s.memory_bytes;
  });
  if (!runs) return refuse(fmt::format("the entry {:#x} is in no executable segment", image.entry.value));
  return {};
}

}  // namespace

Result<ElfImage> parse_elf64(Bytes file) {
  const auto header = read_header(file);
  if (!header) return Failure(header.error());
  if (auto ok = check_tables(file, *header); !ok) return Failure(ok.error());
  const auto found = read_program_headers(file, *header);
  if (!found) return Failure(found.error());
  const auto bias = bias_of(*header, *found);
  if (!bias) return Failure(bias.error());
  ElfImage image;
  for (const Elf64_Phdr& p : found->loads) {
    const uint64_t start = p.p_vaddr + *bias;
    if (start < p.p_vaddr || overflows(start, p.p_memsz)) {
      return refuse(fmt::format("a segment at {:#x} overflows when moved by {:#x}", p.p_vaddr, *bias));
    }
    image.segments.push_back({Gpa{start}, p.p_offset, p.p_filesz, p.p_memsz, (p.p_flags & PF_X) != 0});
  }
  std::ranges::sort(image.segments, {}, &ElfSegment::start);
  image.entry = Gpa{header->e_entry + *bias};
  if (auto ok = check_image(image); !ok) return Failure(ok.error());
  image.end = image.segments.back().start + image.segments.back().memory_bytes;
  return image;
}

}  // namespace vmm
