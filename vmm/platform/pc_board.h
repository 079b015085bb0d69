// The PC board: what surrounds the vCPUs of a guest that expects a PC. COM1 (IRQ 4), COM2 (IRQ 3), 8259s at the bootstrap
// processor's LINT0, IOAPIC, PIT (IRQ 0, IOAPIC pin 2), RTC (IRQ 8), keyboard controller, ACPI fixed
// hardware, reset and debug ports, a PCI bus without devices. Whatever nobody claims reads as ones and ignores writes, and is counted.
//
// Threads. Board's functions: any lease holder of the VM's vCPUs, several at a time; one lock guards the
// devices. Besides, one thread serves the board: it calls receive() with what was typed, console_clear() when
// the console has room again, and run_timers() no later than next_deadline(); when that may have come nearer,
// there is room again for what is typed, or the VM has ended, Outlets::look_again is called.
//
// Order: construct → wire() once all vCPUs are there → engine.start() … engine.stop() → destroy.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <span>

#include "apic/ioapic.h"
#include "sched/base/mutex.h"
#include "vmm/platform/keyboard.h"
#include "vmm/platform/pic.h"
#include "vmm/platform/pit.h"
#include "vmm/platform/rtc.h"
#include "vmm/platform/serial_line.h"
#include "vmm/platform/tick_queue.h"
#include "vmm/run/board.h"
#include "vmm/run/vm.h"

namespace vmm {

// Accesses that nobody claimed.
struct Unclaimed {
  uint64_t port_reads = 0;
  uint64_t port_writes = 0;
  uint64_t mmio_reads = 0;
  uint64_t mmio_writes = 0;
  uint64_t total() const { return port_reads + port_writes + mmio_reads + mmio_writes; }
};

// Where the board's effects go.
struct Outlets {
  std::function<void(std::span<const uint8_t>)> console;  // called with the board's lock held
  std::function<bool()> console_ready = {};               // likewise: console() has room; empty: always
  std::function<void()> look_again;                       // any thread
  // COM2's bytes, likewise with the lock held; it has always room. Empty: nobody listens there.
  std::function<void(std::span<const uint8_t>)> second = {};
};

// The board's serial ports.
enum class Com : uint8_t { k1, k2 };

// Holds back whatever the IOAPIC would send.
class NoBus final : public apic::MessageSink {
 public:
  bool send(const apic::InterruptMessage&) override { return false; }
};

// How the IOAPIC's messages reach the local APICs.
class InterruptBus : public apic::MessageSink {
 public:
  // The IOAPIC's redirection entries may have changed. 0, or the errno of a host that cannot follow.
  [[nodiscard]] virtual int entries_changed(const apic::IoApic& ioapic) = 0;
  // The end of an edge-triggered interrupt is certain to be told.
  virtual bool tells_edge_ends() const = 0;
  // An interrupt may be ended as it is delivered, before its handler has masked the line or quieted its
  // device.
  virtual bool ends_early() const = 0;
  // How long to wait before what is held back is tried again; nothing: no need to wait, since local APICs say
  // when they accept more (Board::acceptance_changed()) and when an interrupt has ended.
  virtual std::optional<Nanos> retry_every() const = 0;
};

inline constexpr apic::IoApicPin kTimerPin{2};  // where the platform tables say that the PIT is

class PcBoard final : public Board, private ExtIntSource {
 public:
  struct Setup {
    uint8_t ioapic_id = 0;
    int64_t utc = 0;  // the guest's wall clock at its start
  };
  // All must outlive the board.
  PcBoard(Vm& vm, Notifier& notifier, InterruptBus& bus, const Setup& setup, Outlets outlets);

  // Connects the 8259s and NMI line to the bootstrap processor, as firmware leaves them.
  void wire();

  void ipi(Vcpu& source, const apic::IpiRequest& request) override;
  void end_of_interrupt(Vcpu& vcpu, const apic::EndOfInterrupt& eoi) override;
  Next port_read(Vcpu& vcpu, uint16_t port, std::span<uint8_t> data) override;
  Next port_write(Vcpu& vcpu, uint16_t port, std::span<const uint8_t> data) override;
  Next mmio_read(Vcpu& vcpu, Gpa address, std::span<uint8_t> data) override;
  Next mmio_write(Vcpu& vcpu, Gpa address, std::span<const uint8_t> data) override;
  void ioapic_eoi(apic::Vector vector) override;
  void acceptance_changed() override;
  bool is_ram(Gpa page) const override { return page.value < vm_.memory().size(); }
  bool complete_instruction(Vcpu& vcpu) override;
  Wake may_wake() const override;
  void fail(const Vcpu& vcpu, const std::string& why) override;

  // The serving thread.
  // So much of what is typed has room; none: look_again is called when that has changed.
  [[nodiscard]] size_t typed_room(Com com = Com::k1);
  // What is typed beyond that is lost and counted.
  void receive(std::span<const uint8_t> typed, Com com = Com::k1);
  // The console is ready again.
  void console_clear();
  // The guest has ended, no vCPU runs any more: what it has written and the console had no room for yet goes
  // out.
  void drain_console();
  [[nodiscard]] std::optional<Nanos> next_deadline();
  void run_timers(Nanos now);

  [[nodiscard]] Unclaimed unclaimed() const;
  // Bytes of COM1 that found no room: written by a guest that did not look whether the line was free, or typed for a
  // guest that does not read.
  struct Lost {
    uint64_t written = 0;
    uint64_t typed = 0;
  };
  [[nodiscard]] Lost lost() const;
  // The guest asked for a reset, which ends it here.
  [[nodiscard]] bool was_reset() const { return was_reset_.load(std::memory_order_relaxed); }

 private:
  // ExtIntSource
  bool requested() const override;
  bool has_risen() const override;
  bool take_rise() override;
  apic::Vector acknowledge() override;

  [[nodiscard]] std::optional<uint8_t> read_byte(uint16_t port, Nanos now) SCHED_REQUIRES(mutex_);
  // False: nobody claims the port.
  bool write_byte(uint16_t port, uint8_t value, Nanos now) SCHED_REQUIRES(mutex_);
  [[nodiscard]] uint8_t read_power(uint16_t port, Nanos now) const SCHED_REQUIRES(mutex_);
  void write_power(uint16_t port, uint8_t value) SCHED_REQUIRES(mutex_);
  Next end_with(int code);
  Next reset();

  void set_irq(IsaIrq irq, bool high) SCHED_REQUIRES(mutex_);
  void update_lines() SCHED_REQUIRES(mutex_);
  void update_intr() SCHED_REQUIRES(mutex_);
  void take_ticks(Nanos now) SCHED_REQUIRES(mutex_);
  void pulse_timer(Nanos now) SCHED_REQUIRES(mutex_);
  // The line of this port, null if it is none.
  [[nodiscard]] SerialLine* line_at(uint16_t port) SCHED_REQUIRES(mutex_);
  [[nodiscard]] SerialLine& line_of(Com com) SCHED_REQUIRES(mutex_) { return com == Com::k1 ? com1_ : com2_; }
  void serial_used(SerialLine& line) SCHED_REQUIRES(mutex_);
  void try_again(Nanos now) SCHED_REQUIRES(mutex_);
  [[nodiscard]] bool console_ready() const { return !outlets_.console_ready || outlets_.console_ready(); }
  [[nodiscard]] std::optional<Nanos> deadline() const SCHED_REQUIRES(mutex_);
  // The serving thread sleeps too long by now.
  [[nodiscard]] bool is_nearer() const SCHED_REQUIRES(mutex_);

  Vm& vm_;
  Notifier& notifier_;
  InterruptBus& bus_;
  const Outlets outlets_;
  const Nanos started_;

  mutable sched::Mutex mutex_;
  SerialLine com1_ SCHED_GUARDED_BY(mutex_);
  SerialLine com2_ SCHED_GUARDED_BY(mutex_);
  uint64_t lost_debug_ SCHED_GUARDED_BY(mutex_) = 0;  // bytes of the debug console
  PicPair pic_ SCHED_GUARDED_BY(mutex_);
  Pit pit_ SCHED_GUARDED_BY(mutex_);
  Rtc rtc_ SCHED_GUARDED_BY(mutex_);
  KeyboardController keyboard_ SCHED_GUARDED_BY(mutex_);
  apic::IoApic ioapic_ SCHED_GUARDED_BY(mutex_);
  TickQueue ticks_ SCHED_GUARDED_BY(mutex_);
  uint32_t pci_address_ SCHED_GUARDED_BY(mutex_) = 0;  // configuration mechanism #1, of a bus without devices
  uint16_t pm_enable_ SCHED_GUARDED_BY(mutex_) = 0;
  uint16_t pm_control_ SCHED_GUARDED_BY(mutex_) = 1;    // SCI_EN: ACPI is on
  std::optional<Nanos> told_ SCHED_GUARDED_BY(mutex_);  // the deadline that the serving thread knows
  Nanos served_ SCHED_GUARDED_BY(mutex_){};             // last run_timers()
  Nanos try_at_ SCHED_GUARDED_BY(mutex_){};             // what the IOAPIC holds back, where nobody says when
  Unclaimed unclaimed_ SCHED_GUARDED_BY(mutex_);
  bool ends_ SCHED_GUARDED_BY(mutex_) = false;  // a byte that was just written ends the VM

  std::atomic<bool> intr_{false};  // the 8259s' INTR; partner of the stores in update_intr(): requested()
  std::atomic<bool> rose_{false};  // it has risen since somebody looked: partners as of intr_, has_risen()
  std::atomic<bool> was_reset_{false};
};

}  // namespace vmm
