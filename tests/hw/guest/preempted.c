/* What Linux' vcpu_is_preempted would answer, asked from user space: the byte `preempted` of each CPU's struct kvm_steal_time, which
 * __kvm_vcpu_is_preempted reads, by /proc/kcore (Linux Documentation/virt/kvm/x86/msr.rst, MSR_KVM_STEAL_TIME). Every CPU is kept
 * busy; the first one looks at all for three seconds. Root, in a guest.
 *
 * Lines: `guest: preempted function yes` if pv_ops has KVM's function, and `guest: preempted others P own Q`, the percentages of looks at
 * which the other CPUs' byte was set, and the looking CPU's own. Exit status 1 if it cannot be told. */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PREEMPTED 16 /* offset in struct kvm_steal_time */
#define PV_OPS_BYTES 1024
#define CPUS_MOST 64
#define SECONDS 3

static int kcore;

static void must(int good, const char* what) {
  if (good) return;
  printf("guest: preempted: %s\n", what);
  exit(1);
}

static uint64_t symbol(const char* name) {
  FILE* file = fopen("/proc/kallsyms", "re");
  must(file != NULL, "no /proc/kallsyms");
  char line[512], found[256], type;
  unsigned long long address, result = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "%llx %c %255s", &address, &type, found) == 3 && strcmp(found, name) == 0) result = address;
  }
  fclose(file);
  must(result != 0, name);
  return result;
}

static void read_kernel(uint64_t address, void* to, size_t bytes) {
  Elf64_Ehdr head;
  must(pread(kcore, &head, sizeof head, 0) == sizeof head, "/proc/kcore");
  for (int i = 0; i < head.e_phnum; ++i) {
    Elf64_Phdr part;
    must(pread(kcore, &part, sizeof part, (off_t)(head.e_phoff + (size_t)i * sizeof part)) == sizeof part, "/proc/kcore");
    if (part.p_type != PT_LOAD || address < part.p_vaddr || address - part.p_vaddr >= part.p_memsz) continue;
    must(pread(kcore, to, bytes, (off_t)(part.p_offset + (address - part.p_vaddr))) == (ssize_t)bytes, "/proc/kcore");
    return;
  }
  must(0, "an address that /proc/kcore does not have");
}

static void stay_on(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  must(sched_setaffinity(0, sizeof one, &one) == 0, "sched_setaffinity");
}

static void look_for_function(void) {
  const uint64_t function = symbol("__raw_callee_save___kvm_vcpu_is_preempted");
  uint64_t pointers[PV_OPS_BYTES / 8];
  read_kernel(symbol("pv_ops"), pointers, sizeof pointers);
  int found = 0;
  for (size_t i = 0; i < sizeof pointers / sizeof pointers[0]; ++i) found |= pointers[i] == function;
  printf("guest: preempted function %s\n", found ? "yes" : "no");
}

int main(void) {
  const int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
  must(cpus >= 2 && cpus <= CPUS_MOST, "2 to 64 CPUs are needed");
  kcore = open("/proc/kcore", O_RDONLY | O_CLOEXEC);
  must(kcore >= 0, "no /proc/kcore");
  look_for_function();
  uint64_t offsets[CPUS_MOST], bytes[CPUS_MOST];
  read_kernel(symbol("__per_cpu_offset"), offsets, (size_t)cpus * sizeof offsets[0]);
  for (int i = 0; i < cpus; ++i) bytes[i] = symbol("steal_time") + offsets[i] + PREEMPTED;
  pid_t busy[CPUS_MOST];
  for (int i = 1; i < cpus; ++i) {
    busy[i] = fork();
    if (busy[i] != 0) continue;
    stay_on(i);
    for (;;) __asm__ volatile("");
  }
  stay_on(0);
  long looks = 0, others = 0, own = 0;
  for (const time_t end = time(NULL) + SECONDS; time(NULL) < end; ++looks) {
    for (int i = 0; i < cpus; ++i) {
      uint8_t preempted = 0;
      read_kernel(bytes[i], &preempted, 1);
      *(i == 0 ? &own : &others) += preempted != 0;
    }
  }
  for (int i = 1; i < cpus; ++i) kill(busy[i], SIGKILL);
  must(looks > 0, "no look in three seconds");
  printf("guest: preempted others %ld own %ld\n", others * 100 / (looks * (cpus - 1)), own * 100 / looks);
  return 0;
}
