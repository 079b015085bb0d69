// Prints back what a Multiboot loader hands over, starts all processors that the tables name, and has each of
// them say so, in order.
#include "guest.h"

static volatile uint32_t turn = 1;

static void say_hello(uint32_t id) {
  wait_for(&turn, id);
  print("cpu %u is here\n", (uint64_t)id);
  turn = id + 1;
}

void guest_main(uint32_t magic, struct multiboot_info* info) {
  load_idt();
  enable_apic();
  calibrate();
  check_equal(magic, 0x2badb002, "multiboot magic");
  check((info->flags & 0x24d) == 0x24d, "memory, command line, modules, map and name are there");
  print("lower memory %u KiB, upper memory %u KiB\n", (uint64_t)info->mem_lower, (uint64_t)info->mem_upper);
  print("loader %s\n", (const char*)(uint64_t)info->loader_name);
  print("command line [%s]\n", (const char*)(uint64_t)info->cmdline);
  const struct multiboot_module* modules = (const struct multiboot_module*)(uint64_t)info->mods_addr;
  for (uint32_t i = 0; i < info->mods_count; ++i) {
    print("module %u [%s] of %u bytes, aligned %u\n", (uint64_t)i, (const char*)(uint64_t)modules[i].text,
          (uint64_t)(modules[i].end - modules[i].start), (uint64_t)(modules[i].start % 4096 == 0));
    const char* text = (const char*)(uint64_t)modules[i].start;
    uint64_t sum = 0;
    for (uint32_t at = 0; at < modules[i].end - modules[i].start; ++at) sum += (uint8_t)text[at];
    print("its bytes add up to %u\n", sum);
  }
  for (uint32_t at = 0; at < info->mmap_length;) {
    const uint8_t* entry = (const uint8_t*)(uint64_t)(info->mmap_addr + at);
    print("memory %x + %x type %u\n", *(const volatile uint64_t*)(entry + 4),
          *(const volatile uint64_t*)(entry + 12), (uint64_t) * (const volatile uint32_t*)(entry + 20));
    at += *(const volatile uint32_t*)entry + 4;
  }
  const uint32_t cpus = cpus_in_madt();
  check_equal(cpus_in_mp_table(), cpus, "MP table and MADT agree");
  print("%u processors\n", (uint64_t)cpus);
  check(start_cpus(cpus, say_hello), "all processors started");
  check(wait_for(&turn, cpus), "all processors ran");
  end_guest();
}
