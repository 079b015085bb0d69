/* Does KVM take the first exit behind a delivered event for one in the middle of its delivery? One vCPU is entered with an event
 * injected, whose handler's first instruction writes to memory that is not there. KVM must come back with KVM_EXIT_MMIO; where it
 * sees a delivery unfinished it comes back with KVM_EXIT_INTERNAL_ERROR, suberror 3 (KVM_INTERNAL_ERROR_DELIVERY_EV). What the
 * processor said of the delivery (EXITINTINFO, AMD APM volume 2, 15.7.2: type in bits 10:8, valid in bit 31) is `intr_info` of the
 * trace point kvm:kvm_exit.
 *
 * first_exit: a line for each event; exit status 1 if one of them did not come through. */
#include "vm.h"

#define CODE 0x1000u
#define HANDLER 0x2000u
#define NMI 2
#define GENERAL_PROTECTION 13
#define EXTERNAL 0x30

static const uint8_t code[] = {0xeb, 0xfe};                /* 1: jmp 1b */
static const uint8_t handler[] = {0xa2, 0, 0, 0xeb, 0xfe}; /* mov %al, 0; 1: jmp 1b */

static void set_vector(const struct probe* p, unsigned vector) {
  const uint32_t far_pointer = HANDLER;
  memcpy(p->memory + 4 * vector, &far_pointer, sizeof(far_pointer));
}

/* Each time before another page that is not there: KVM remembers where it found nothing. */
static void stand(const struct probe* p) {
  static uint32_t nowhere = PROBE_MEMORY;
  nowhere += 0x1000;
  probe_stand_at(p, CODE);
  struct kvm_sregs s;
  must(ioctl(p->vcpu, KVM_GET_SREGS, &s) == 0, "KVM_GET_SREGS");
  s.ds.base = nowhere, s.ds.selector = (uint16_t)(nowhere >> 4);
  must(ioctl(p->vcpu, KVM_SET_SREGS, &s) == 0, "KVM_SET_SREGS");
}

/* KVM finishes an access at the next entry, and goes no further with this. */
static void finish_access(const struct probe* p) {
  p->run->immediate_exit = 1;
  must(ioctl(p->vcpu, KVM_RUN, 0) != 0 && errno == EINTR, "an entry that was called off");
  p->run->immediate_exit = 0;
}

static int came_through(const struct probe* p, const char* event) {
  const uint64_t rip = probe_enter(p);
  if (p->run->exit_reason == KVM_EXIT_MMIO) {
    printf("%s: KVM_EXIT_MMIO at rip %#llx\n", event, (unsigned long long)rip);
    return 1;
  }
  printf("%s: exit reason %u at rip %#llx", event, p->run->exit_reason, (unsigned long long)rip);
  if (p->run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
    printf(", suberror %u, data", p->run->internal.suberror);
    for (unsigned i = 0; i < p->run->internal.ndata; ++i) printf(" %#llx", (unsigned long long)p->run->internal.data[i]);
  }
  printf("\n");
  return 0;
}

static int interrupt_comes_through(const struct probe* p, const char* event) {
  stand(p);
  const struct kvm_interrupt interrupt = {.irq = EXTERNAL};
  must(ioctl(p->vcpu, KVM_INTERRUPT, &interrupt) == 0, "KVM_INTERRUPT");
  return came_through(p, event);
}

int main(void) {
  const struct probe p = probe_make();
  memcpy(p.memory + CODE, code, sizeof(code));
  memcpy(p.memory + HANDLER, handler, sizeof(handler));
  set_vector(&p, EXTERNAL);
  set_vector(&p, GENERAL_PROTECTION);
  set_vector(&p, NMI);

  /* The first one makes KVM map the pages, so that behind the others no exit comes for that. */
  int good = interrupt_comes_through(&p, "external interrupt");
  finish_access(&p);
  good &= interrupt_comes_through(&p, "external interrupt");
  finish_access(&p);

  stand(&p);
  struct kvm_vcpu_events events = probe_events(&p);
  events.exception.injected = 1;
  events.exception.nr = GENERAL_PROTECTION;
  probe_set_events(&p, &events);
  good &= came_through(&p, "exception");
  finish_access(&p);

  stand(&p);
  must(ioctl(p.vcpu, KVM_NMI) == 0, "KVM_NMI");
  good &= came_through(&p, "NMI");
  return !good;
}
