#include "guest/embedded.h"

#include <doctest/doctest.h>
#include <elf.h>

#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace {

constexpr uint64_t kImageStart = 1 << 20;
constexpr uint64_t kImageLimit = 2 << 20;

template <typename T>
T read_at(std::span<const std::byte> image, uint64_t offset) {
  REQUIRE(offset + sizeof(T) <= image.size());
  T value;
  std::memcpy(&value, image.data() + offset, sizeof(T));
  return value;
}

void check_segments(std::span<const std::byte> image, const Elf64_Ehdr& header) {
  bool entry_is_code = false;
  uint64_t end = kImageStart;
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = read_at<Elf64_Phdr>(image, header.e_phoff + i * header.e_phentsize);
    REQUIRE(segment.p_type == PT_LOAD);
    CHECK(segment.p_filesz <= segment.p_memsz);
    CHECK(segment.p_offset + segment.p_filesz <= image.size());
    CHECK(segment.p_vaddr == segment.p_paddr);
    CHECK(segment.p_vaddr >= end);
    CHECK(segment.p_vaddr % 4096 == 0);
    CHECK_FALSE(((segment.p_flags & PF_W) != 0 && (segment.p_flags & PF_X) != 0));
    end = segment.p_vaddr + segment.p_memsz;
    const bool has_entry = header.e_entry >= segment.p_vaddr && header.e_entry < end;
    if (has_entry && (segment.p_flags & PF_X) != 0) entry_is_code = true;
  }
  CHECK(entry_is_code);
  CHECK(end <= kImageLimit);
}

}  // namespace

TEST_CASE("embedded: the guests users are promised are all there, once") {
  std::vector<std::string> names;
  for (const auto& guest : guests::all()) names.emplace_back(guest.name);
  CHECK(names == std::vector<std::string>{"lock", "ipi", "mixed", "compute", "pingpong", "abuse", "calibrate"});
}

TEST_CASE("embedded: each description is one non-empty line") {
  for (const auto& guest : guests::all()) {
    CAPTURE(guest.name);
    CHECK(guest.description.size() > 10);
    CHECK(guest.description.size() <= 90);
    CHECK(guest.description.find('\n') == std::string_view::npos);
  }
}

TEST_CASE(
    "embedded: each image is a static ELF64 for x86-64, from 1 MiB on, nothing both writable and "
    "executable") {
  for (const auto& guest : guests::all()) {
    CAPTURE(guest.name);
    const auto header = read_at<Elf64_Ehdr>(guest.image, 0);
    CHECK(std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0);
    CHECK(header.e_ident[EI_CLASS] == ELFCLASS64);
    CHECK(header.e_type == ET_EXEC);
    CHECK(header.e_machine == EM_X86_64);
    CHECK(header.e_phnum == 3);
    check_segments(guest.image, header);
  }
}

TEST_CASE("embedded: images differ, and are found by name") {
  std::set<std::string> seen;
  for (const auto& guest : guests::all()) {
    const char* bytes = reinterpret_cast<const char*>(guest.image.data());
    CHECK(seen.emplace(bytes, guest.image.size()).second);
    const auto found = guests::find(guest.name);
    REQUIRE(found);
    CHECK(found->image.data() == guest.image.data());
  }
  CHECK_FALSE(guests::find("no-such-guest"));
  CHECK_FALSE(guests::find(""));
}
