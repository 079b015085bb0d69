// PVH: the entry's note, hvm_start_info, hostile images.
#include "vmm/load/pvh.h"

#include <doctest/doctest.h>

#include <array>
#include <functional>

#include "tests/unit/vmm/boot_image_bytes.h"
#include "tests/unit/vmm/elf_builder.h"
#include "vmm/platform/firmware.h"

using vmm::BootFormat;
using vmm::Gpa;
using vmm::GuestMemory;
using namespace vmm_test;

namespace {

struct Note {
  uint32_t owner_bytes = 4, bytes = 4, type = 18;
  std::array<char, 4> owner{'X', 'e', 'n', 0};
  uint64_t entry = 0x200030;
};

constexpr size_t kNoteSegmentBytes = 24;

// An ELF64 at 2 MiB whose own entry is not the note's; the note stands at the beginning of its payload.
Bytes pvh_elf(const Note& note = {}, const std::function<void(ElfBuilder&)>& change = {}) {
  ElfBuilder elf;
  Elf64_Phdr& p = elf.add(0x300000, kNoteSegmentBytes, kNoteSegmentBytes);
  p.p_type = PT_NOTE;
  p.p_align = 4;
  if (change) change(elf);
  Bytes bytes = elf.bytes();
  put(bytes, elf.payload_offset(), note);
  return bytes;
}

vmm::Result<vmm::StartState> load(const Bytes& file, const GuestMemory& memory) {
  return vmm::load_boot_image({.file = file, .format = {}}, memory);
}

}  // namespace

TEST_CASE("PVH: the note's entry is taken, of 4 bytes or 8, not the header's") {
  const GuestMemory memory = make_memory();
  for (const uint32_t bytes : {4u, 8u}) {
    const Bytes file = pvh_elf({.bytes = bytes});
    CHECK(vmm::detect_format(file) == BootFormat::kPvh);
    const auto start = load(file, memory);
    REQUIRE_MESSAGE(start.has_value(), start.error().text());
    CHECK(start->entry == Gpa{0x200030});
    CHECK(start->mode == vmm::CpuMode::kProtected);
  }
  const Bytes outside = pvh_elf({}, [](ElfBuilder& e) { e.header.e_entry = 5; });
  CHECK(load(outside, memory).has_value());  // the header's is not looked at
}

TEST_CASE("PVH: an entry is physical even where it is some segment's virtual address") {
  const GuestMemory memory = make_memory();
  const Bytes file = pvh_elf({}, [](ElfBuilder& e) {
    e.programs[0].p_vaddr = 0;
    e.add(0x400000, 64, 64).p_vaddr = 0x200000;
  });
  const auto start = load(file, memory);
  REQUIRE_MESSAGE(start.has_value(), start.error().text());
  CHECK(start->entry == Gpa{0x200030});
}

TEST_CASE("PVH: the note is found behind others and in segments aligned to 8") {
  const auto behind = [](uint64_t align, uint64_t second_at) {
    ElfBuilder elf;
    elf.payload_bytes = 128;
    Elf64_Phdr& p = elf.add(0x300000, 96, 96);
    p.p_type = PT_NOTE;
    p.p_align = align;
    Bytes bytes = elf.bytes();
    const Note other{.owner_bytes = 4, .bytes = 5, .type = 18, .owner = {'G', 'N', 'U', 0}};
    put(bytes, elf.payload_offset(), other);
    put(bytes, elf.payload_offset() + second_at, Note{});
    return bytes;
  };
  CHECK(vmm::is_pvh(behind(4, 24)));
  CHECK(vmm::is_pvh(behind(8, 24)));
  CHECK(!vmm::is_pvh(behind(4, 28)));
}

TEST_CASE("PVH: hvm_start_info") {
  const GuestMemory memory = make_memory();
  const Bytes file = pvh_elf();
  const Bytes first(100, std::byte{7});
  const Bytes second(5000, std::byte{8});
  const std::vector<vmm::BootModule> modules{{first, "one x"}, {second, "two"}};
  const auto start =
      vmm::load_boot_image({.file = file, .format = {}, .modules = modules, .cmdline = "a b=c"}, memory);
  REQUIRE_MESSAGE(start.has_value(), start.error().text());
  const uint64_t at = start->registers.rbx;
  const auto words = memory.load<std::array<uint32_t, 4>>(Gpa{at}).value();
  CHECK(words == std::array<uint32_t, 4>{0x336ec578, 1, 0, 2});
  const auto places = memory.load<std::array<uint64_t, 4>>(Gpa{at + 16}).value();
  CHECK(text_at(memory, places[1]) == "a b=c");
  CHECK(places[2] == vmm::kAcpiStart.value);
  const auto mods = memory.load<std::array<uint64_t, 8>>(Gpa{places[0]}).value();
  CHECK(mods[0] == 0x201000);
  CHECK(mods[1] == 100);
  CHECK(text_at(memory, mods[2]) == "one x");
  CHECK(mods[4] == 0x202000);
  CHECK(mods[5] == 5000);
  CHECK(text_at(memory, mods[6]) == "two");
  CHECK(memory.load<uint8_t>(Gpa{mods[4] + 4999}).value() == 8);
  const auto expected = vmm::memory_map(memory.size());
  REQUIRE(memory.load<uint32_t>(Gpa{at + 48}).value() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto range = memory.load<std::array<uint64_t, 3>>(Gpa{places[3] + i * 24}).value();
    CHECK(range[0] == expected[i].start.value);
    CHECK(range[1] == expected[i].bytes);
    CHECK(range[2] == static_cast<uint64_t>(expected[i].type));
  }
}

TEST_CASE("PVH: hostile images are refused, and cut off anywhere do no harm") {
  const GuestMemory memory = make_memory();
  check_refused(load(pvh_elf({.bytes = 0}), memory), "holds 0 bytes");
  check_refused(load(pvh_elf({.bytes = 3}), memory), "holds 3 bytes");
  check_refused(load(pvh_elf({.bytes = 9}), memory), "holds 0 bytes or is cut off");
  check_refused(load(pvh_elf({.bytes = 0xffffffff}), memory), "or is cut off");
  check_refused(load(pvh_elf({.bytes = 8, .entry = uint64_t{1} << 32}), memory), "above 4 GiB");
  check_refused(load(pvh_elf({.entry = 0x200080}), memory), "0x200080 is in no segment");
  check_refused(load(pvh_elf({}, [](ElfBuilder& e) { e.programs[0].p_memsz = 1; }), memory), "cannot hold");
  CHECK(!vmm::is_pvh(pvh_elf({.owner_bytes = 0xfffffffc})));
  CHECK(!vmm::is_pvh(pvh_elf({}, [](ElfBuilder& e) { e.programs[1].p_offset = ~uint64_t{0} - 3; })));
  CHECK(!vmm::is_pvh(pvh_elf({}, [](ElfBuilder& e) { e.header.e_phoff = ~uint64_t{0} - 3; })));
  const Bytes plain = ElfBuilder().bytes();
  check_refused(vmm::load_boot_image({.file = plain, .format = BootFormat::kPvh}, memory), "no ELF note");
  const Bytes whole = pvh_elf();
  for (size_t size = 0; size + 1 < whole.size(); ++size) {
    static_cast<void>(vmm::parse_pvh(std::span(whole).first(size)));
  }
}
