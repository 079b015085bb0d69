// Checks and prints what a Multiboot 2 loader hands over. Its header (start.S) asks for an entry other than
// the ELF header's, for page-aligned modules, and for all kinds of information that are printed here.
#include "guest.h"

struct tag {
  uint32_t type, size;
  uint8_t content[];
};
struct section {  // Elf64_Shdr
  uint32_t name, type;
  uint64_t flags, address, offset, bytes;
  uint32_t link, info;
  uint64_t align, entry_bytes;
};
enum { MOST_TYPES = 22 };

static const char* const names[MOST_TYPES] = {
    [1] = "command line", [2] = "loader name",  [3] = "module",       [4] = "basic memory",
    [6] = "memory map",   [9] = "ELF sections", [14] = "ACPI 1 RSDP", [15] = "ACPI 2 RSDP"};

static uint32_t word(const struct tag* tag, unsigned index) {
  return ((const volatile uint32_t*)tag->content)[index];
}

static unsigned sum_of(const uint8_t* bytes, uint32_t count) {
  unsigned sum = 0;
  for (uint32_t i = 0; i < count; ++i) sum += bytes[i];
  return sum;
}

static void show_module(const struct tag* tag) {
  const uint32_t start = word(tag, 0), end = word(tag, 1);
  print("module [%s] of %u bytes, aligned %u\n", (const char*)tag->content + 8, (uint64_t)(end - start),
        (uint64_t)(start % 4096 == 0));
  print("its bytes add up to %u\n", (uint64_t)sum_of((const uint8_t*)(uint64_t)start, end - start));
}

static void show_map(const struct tag* tag) {
  check_equal(word(tag, 0), 24, "entries of the memory map have 24 bytes");
  for (uint32_t at = 8; at < tag->size - 8; at += word(tag, 0)) {
    const uint64_t* entry = (const uint64_t*)(tag->content + at);
    print("memory %x + %x type %u\n", entry[0], entry[1], entry[2]);
  }
}

// The section that this very text's symbol table is in has a name, by the table of names that was loaded for
// it.
static void show_sections(const struct tag* tag) {
  const uint32_t count = word(tag, 0), bytes = word(tag, 1), strings = word(tag, 2);
  check_equal(bytes, sizeof(struct section), "section headers of an ELF64");
  const uint8_t* table = tag->content + 12;
  if (strings >= count) return check(0, "there is a section of names");
  const struct section* text = (const struct section*)(table + (uint64_t)strings * bytes);
  unsigned found = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const struct section* s = (const struct section*)(table + (uint64_t)i * bytes);
    const char* name = (const char*)(text->address + s->name);
    if (name[0] == '.' && name[1] == 's' && name[2] == 'y' && name[3] == 'm') {
      ++found;
      check(s->address != 0 && s->bytes > 0, "the symbols are loaded");
    }
  }
  check_equal(found, 1, "there is a section of symbols");
}

static void show_rsdp(const struct tag* tag, uint32_t bytes, const char* name) {
  check_equal(tag->size - 8, bytes, name);
  check(*(const uint64_t*)tag->content == 0x2052545020445352, "it is an RSDP");
  check_equal(sum_of(tag->content, bytes) & 255, 0, "its checksum");
}

static void show(const struct tag* tag) {
  switch (tag->type) {
    case 1:
      return print("command line [%s]\n", (const char*)tag->content);
    case 2:
      return print("loader %s\n", (const char*)tag->content);
    case 3:
      return show_module(tag);
    case 4:
      return print("lower memory %u KiB, upper memory %u KiB\n", (uint64_t)word(tag, 0),
                   (uint64_t)word(tag, 1));
    case 6:
      return show_map(tag);
    case 9:
      return show_sections(tag);
    case 14:
      return show_rsdp(tag, 20, "bytes of ACPI 1's RSDP");
    case 15:
      return show_rsdp(tag, 36, "bytes of ACPI 2's RSDP");
    default:
      print("tag %u of %u bytes\n", (uint64_t)tag->type, (uint64_t)tag->size);
  }
}

void guest_main(uint32_t magic, struct multiboot_info* info) {
  check_equal(magic, 0x36d76289, "Multiboot 2 magic");
  const uint8_t* start = (const uint8_t*)info;
  const uint32_t size = *(const uint32_t*)start;
  check((uint64_t)start % 8 == 0, "the information is aligned");
  unsigned seen[MOST_TYPES] = {0};
  uint32_t at = 8;
  while (at + 8 <= size) {
    const struct tag* tag = (const struct tag*)(start + at);
    at += (tag->size + 7) / 8 * 8;
    if (tag->type == 0) break;
    show(tag);
    if (tag->type < MOST_TYPES) ++seen[tag->type];
  }
  check_equal(at, size, "the tags end where the information does");
  for (unsigned type = 0; type < MOST_TYPES; ++type) {
    if (names[type] != 0) check_equal(seen[type], 1, names[type]);
  }
  end_guest();
}
