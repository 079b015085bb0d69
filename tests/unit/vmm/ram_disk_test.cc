// The RAM disk's bytes, what an ELF file needs, and the words of Debian's files.
#include "vmm/linux/ram_disk.h"

#include <doctest/doctest.h>
#include <elf.h>
#include <zlib.h>

#include <cstring>

#include "guest/embedded.h"
#include "vmm/linux/elf_needs.h"
#include "vmm/linux/packages.h"

using namespace vmm::linux_guest;

namespace {

// "mode name=content" of each member, in the order of the archive.
std::vector<std::string> members_of(const std::string& archive) {
  std::vector<std::string> members;
  const auto field = [&](size_t at, size_t index) {
    return std::stoul(archive.substr(at + 6 + 8 * index, 8), nullptr, 16);
  };
  for (size_t at = 0;;) {
    REQUIRE(archive.size() >= at + 110);
    REQUIRE(archive.substr(at, 6) == "070701");
    const size_t size = field(at, 6);
    const size_t name_size = field(at, 11);
    const std::string name = archive.substr(at + 110, name_size - 1);
    if (name == "TRAILER!!!") return members;
    for (const size_t zero : {2, 3, 5, 7, 8, 12}) CHECK(field(at, zero) == 0);
    size_t content = (at + 110 + name_size + 3) / 4 * 4;
    char mode[16];
    std::snprintf(mode, sizeof mode, "%lo ", field(at, 1));
    members.push_back(mode + name + "=" + archive.substr(content, size));
    at = (content + size + 3) / 4 * 4;
  }
}

RamDisk example(bool other_order) {
  RamDisk disk;
  const auto first = [&] { disk.file("usr/bin/a", "abc", true); };
  const auto second = [&] { disk.link("bin/sh", "busybox"); };
  if (other_order) second();
  first();
  if (!other_order) second();
  disk.file("etc/x", "", false);
  disk.character_device("dev/console", 5, 1);
  return disk;
}

}  // namespace

TEST_CASE("ram disk: members in order, folders made and before what lies in them") {
  const std::string archive = example(false).bytes();
  CHECK(members_of(archive) ==
        std::vector<std::string>{"40755 bin=", "120777 bin/sh=busybox",
                                 "40755 dev=", "20600 dev/console=", "40755 etc=", "100644 etc/x=",
                                 "40755 usr=", "40755 usr/bin=", "100755 usr/bin/a=abc"});
  CHECK(archive.size() % 512 == 0);
  CHECK(archive == example(true).bytes());
}

TEST_CASE("ram disk: gzip gives it back, and the same bytes each time") {
  const std::string archive = example(false).bytes();
  const std::string packed = gzip(archive);
  CHECK(packed == gzip(archive));
  std::string unpacked(archive.size(), '\0');
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(unpacked.data());
  stream.avail_out = static_cast<uInt>(unpacked.size());
  CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  inflateEnd(&stream);
  CHECK(unpacked == archive);
}

TEST_CASE("elf needs: interpreter and libraries, and what is no ELF file") {
  // A loaded segment with the tables, at the address where it is in the file.
  std::string file(0x400, '\0');
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 3;
  const auto segment = [](uint32_t type, uint64_t offset, uint64_t size) {
    Elf64_Phdr program{};
    program.p_type = type;
    program.p_offset = program.p_vaddr = offset;
    program.p_filesz = program.p_memsz = size;
    return program;
  };
  const Elf64_Phdr segments[] = {segment(PT_LOAD, 0, 0x400), segment(PT_INTERP, 0x200, 8),
                                 segment(PT_DYNAMIC, 0x300, 0x100)};
  const Elf64_Dyn dynamic[] = {{DT_NEEDED, {1}}, {DT_STRTAB, {0x280}}, {DT_NEEDED, {11}}, {DT_NULL, {0}}};
  std::memcpy(file.data(), &header, sizeof header);
  std::memcpy(file.data() + sizeof header, segments, sizeof segments);
  std::memcpy(file.data() + 0x200, "/lib/ld", 8);
  std::memcpy(file.data() + 0x280, "\0libc.so.6\0libm.so.6", 21);
  std::memcpy(file.data() + 0x300, dynamic, sizeof dynamic);
  const auto needs = elf_needs(file);
  REQUIRE(needs);
  CHECK(needs->interpreter == "/lib/ld");
  CHECK(needs->libraries == std::vector<std::string>{"libc.so.6", "libm.so.6"});
  // Cut anywhere it is damaged or says less, and nothing is read behind its end.
  for (size_t size = 0; size < file.size(); ++size) (void)elf_needs(std::string(file, 0, size));
  CHECK_FALSE(elf_needs("#!/bin/sh\n"));
  const auto agent = guests::linux_agent();
  const auto of_agent = elf_needs({reinterpret_cast<const char*>(agent.data()), agent.size()});
  REQUIRE(of_agent);  // static: it runs without anything else
  CHECK(of_agent->interpreter.empty());
  CHECK(of_agent->libraries.empty());
}

TEST_CASE("debian packages: fields and mirrors") {
  CHECK(names_in_depends("libc6 (>= 2.34), libpopt0 (>= 1.14), a:any | b-c\n") ==
        std::vector<std::string>{"libc6", "libpopt0", "a", "b-c"});
  CHECK(names_in_depends("").empty());
  CHECK(mirror_in("deb http://deb.debian.org/debian bookworm main") == "http://deb.debian.org/debian");
  CHECK(mirror_in("Types: deb\nURIs: https://mirror.example/debian/\nSuites: trixie") ==
        "https://mirror.example/debian");
  CHECK(mirror_in("deb http://security.debian.org/debian-security bookworm-security main").empty());
  CHECK(mirror_in("deb http://snapshot.debian.org/archive/debian/2024 bookworm main").empty());
}
