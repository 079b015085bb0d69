#include "vmm/load/physical_image.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>

#include "vmm/load/elf.h"
#include "vmm/load/elf_kind.h"
#include "vmm/platform/firmware.h"

namespace vmm {
namespace {

Failure refuse(std::string why) { return usage_error("load ELF image", std::move(why)); }

// A program header of either class.
struct Load {
  uint64_t offset, virtual_start, physical_start, file_bytes, memory_bytes;
};

template <class Header, class ProgramHeader>
struct ElfClass {
  using Ehdr = Header;
  using Phdr = ProgramHeader;
};
using Elf32 = ElfClass<Elf32_Ehdr, Elf32_Phdr>;
using Elf64 = ElfClass<Elf64_Ehdr, Elf64_Phdr>;

bool is_64bit(ImageBytes file) { return file[EI_CLASS] == std::byte{ELFCLASS64}; }

Result<void> check_load(ImageBytes file, const Load& load, unsigned index) {
  const auto bad = [&](std::string why) { return refuse(fmt::format("program header {}: {}", index, why)); };
  if (load.memory_bytes < load.file_bytes) {
    return bad(fmt::format("{:#x} bytes in memory cannot hold {:#x} from the file", load.memory_bytes,
                           load.file_bytes));
  }
  if (!inside(file, load.offset, load.file_bytes)) {
    return bad(fmt::format("{:#x} bytes at offset {:#x} reach beyond the file's {:#x} bytes", load.file_bytes,
                           load.offset, file.size()));
  }
  const auto overflows = [&](uint64_t start) { return start + load.memory_bytes < start; };
  if (overflows(load.physical_start) || overflows(load.virtual_start)) {
    return bad(fmt::format("{:#x} bytes at {:#x} overflow", load.memory_bytes, load.physical_start));
  }
  return {};
}

template <class Class>
Result<std::vector<Load>> read_loads(ImageBytes file, const typename Class::Ehdr& h) {
  using Phdr = typename Class::Phdr;
  if (h.e_phnum == 0 || h.e_phnum > kMaxProgramHeaders) {
    return refuse(fmt::format("{} program headers, accepted are 1 to {}", h.e_phnum, kMaxProgramHeaders));
  }
  if (h.e_phentsize < sizeof(Phdr)) {
    return refuse(
        fmt::format("program headers of {} bytes, at least {} are needed", h.e_phentsize, sizeof(Phdr)));
  }
  std::vector<Load> loads;
  for (unsigned i = 0; i < h.e_phnum; ++i) {
    const uint64_t offset = uint64_t{h.e_phoff} + uint64_t{i} * h.e_phentsize;
    const auto p = offset >= h.e_phoff ? read_field<Phdr>(file, offset) : std::nullopt;
    if (!p) return refuse(fmt::format("truncated: program header {} lies beyond the file", i));
    if (p->p_type != PT_LOAD) continue;
    const Load load{p->p_offset, p->p_vaddr, p->p_paddr, p->p_filesz, p->p_memsz};
    if (auto ok = check_load(file, load, i); !ok) return Failure(ok.error());
    if (load.memory_bytes != 0) loads.push_back(load);
  }
  if (loads.empty()) return refuse("no loadable segment");
  return loads;
}

// The entry as a physical address: as a virtual one in some segment if it may be, else as a physical one.
Result<Gpa> find_entry(const std::vector<Load>& loads, uint64_t entry, bool may_be_virtual) {
  for (const Load& load : loads) {
    if (!may_be_virtual) break;
    if (entry - load.virtual_start < load.memory_bytes) {
      return Gpa{load.physical_start + (entry - load.virtual_start)};
    }
  }
  for (const Load& load : loads) {
    if (entry - load.physical_start < load.memory_bytes) return Gpa{entry};
  }
  return refuse(fmt::format("the entry {:#x} is in no segment", entry));
}

template <class Class>
Result<PhysicalImage> parse(ImageBytes file, std::optional<Gpa> given) {
  const auto header = read_field<typename Class::Ehdr>(file, 0);
  if (!header) return refuse(fmt::format("truncated: {} bytes are less than an ELF header", file.size()));
  if (auto ok = check_elf_kind(*header); !ok) return Failure(ok.error());
  const auto loads = read_loads<Class>(file, *header);
  if (!loads) return Failure(loads.error());
  const auto entry = find_entry(*loads, given.value_or(Gpa{header->e_entry}).value, !given);
  if (!entry) return Failure(entry.error());
  PhysicalImage image{.segments = {}, .entry = *entry, .is_64bit = is_64bit(file)};
  for (const Load& load : *loads) {
    image.segments.push_back({Gpa{load.physical_start}, load.offset, load.file_bytes, load.memory_bytes});
  }
  return image;
}

Result<void> check_place(const PhysicalImage& image, uint64_t memory_bytes) {
  auto sorted = image.segments;
  std::ranges::sort(sorted, {}, &PhysicalSegment::start);
  for (size_t i = 0; i < sorted.size(); ++i) {
    const PhysicalSegment& s = sorted[i];
    if (!is_guests(s.start, s.memory_bytes, memory_bytes)) {
      return usage_error(
          "load image",
          fmt::format("{:#x} bytes at {:#x} are not in the guest's memory, which is {:#x} … {:#x} "
                      "and {:#x} … {:#x}",
                      s.memory_bytes, s.start.value, kLowMemoryStart.value, kHandoverStart.value,
                      kHighMemoryStart.value, memory_bytes));
    }
    if (i > 0 && sorted[i - 1].start + sorted[i - 1].memory_bytes > s.start) {
      return usage_error("load image", fmt::format("the segments at {:#x} and {:#x} overlap",
                                                   sorted[i - 1].start.value, s.start.value));
    }
  }
  return {};
}

}  // namespace

Result<PhysicalImage> parse_elf_physical(ImageBytes file, std::optional<Gpa> entry) {
  if (auto ok = check_elf_ident(file, ElfClasses::kBoth); !ok) return Failure(ok.error());
  return is_64bit(file) ? parse<Elf64>(file, entry) : parse<Elf32>(file, entry);
}

bool is_guests(Gpa start, uint64_t bytes, uint64_t memory_bytes) {
  const auto within = [&](uint64_t from, uint64_t to) {
    return start.value >= from && start.value <= to && bytes <= to - start.value;
  };
  return within(kLowMemoryStart.value, kHandoverStart.value) || within(kHighMemoryStart.value, memory_bytes);
}

Result<void> place(ImageBytes file, const PhysicalImage& image, const GuestMemory& memory) {
  if (auto ok = check_place(image, memory.size()); !ok) return ok;
  for (const PhysicalSegment& s : image.segments) {
    auto ok = memory.write(s.start, file.subspan(s.file_offset, s.file_bytes)).and_then([&] {
      return memory.fill_zero(s.start + s.file_bytes, s.memory_bytes - s.file_bytes);
    });
    if (!ok) return ok;
  }
  return {};
}

Gpa end_of(const PhysicalImage& image) {
  Gpa end = kHighMemoryStart;
  for (const PhysicalSegment& s : image.segments) end = std::max(end, s.start + s.memory_bytes);
  return end;
}

}  // namespace vmm
