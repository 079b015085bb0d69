/* One VM with one vCPU in real mode, for the probes: libc and /dev/kvm, nothing else. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PROBE_MEMORY 0x10000u

struct probe {
  int vcpu;
  uint8_t* memory; /* PROBE_MEMORY bytes from guest-physical 0 */
  struct kvm_run* run;
};

static inline void must(int good, const char* what) {
  if (good) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(3);
}

static inline struct probe probe_make(void) {
  struct probe p;
  const int kvm = open("/dev/kvm", O_RDWR);
  must(kvm >= 0, "/dev/kvm");
  const int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  must(vm >= 0, "KVM_CREATE_VM");
  p.memory = mmap(NULL, PROBE_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(p.memory != MAP_FAILED, "memory");
  struct kvm_userspace_memory_region region = {.memory_size = PROBE_MEMORY, .userspace_addr = (uint64_t)p.memory};
  must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
  p.vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  must(p.vcpu >= 0, "KVM_CREATE_VCPU");
  p.run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, p.vcpu, 0);
  must(p.run != MAP_FAILED, "kvm_run");
  return p;
}

/* Real mode, interrupts on, all segments at 0. */
static inline void probe_stand_at(const struct probe* p, uint64_t rip) {
  struct kvm_sregs s;
  must(ioctl(p->vcpu, KVM_GET_SREGS, &s) == 0, "KVM_GET_SREGS");
  s.cs.base = 0, s.cs.selector = 0;
  must(ioctl(p->vcpu, KVM_SET_SREGS, &s) == 0, "KVM_SET_SREGS");
  const struct kvm_regs r = {.rip = rip, .rflags = 0x202, .rsp = 0x800};
  must(ioctl(p->vcpu, KVM_SET_REGS, &r) == 0, "KVM_SET_REGS");
}

static inline struct kvm_vcpu_events probe_events(const struct probe* p) {
  struct kvm_vcpu_events events;
  must(ioctl(p->vcpu, KVM_GET_VCPU_EVENTS, &events) == 0, "KVM_GET_VCPU_EVENTS");
  return events;
}

static inline void probe_set_events(const struct probe* p, const struct kvm_vcpu_events* events) {
  must(ioctl(p->vcpu, KVM_SET_VCPU_EVENTS, events) == 0, "KVM_SET_VCPU_EVENTS");
}

/* Until KVM comes back for something else than a signal. */
static inline uint64_t probe_enter(const struct probe* p) {
  int failed;
  do {
    failed = ioctl(p->vcpu, KVM_RUN, 0);
  } while (failed != 0 && errno == EINTR);
  must(failed == 0, "KVM_RUN");
  struct kvm_regs r;
  must(ioctl(p->vcpu, KVM_GET_REGS, &r) == 0, "KVM_GET_REGS");
  return r.rip;
}
