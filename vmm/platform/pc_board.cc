// Lines, interrupts and the serving thread's part; ports and MMIO are in pc_board_ports.cc.
#include "vmm/platform/pc_board.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "vmm/complete/complete.h"
#include "vmm/platform/firmware.h"
#include "vmm/run/exit.h"
#include "vmm/run/tiny_board.h"

namespace vmm {
namespace {

constexpr IsaIrq kTimerIrq{0};
constexpr IsaIrq kCom1Irq{4};
constexpr IsaIrq kCom2Irq{3};
constexpr IsaIrq kClockIrq{8};
constexpr Nanos kShortestTimer{200'000};  // ticks in between come together

apic::IoApicPin pin_of(IsaIrq irq) {
  return irq == kTimerIrq ? kTimerPin : apic::IoApicPin{static_cast<uint8_t>(irq)};
}

// Firmware's bytes: how much memory there is (the places are those of the AT and its successors).
void describe_memory(Rtc& rtc, uint64_t memory_bytes, uint32_t vcpus) {
  constexpr uint64_t kKiB = 1024;
  constexpr uint64_t kMiB = kKiB * kKiB;
  const auto set16 = [&](uint8_t index, uint64_t value) {
    const uint64_t fitting = std::min<uint64_t>(value, 0xffff);
    rtc.set_cmos(index, static_cast<uint8_t>(fitting));
    rtc.set_cmos(static_cast<uint8_t>(index + 1), static_cast<uint8_t>(fitting >> 8));
  };
  const uint64_t above_1 = memory_bytes - kMiB;
  set16(0x15, 640);
  set16(0x17, above_1 / kKiB);
  set16(0x30, above_1 / kKiB);
  set16(0x34, memory_bytes > 16 * kMiB ? (memory_bytes - 16 * kMiB) / (64 * kKiB) : 0);
  rtc.set_cmos(0x14, 0x02);  // equipment: a coprocessor, neither disks nor screen
  rtc.set_cmos(0x5f, static_cast<uint8_t>(std::min(vcpus - 1, 255u)));
}

}  // namespace

PcBoard::PcBoard(Vm& vm, Notifier& notifier, InterruptBus& bus, const Setup& setup, Outlets outlets)
    : vm_(vm),
      notifier_(notifier),
      bus_(bus),
      outlets_(std::move(outlets)),
      started_(monotonic_now()),
      com1_(
          [this](uint8_t byte) {
            outlets_.console({&byte, 1});
          },
          [this] { return console_ready(); }),
      com2_(
          [this](uint8_t byte) {
            if (outlets_.second) outlets_.second({&byte, 1});
          },
          {}),
      rtc_(setup.utc, started_),
      ioapic_(setup.ioapic_id, apic::LineSense::kRequest) {
  describe_memory(rtc_, vm.memory().size(), std::max(vm.vcpu_count(), 1u));
}

void PcBoard::wire() {
  Vcpu& bootstrap = vm_.vcpu(VcpuIndex{0});
  bootstrap.extint = this;
  // So that a triple fault can be told where it happened, or nearly so.
  for (uint32_t i = 0; i < vm_.vcpu_count(); ++i) vm_.vcpu(VcpuIndex{i}).kvm.keep_regs();
  if (vm_.fd().options().lapic == LapicPlace::kUserSpace) bootstrap.lapic.enter_virtual_wire_mode();
}

void PcBoard::ipi(Vcpu& source, const apic::IpiRequest& request) {
  deliver_ipi(vm_, notifier_, source, request);
}

void PcBoard::end_of_interrupt(Vcpu& vcpu, const apic::EndOfInterrupt& eoi) {
  notifier_.eoi(vcpu.id, sched::IrqVector{apic::raw(eoi.vector)});
  const sched::MutexLock lock(mutex_);
  if (eoi.broadcast) ioapic_.end_of_interrupt(eoi.vector, bus_);
  if (ticks_.taken_by_eoi(eoi.vector)) pulse_timer(monotonic_now());
}

// A line that is still active is sent again at once; but where the interrupt may have been ended too early, a
// moment later, or most of them would come twice.
void PcBoard::ioapic_eoi(apic::Vector vector) {
  const Nanos now = monotonic_now();
  const sched::MutexLock lock(mutex_);
  NoBus nobody;
  const bool early = bus_.ends_early();
  ioapic_.end_of_interrupt(vector, early ? static_cast<apic::MessageSink&>(nobody) : bus_);
  if (early) try_at_ = now + bus_.retry_every().value_or(Nanos{});
  if (ticks_.taken_by_eoi(vector)) pulse_timer(now);
  if (is_nearer()) outlets_.look_again();
}

void PcBoard::acceptance_changed() {
  const sched::MutexLock lock(mutex_);
  if (ioapic_.holds_messages()) ioapic_.retry(bus_);
}

bool PcBoard::complete_instruction(Vcpu& vcpu) {
  const auto done = complete_emulation(vcpu.kvm, vm_.memory());
  if (!done) fail(vcpu, done.error());
  return done.has_value();
}

void PcBoard::fail(const Vcpu& vcpu, const std::string& why) {
  const std::string text = fmt::format("vm{}/vcpu{}: {}", index_of(vm_.id()), index_of(vcpu.index), why);
  if (!vm_.end_with_failure(text)) return;
  notifier_.vm_ended(vm_.id());
  outlets_.look_again();
}

Next PcBoard::end_with(int code) {
  if (vm_.end_with_code(code)) {
    notifier_.vm_ended(vm_.id());
    outlets_.look_again();
  }
  return Next::kStopVm;
}

Next PcBoard::reset() {
  was_reset_.store(true, std::memory_order_relaxed);
  return end_with(0);
}

// ---- Interrupt lines ------------------------------------------------------------------------------------

bool PcBoard::requested() const { return intr_.load(std::memory_order_seq_cst); }

bool PcBoard::has_risen() const { return rose_.load(std::memory_order_seq_cst); }

bool PcBoard::take_rise() {
  if (!rose_.load(std::memory_order_seq_cst)) return false;  // most often
  return rose_.exchange(false, std::memory_order_seq_cst);
}

apic::Vector PcBoard::acknowledge() {
  const sched::MutexLock lock(mutex_);
  const PicPair::Acknowledged taken = pic_.acknowledge();
  if (!taken.spurious && taken.irq == kTimerIrq && ticks_.taken_by_pic()) pulse_timer(monotonic_now());
  update_intr();
  return taken.vector;
}

// By what the guest has left open. Masks do not change any more once all vCPUs stand still.
Wake PcBoard::may_wake() const {
  const sched::MutexLock lock(mutex_);
  if (vm_.vcpu(VcpuIndex{0}).lapic.lint0_sends_event()) return Wake::kEvents;
  bool interrupts = false;
  for (unsigned pin = 0; pin < apic::IoApic::kPins; ++pin) {
    if (!ioapic_.may_send(apic::IoApicPin(pin))) continue;
    switch (ioapic_.message(apic::IoApicPin(pin)).delivery) {
      case apic::DeliveryMode::kFixed:
      case apic::DeliveryMode::kLowestPriority:
      case apic::DeliveryMode::kExtInt:
        interrupts = true;
        break;
      default:
        return Wake::kEvents;
    }
  }
  for (const IsaIrq irq : {kTimerIrq, kCom1Irq, kCom2Irq, kClockIrq})
    interrupts = interrupts || pic_.is_unmasked(irq);
  return interrupts ? Wake::kInterrupts : Wake::kNothing;
}

void PcBoard::set_irq(IsaIrq irq, bool high) {
  pic_.set_line(irq, high);
  ioapic_.set_line(pin_of(irq), high, bus_);
}

void PcBoard::update_lines() {
  set_irq(kCom1Irq, com1_.interrupt_line());
  set_irq(kCom2Irq, com2_.interrupt_line());
  set_irq(kClockIrq, rtc_.interrupt_line());
  update_intr();
}

void PcBoard::update_intr() {
  const bool wanted = pic_.intr();
  if (wanted == intr_.load(std::memory_order_relaxed)) return;
  if (wanted) rose_.store(true, std::memory_order_seq_cst);  // partner: has_risen()
  intr_.store(wanted, std::memory_order_seq_cst);            // partner: requested()
  if (wanted) notifier_.interrupt_posted(vm_.vcpu(VcpuIndex{0}).id);
}

// Works out the timer's ticks up to now. Must come before whatever changes the timer.
void PcBoard::take_ticks(Nanos now) {
  ticks_.add(pit_.take_ticks(now));
  pulse_timer(now);
}

// Gives the next tick that waits to the 8259s and the IOAPIC. The output of the timer idles high: a tick is a
// short low and the edge behind it.
void PcBoard::pulse_timer(Nanos now) {
  if (!ticks_.ready(now)) return;
  struct Listener final : apic::MessageSink {
    explicit Listener(InterruptBus& to) : bus(to) {}
    bool send(const apic::InterruptMessage& message) override {
      vector = message.vector;
      return accepted = bus.send(message);
    }
    InterruptBus& bus;
    bool accepted = false;
    apic::Vector vector{};
  } listener(bus_);
  pic_.set_line(kTimerIrq, false);
  pic_.set_line(kTimerIrq, true);
  ioapic_.set_line(kTimerPin, false, bus_);
  ioapic_.set_line(kTimerPin, true, listener);
  const auto by_ioapic = bus_.tells_edge_ends() ? TickQueue::Path::kIoApic : TickQueue::Path::kIoApicUnsure;
  const auto path = listener.accepted             ? by_ioapic
                    : pic_.is_unmasked(kTimerIrq) ? TickQueue::Path::kPic
                                                  : TickQueue::Path::kNone;
  ticks_.sent(path, listener.vector, now);
  update_intr();
}

// ---- The serving thread ---------------------------------------------------------------------------------

size_t PcBoard::typed_room(Com com) {
  const sched::MutexLock lock(mutex_);
  return line_of(com).room();
}

void PcBoard::console_clear() {
  const sched::MutexLock lock(mutex_);
  com1_.line_clear();
  update_lines();
}

void PcBoard::drain_console() {
  const sched::MutexLock lock(mutex_);
  com1_.drain();
}

void PcBoard::receive(std::span<const uint8_t> typed, Com com) {
  const sched::MutexLock lock(mutex_);
  line_of(com).receive(typed);
  serial_used(line_of(com));
}

void PcBoard::serial_used(SerialLine& line) {
  update_lines();
  if (line.room_again()) outlets_.look_again();
}

std::optional<Nanos> PcBoard::next_deadline() {
  const sched::MutexLock lock(mutex_);
  told_ = deadline();
  return told_;
}

std::optional<Nanos> PcBoard::deadline() const {
  auto next = pit_.next_tick();
  if (next) next = std::max(*next, served_ + kShortestTimer);
  if (bus_.retry_every() && ioapic_.holds_messages()) {
    next = std::min(next.value_or(sched::kForever), std::max(try_at_, served_ + kShortestTimer));
  }
  const auto clock = rtc_.next_event();
  if (next && clock) return std::min(*next, *clock);
  return next ? next : clock;
}

bool PcBoard::is_nearer() const {
  const auto next = deadline();
  return next && (!told_ || *next < *told_);
}

void PcBoard::run_timers(Nanos now) {
  const sched::MutexLock lock(mutex_);
  served_ = now;
  take_ticks(now);
  rtc_.advance(now);
  update_lines();
  try_again(now);
}

void PcBoard::try_again(Nanos now) {
  const auto every = bus_.retry_every();
  if (!every || !ioapic_.holds_messages() || now < try_at_) return;
  ioapic_.retry(bus_);
  try_at_ = now + *every;
}

Unclaimed PcBoard::unclaimed() const {
  const sched::MutexLock lock(mutex_);
  return unclaimed_;
}

PcBoard::Lost PcBoard::lost() const {
  const sched::MutexLock lock(mutex_);
  return {.written = lost_debug_ + com1_.lost_written(), .typed = com1_.lost_typed()};
}

}  // namespace vmm
