#include "vmm/device/serial.h"

#include <algorithm>

#include "vmm/check.h"

namespace vmm {

namespace {

enum Register : uint8_t {
  kData,
  kInterruptEnable,
  kIdentify,
  kLineControl,
  kModemControl,
  kLineStatus,
  kModemStatus,
  kScratch
};

enum InterruptEnable : uint8_t {
  kIerReceived = 1,
  kIerTransmitterEmpty = 2,
  kIerLineStatus = 4,
  kIerModem = 8
};

// Interrupt identification, highest priority first (data sheet, table IV).
enum Identification : uint8_t {
  kIirLineStatus = 0x06,
  kIirReceived = 0x04,
  kIirTransmitterEmpty = 0x02,
  kIirModem = 0x00,
  kIirNone = 0x01,
  kIirFifos = 0xc0,
};

enum FifoControl : uint8_t { kFcrEnable = 1, kFcrClearReceiver = 2, kFcrClearTransmitter = 4 };

constexpr uint8_t kLcrDivisorAccess = 0x80;
constexpr uint8_t kLcrBreak = 0x40;
constexpr uint8_t kMcrLoop = 0x10;
constexpr uint8_t kMcrMask = 0x1f;

enum LineStatus : uint8_t {
  kLsrDataReady = 0x01,
  kLsrOverrun = 0x02,
  kLsrFraming = 0x08,
  kLsrBreak = 0x10,
  kLsrTransmitterEmpty = 0x60,
  kLsrErrorInFifo = 0x80,
};

enum ModemStatus : uint8_t { kMsrCts = 0x10, kMsrDsr = 0x20, kMsrRing = 0x40, kMsrCarrier = 0x80 };
constexpr uint8_t kMsrTrailingRing = 0x04;  // the delta bit of RI tells its end only

constexpr size_t kFifoDepth = 16;

}  // namespace

bool Uart16550::divisor_access() const { return (lcr_ & kLcrDivisorAccess) != 0; }

uint8_t Uart16550::read(uint8_t offset) {
  switch (offset) {
    case kData:
      return divisor_access() ? divisor_low_ : take_received();
    case kInterruptEnable:
      return divisor_access() ? divisor_high_ : ier_;
    case kIdentify: {
      const uint8_t what = identify();
      if (what == kIirTransmitterEmpty) transmitter_empty_pending_ = false;
      return fifo_enabled_ ? what | kIirFifos : what;
    }
    case kLineControl:
      return lcr_;
    case kModemControl:
      return mcr_;
    case kLineStatus:
      return take_line_status();
    case kModemStatus:
      return take_modem_status();
    case kScratch:
      return scratch_;
    default:
      KVMUX_CHECK(false, "a UART has eight registers");
  }
}

void Uart16550::write(uint8_t offset, uint8_t value) {
  switch (offset) {
    case kData:
      if (divisor_access()) {
        divisor_low_ = value;
      } else {
        transmit(value);
      }
      return;
    case kInterruptEnable:
      if (divisor_access()) {
        divisor_high_ = value;
      } else {
        write_interrupt_enable(value);
      }
      return;
    case kIdentify:
      return write_fifo_control(value);
    case kLineControl: {
      const bool was_spacing = is_spacing();
      lcr_ = value;
      return take_break(was_spacing);
    }
    case kModemControl:
      return write_modem_control(value);
    case kLineStatus:
    case kModemStatus:
      return;  // read-only
    case kScratch:
      scratch_ = value;
      return;
    default:
      KVMUX_CHECK(false, "a UART has eight registers");
  }
}

void Uart16550::receive(std::span<const uint8_t> bytes) {
  if ((mcr_ & kMcrLoop) != 0) return;  // the line is cut off from the receiver
  for (const uint8_t byte : bytes) accept({byte, 0});
}

size_t Uart16550::receive_room() const {
  const size_t depth = fifo_enabled_ ? kFifoDepth : 1;
  return (mcr_ & kMcrLoop) != 0 || received_.size() >= depth ? 0 : depth - received_.size();
}

bool Uart16550::interrupt_line() const { return identify() != kIirNone; }

uint8_t Uart16550::identify() const {
  if ((ier_ & kIerLineStatus) != 0 && (overrun_ || (!received_.empty() && received_.front().errors != 0)))
    return kIirLineStatus;
  if ((ier_ & kIerReceived) != 0 && !received_.empty()) return kIirReceived;
  if ((ier_ & kIerTransmitterEmpty) != 0 && transmitter_empty_pending_) return kIirTransmitterEmpty;
  if ((ier_ & kIerModem) != 0 && modem_delta_ != 0) return kIirModem;
  return kIirNone;
}

// In loopback the modem control outputs RTS, DTR, OUT1, OUT2 come back as CTS, DSR, RI, DCD; else a terminal
// is there and ready.
uint8_t Uart16550::modem_inputs() const {
  if ((mcr_ & kMcrLoop) == 0) return kMsrCts | kMsrDsr | kMsrCarrier;
  const auto output = [&](uint8_t bit, uint8_t input) { return (mcr_ & bit) != 0 ? input : uint8_t{0}; };
  return static_cast<uint8_t>(output(1, kMsrDsr) | output(2, kMsrCts) | output(4, kMsrRing) |
                              output(8, kMsrCarrier));
}

uint8_t Uart16550::take_received() {
  if (received_.empty()) return 0;
  const uint8_t byte = received_.front().byte;
  received_.pop_front();
  return byte;
}

uint8_t Uart16550::take_line_status() {
  listened_to_ = true;
  uint8_t status = sending_.empty() ? kLsrTransmitterEmpty : 0;
  const auto has_error = [](const Received& r) { return r.errors != 0; };
  if (fifo_enabled_ && std::any_of(received_.begin(), received_.end(), has_error)) status |= kLsrErrorInFifo;
  if (!received_.empty()) {
    status = static_cast<uint8_t>(status | kLsrDataReady | received_.front().errors);
    received_.front().errors = 0;
  }
  if (overrun_) status |= kLsrOverrun;
  overrun_ = false;
  return status;
}

uint8_t Uart16550::take_modem_status() {
  const auto status = static_cast<uint8_t>(modem_inputs() | modem_delta_);
  modem_delta_ = 0;
  return status;
}

// Data sheet, line status bit 1: without FIFOs the new character destroys the one in the buffer register; a
// full FIFO stays as it is, and the character in the shift register is lost.
void Uart16550::accept(Received received) {
  const bool full = received_.size() >= (fifo_enabled_ ? kFifoDepth : 1);
  if (full) overrun_ = true;
  if (full && fifo_enabled_) return;
  if (full) received_.clear();
  received_.push_back(received);
}

bool Uart16550::is_spacing() const { return (mcr_ & kMcrLoop) != 0 && (lcr_ & kLcrBreak) != 0; }

// One character for a break, however long: all bits 0, the stop bit too.
void Uart16550::take_break(bool was_spacing) {
  if (is_spacing() && !was_spacing) accept({0, kLsrBreak | kLsrFraming});
}

void Uart16550::transmit(uint8_t byte) {
  if ((mcr_ & kMcrLoop) != 0) {
    if (!is_spacing()) accept({byte, 0});
  } else if (sending_.empty() && line_takes()) {
    output_(byte);
  } else {
    // A driver that looks at the line status gets here at most once more than there is room.
    transmitter_empty_pending_ = false;
    if (sending_.size() < depth()) {
      sending_.push_back(byte);
    } else {
      ++lost_;
    }
    return;
  }
  transmitter_empty_pending_ = true;  // sent already
}

void Uart16550::line_clear() {
  if (sending_.empty()) return;
  while (!sending_.empty() && line_takes()) {
    output_(sending_.front());
    sending_.pop_front();
  }
  if (sending_.empty()) transmitter_empty_pending_ = true;
}

void Uart16550::drain() {
  for (const uint8_t byte : sending_) output_(byte);
  sending_.clear();
}

size_t Uart16550::depth() const { return fifo_enabled_ ? kFifoDepth : 1; }

void Uart16550::drop_transmitter() {
  if (sending_.empty()) return;
  lost_ += sending_.size();
  sending_.clear();
  transmitter_empty_pending_ = true;
}

// Enabling the transmitter's interrupt while it is empty raises it at once: drivers start sending that way.
void Uart16550::write_interrupt_enable(uint8_t value) {
  const auto enabled = static_cast<uint8_t>(value & ~ier_);
  ier_ = value & 0x0f;
  listened_to_ = listened_to_ || (ier_ & kIerReceived) != 0;
  if ((enabled & kIerTransmitterEmpty) != 0 && sending_.empty()) transmitter_empty_pending_ = true;
}

void Uart16550::write_fifo_control(uint8_t value) {
  const bool enable = (value & kFcrEnable) != 0;
  if (enable != fifo_enabled_ || (enable && (value & kFcrClearReceiver) != 0)) received_.clear();
  if (enable != fifo_enabled_ || (enable && (value & kFcrClearTransmitter) != 0)) drop_transmitter();
  fifo_enabled_ = enable;
}

void Uart16550::write_modem_control(uint8_t value) {
  const uint8_t before = modem_inputs();
  const bool was_spacing = is_spacing();
  mcr_ = value & kMcrMask;
  take_break(was_spacing);
  const uint8_t after = modem_inputs();
  auto delta = static_cast<uint8_t>((before ^ after) >> 4);
  if ((after & kMsrRing) != 0) delta &= static_cast<uint8_t>(~kMsrTrailingRing);
  modem_delta_ |= delta;
}

}  // namespace vmm
