/* What does a page fault of LOCK CMPXCHG16B say? A locked read-modify-write is a write to the page tables' checks, whether or not the
 * comparison holds (Intel SDM volume 3, 4.7; AMD APM volume 3, CMPXCHG16B): bit 1 of the error code. No KVM: a program on memory
 * that is not mapped, and its SIGSEGV.
 *
 * cmpxchg16b: the error code; exit status 1 if it does not say write. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define WRITE 2

static void on_fault(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)info;
  const long long code = ((const ucontext_t*)context)->uc_mcontext.gregs[REG_ERR];
  printf("%ld CPUs: error code %#llx: %s\n", sysconf(_SC_NPROCESSORS_ONLN), (unsigned long long)code,
         code & WRITE ? "a write" : "a read");
  fflush(stdout);
  _exit((code & WRITE) == 0);
}

int main(void) {
  const struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  void* page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  unsigned long long low = 0, high = 0;
  __asm__ volatile("lock cmpxchg16b (%2)" : "+a"(low), "+d"(high) : "r"(page), "b"(1ull), "c"(0ull) : "memory", "cc");
  return 3; /* it did not fault */
}
