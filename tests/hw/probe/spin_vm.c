/* Does the machine under KVM keep a guest's address space? One VM, its vCPUs spin for ever in a loop of PAUSE, load and
 * compare in long mode; a thread for each, more threads than CPUs, so that the host's tick takes turns. Nothing is ever
 * injected and no register is written after the start. There is no IDT: whatever exception the guest takes is a triple
 * fault. None may happen, so each one is a fault of KVM or of what it runs on.
 *
 * spin_vm VCPUS SECONDS: a line for each shutdown; exit status 1 if there was one. Needs nothing but libc. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MEMORY (4u << 20)
#define MEMORY_ALIGNMENT (2u << 20)
#define SIGNAL_PERIOD_US 2000u
#define CODE 0x100000u
#define WORD 0x110000u
#define PML4 0x2000u
#define PDPT 0x3000u
#define PD 0x4000u
#define PT 0x5000u

/* 1: pause; mov (%rbx), %eax; cmp %edx, %eax; je 1b; hlt */
static const uint8_t loop_code[] = {0xf3, 0x90, 0x8b, 0x03, 0x39, 0xd0, 0x74, 0xf8, 0xf4};

static int vm;
static uint8_t* memory;
static size_t run_bytes;
static volatile int stop_now;
static int shutdowns;
static unsigned long entries;

static void must(int good, const char* what) {
  if (good) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(3);
}

static void write_tables(void) {
  const uint64_t present_writable = 3;
  *(uint64_t*)(memory + PML4) = PDPT | present_writable;
  *(uint64_t*)(memory + PDPT) = PD | present_writable;
  *(uint64_t*)(memory + PD) = PT | present_writable;
  for (uint64_t page = 0; page < 512; ++page) ((uint64_t*)(memory + PT))[page] = page << 12 | present_writable;
  memcpy(memory + CODE, loop_code, sizeof(loop_code));
}

static void set_start_state(int fd) {
  struct kvm_sregs s;
  must(ioctl(fd, KVM_GET_SREGS, &s) == 0, "KVM_GET_SREGS");
  const struct kvm_segment data = {.limit = 0xffffffff, .selector = 0x10, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
  struct kvm_segment code = data;
  code.selector = 8, code.type = 11, code.db = 0, code.l = 1;
  s.cs = code, s.ds = s.es = s.fs = s.gs = s.ss = data;
  s.cr0 = 0x80000011, s.cr3 = PML4, s.cr4 = 0x20, s.efer = 0x500;
  s.idt.limit = 0;
  must(ioctl(fd, KVM_SET_SREGS, &s) == 0, "KVM_SET_SREGS");
  struct kvm_regs r = {.rip = CODE, .rflags = 2, .rbx = WORD};
  must(ioctl(fd, KVM_SET_REGS, &r) == 0, "KVM_SET_REGS");
}

static void wake(int signal) { (void)signal; }

static void* run_vcpu(void* index) {
  const long id = (long)index;
  const int fd = ioctl(vm, KVM_CREATE_VCPU, id);
  must(fd >= 0, "KVM_CREATE_VCPU");
  struct kvm_run* run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  must(run != MAP_FAILED, "mmap");
  set_start_state(fd);
  while (!stop_now) {
    const int failed = ioctl(fd, KVM_RUN, 0);
    __atomic_add_fetch(&entries, 1, __ATOMIC_RELAXED);
    if (failed != 0 && (errno == EINTR || errno == EAGAIN)) continue;
    must(failed == 0, "KVM_RUN");
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("vCPU %ld: exit reason %u%s, at %ld.%03ld s\n", id, run->exit_reason,
           run->exit_reason == KVM_EXIT_SHUTDOWN ? " (triple fault)" : "", (long)now.tv_sec, now.tv_nsec / 1000000);
    fflush(stdout);
    __atomic_add_fetch(&shutdowns, 1, __ATOMIC_RELAXED);
    set_start_state(fd);
  }
  return NULL;
}

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const long vcpus = atol(arguments[1]);
  const unsigned seconds = (unsigned)atol(arguments[2]);
  const int kvm = open("/dev/kvm", O_RDWR);
  must(kvm >= 0, "/dev/kvm");
  vm = ioctl(kvm, KVM_CREATE_VM, 0);
  must(vm >= 0, "KVM_CREATE_VM");
  run_bytes = (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  memory = aligned_alloc(MEMORY_ALIGNMENT, MEMORY);
  must(memory != NULL, "memory");
  (void)madvise(memory, MEMORY, MADV_HUGEPAGE); /* as a hypervisor would have it; goes without */
  memset(memory, 0, MEMORY);
  write_tables();
  struct kvm_userspace_memory_region region = {.memory_size = MEMORY, .userspace_addr = (uint64_t)memory};
  must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
  struct sigaction action = {.sa_handler = wake};
  sigaction(SIGUSR1, &action, NULL);
  pthread_t threads[64];
  for (long i = 0; i < vcpus && i < 64; ++i) must(pthread_create(&threads[i], NULL, run_vcpu, (void*)i) == 0, "thread");
  for (unsigned s = 0; s < seconds * (1000000 / SIGNAL_PERIOD_US); ++s) {
    usleep(SIGNAL_PERIOD_US);
    /* Leaves KVM_RUN now and then, as any hypervisor does. */
    for (long i = 0; i < vcpus && i < 64; ++i) pthread_kill(threads[i], SIGUSR1);
  }
  stop_now = 1;
  for (long i = 0; i < vcpus && i < 64; ++i) pthread_kill(threads[i], SIGUSR1);
  usleep(200000);
  printf("%ld vCPUs, %u s, %lu entries: %d exits that cannot be\n", vcpus, seconds, entries, shutdowns);
  fflush(stdout);
  _exit(shutdowns != 0);
}
