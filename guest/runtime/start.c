/* From the ELF entry point to the workload's run(). Everything before kvmux_enter_user() runs at CPL 0, where
 * some hosts interpret: keep it short. */
#include "guest/runtime/idt.h"
#include "guest/runtime/lapic.h"
#include "guest/runtime/runtime.h"
#include "guest/runtime/spin.h"
#include "guest/runtime/work.h"

#define MSR_GS_BASE 0xc0000101u

static uint64_t arrived CACHE_LINE;

void stop(const struct kvmux_boot_info* boot, uint64_t code) {
  for (;;) kvmux_ring_bell(boot, KVMUX_BELL_STOP, code);
}

void refuse(const struct vcpu* self, const char* why) {
  kvmux_ring_bell(self->boot, KVMUX_BELL_LOG, (uint64_t)why);
  stop(self->boot, STOP_REFUSED);
}

void require_xapic_ids(const struct vcpu* self) {
  if (self->boot->vcpu_count > XAPIC_MAX_VCPUS) {
    refuse(self, "this guest sends IPIs to single vCPUs, which xAPIC ids allow for at most 255 of them");
  }
}

void* heap(struct vcpu* self, uint64_t bytes) {
  char* start = (char*)vcpu_at(self->boot, self->boot->vcpu_count);
  if (bytes > self->boot->free_end - (uint64_t)start) {
    refuse(self, "not enough guest memory for this workload with as many vCPUs");
  }
  return start;
}

void start_together(struct vcpu* self) {
  mark(self, KVMUX_MARK_ARRIVES, &arrived);
  sync_waits(self, KVMUX_WAITS_BARRIER, &arrived, 1);
  __atomic_fetch_add(&arrived, 1, __ATOMIC_RELEASE);
  spin_begin(self);
  for (uint64_t seen = load_word(&arrived); seen < self->boot->vcpu_count; seen = load_word(&arrived)) {
    spin_while_equal(self, &arrived, seen);
  }
  sync_wait_over(self);
  mark_wait_over(self);
}

__attribute__((weak)) void irq_work(struct vcpu* self) { (void)self; }

static void set_gs_base(uint64_t base) {
  /* The selector first: IRETQ to CPL 3 clears a selector of DPL 0, and on some CPUs its base with it. */
  __asm__ volatile("mov %0, %%gs" : : "r"(0));
  __asm__ volatile("wrmsr" : : "c"(MSR_GS_BASE), "a"((uint32_t)base), "d"((uint32_t)(base >> 32)));
}

static int boot_info_fits(const struct kvmux_boot_info* boot) {
  return boot->magic == KVMUX_ABI_MAGIC && boot->version == KVMUX_ABI_VERSION &&
         boot->size >= sizeof(struct kvmux_boot_info);
}

static struct vcpu* set_up(const struct kvmux_boot_info* boot, uint64_t index) {
  struct vcpu* self = vcpu_at(boot, index);
  self->self = self;
  self->boot = boot;
  self->index = index;
  self->results = kvmux_results(boot, index);
  self->results->sync.version = KVMUX_SYNC_VERSION;
  self->ipis_handled = &self->results->ipis_handled;
  self->marks = kvmux_marks(boot, index);
  self->lapic_eoi = (uint32_t*)(boot->lapic + LAPIC_EOI);
  return self;
}

__attribute__((noreturn)) void _start(const struct kvmux_boot_info* boot, uint64_t index) {
  if (!boot_info_fits(boot)) {
    /* Without a boot page that we understand the doorbell's address is unknown. */
    for (;;)
      __asm__ volatile("outb %0, %1" : : "a"((uint8_t)STOP_REFUSED), "Nd"((uint16_t)KVMUX_PORT_DEBUG_EXIT));
  }
  if ((uint64_t)vcpu_at(boot, boot->vcpu_count) > boot->free_end) {
    kvmux_ring_bell(boot, KVMUX_BELL_LOG, (uint64_t) "not enough guest memory for as many vCPUs");
    stop(boot, STOP_REFUSED);
  }
  struct vcpu* self = set_up(boot, index);
  set_gs_base((uint64_t)self);
  idt_load();
  lapic_enable(self);
  if (boot->ring == 3) {
    kvmux_enter_user(1);
  } else {
    __asm__ volatile("sti");
  }
  spin_configure(self);
  work_configure(self);
  store_word(&self->results->state, KVMUX_VCPU_RUNNING);
  run(self);
  store_word(&self->results->state, KVMUX_VCPU_DONE);
  stop(boot, 0);
}
