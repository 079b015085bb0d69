// A 16550A UART as software sees it (National Semiconductor PC16550D data sheet): registers, FIFOs, interrupt
// identification, loopback. Time is left out: bytes are sent as soon as the line takes them and no receive
// time-out exists, so a waiting byte raises "data available" whatever the trigger level.
//
// Pure: output bytes go to a function, the interrupt line is a question. One caller at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <utility>

namespace vmm {

class Uart16550 {
 public:
  using Output = std::function<void(uint8_t byte)>;

  // Whether the line takes a byte now. Empty: always.
  using Clear = std::function<bool()>;

  explicit Uart16550(Output output, Clear clear = {})
      : output_(std::move(output)), clear_(std::move(clear)) {}

  // `offset` is port - base, 0 … 7. Reading may have effects, as on the chip.
  [[nodiscard]] uint8_t read(uint8_t offset);
  void write(uint8_t offset, uint8_t value);

  // The line may take bytes again: sends what waits.
  void line_clear();
  // The guest has ended: sends what waits whether the line takes it or not, 16 bytes at most.
  void drain();
  // Bytes that were written although the transmitter had no room for them.
  [[nodiscard]] uint64_t lost() const { return lost_; }

  // Bytes typed at the console. What does not fit is an overrun: with FIFOs the new
  // byte is lost, without them the one that waited.
  void receive(std::span<const uint8_t> bytes);
  // The guest has asked for what is received: it read the line status or wants the interrupt. A byte from
  // before that would go with the FIFOs that drivers clear when they begin.
  [[nodiscard]] bool listened_to() const { return listened_to_; }
  // Room for receive() right now.
  [[nodiscard]] size_t receive_room() const;

  // Level of the interrupt output (IRQ 4 for COM1). On a PC MCR.OUT2 gates it; here it does not, because
  // drivers tested on emulators only forget to set it, and one that wants silence clears IER as well.
  [[nodiscard]] bool interrupt_line() const;

 private:
  struct Received {
    uint8_t byte;
    uint8_t errors;  // line status bits that show while it is next to be read
  };
  [[nodiscard]] bool divisor_access() const;
  [[nodiscard]] uint8_t identify() const;
  [[nodiscard]] uint8_t modem_inputs() const;
  uint8_t take_received();
  uint8_t take_line_status();
  uint8_t take_modem_status();
  void accept(Received received);
  // In loopback the transmitter's break arrives at the receiver.
  [[nodiscard]] bool is_spacing() const;
  void take_break(bool was_spacing);
  void transmit(uint8_t byte);
  [[nodiscard]] bool line_takes() const { return !clear_ || clear_(); }
  [[nodiscard]] size_t depth() const;
  void drop_transmitter();
  void write_interrupt_enable(uint8_t value);
  void write_fifo_control(uint8_t value);
  void write_modem_control(uint8_t value);

  Output output_;
  Clear clear_;
  std::deque<Received> received_;
  std::deque<uint8_t> sending_;  // waits for the line; the line status says so
  uint8_t ier_ = 0;
  uint8_t lcr_ = 0;
  uint8_t mcr_ = 0;
  uint8_t scratch_ = 0;
  uint8_t divisor_low_ = 12;  // 9600 baud
  uint8_t divisor_high_ = 0;
  uint8_t modem_delta_ = 0;  // MSR bits 0 … 3
  bool fifo_enabled_ = false;
  bool overrun_ = false;
  bool listened_to_ = false;
  bool transmitter_empty_pending_ = false;
  uint64_t lost_ = 0;
};

}  // namespace vmm
