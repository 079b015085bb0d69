#include "vmm/platform/pit.h"

#include <algorithm>

namespace vmm {
namespace {

constexpr uint16_t kFirstChannel = 0x40;
constexpr uint16_t kControl = 0x43;
constexpr uint16_t kPort61 = 0x61;
constexpr unsigned kSpeaker = 2;
constexpr uint64_t kSecond = 1'000'000'000;

enum Port61 : uint8_t { kGate2 = 0x01, kSpeakerOn = 0x02, kWritable = 0x0f, kRefresh = 0x10, kOut2 = 0x20 };

__extension__ using Wide = unsigned __int128;

// The clock that runs at this time, from 0.
uint64_t to_clocks(Nanos t) {
  return t <= Nanos{} ? 0 : static_cast<uint64_t>(Wide(t.count()) * Pit::kHz / kSecond);
}

// The first instant at which to_clocks() reaches this many.
Nanos to_time(uint64_t clocks) {
  return Nanos(static_cast<int64_t>((Wide(clocks) * kSecond + Pit::kHz - 1) / Pit::kHz));
}

uint32_t from_bcd(uint32_t v) {
  return (v >> 12) * 1000 + (v >> 8 & 0xf) * 100 + (v >> 4 & 0xf) * 10 + (v & 0xf);
}

uint16_t to_bcd(uint32_t v) {
  return static_cast<uint16_t>((v / 1000 % 10) << 12 | (v / 100 % 10) << 8 | (v / 10 % 10) << 4 | v % 10);
}

}  // namespace

uint64_t Pit::Channel::elapsed(Nanos now) const {
  return running_ ? before_ + (to_clocks(now) - since_) : before_;
}

// The counting element as software reads it (data sheet, Mode Definitions).
uint16_t Pit::Channel::count(Nanos now) const {
  const uint64_t modulus = bcd_ ? 10000 : 65536;
  if (!loaded_) return 0;
  const uint64_t clocks = elapsed(now);
  uint64_t value = 0;
  if (mode_ == 3) {
    value = reload_ - 2 * clocks % (reload_ + (reload_ & 1));
    value &= ~uint64_t{1};
  } else if (mode_ == 2) {
    value = reload_ - clocks % reload_;
  } else {
    value = (reload_ + modulus - clocks % modulus) % modulus;
  }
  value %= modulus;
  return bcd_ ? to_bcd(static_cast<uint32_t>(value)) : static_cast<uint16_t>(value);
}

bool Pit::Channel::output(Nanos now) const {
  if (!loaded_) return mode_ != 0;
  const uint64_t clocks = elapsed(now);
  switch (mode_) {
    case 0:
      return !write_high_ && clocks >= reload_;
    case 1:
      return !running_ || clocks >= reload_;
    case 2:
      return !running_ || clocks % reload_ != reload_ - 1;
    case 3:
      return !running_ || clocks % reload_ < (reload_ + 1) / 2;
    default:
      return clocks != reload_;  // the strobe is one clock long
  }
}

uint64_t Pit::Channel::edges(Nanos now) const {
  if (!loaded_ || (mode_ == 0 && write_high_)) return 0;
  const uint64_t clocks = elapsed(now);
  if (periodic()) return clocks / reload_;
  return clocks >= reload_ + (mode_ >= 4 ? 1u : 0u) ? 1 : 0;
}

std::optional<Nanos> Pit::Channel::edge_time(uint64_t edge) const {
  if (!running_ || (!periodic() && edge > 1)) return std::nullopt;
  const uint64_t at = periodic() ? edge * reload_ : reload_ + (mode_ >= 4 ? 1u : 0u);
  return to_time(since_ + at - std::min(at, before_));
}

void Pit::Channel::control(uint8_t word, Nanos now) {
  access_ = word >> 4 & 3;
  mode_ = word >> 1 & 7;
  if (mode_ >= 6) mode_ -= 4;  // bit 2 does not count for modes 2 and 3
  bcd_ = (word & 1) != 0;
  loaded_ = running_ = write_high_ = read_high_ = false;
  before_ = 0;
  since_ = to_clocks(now);
  latched_.reset();
  latched_status_.reset();
}

bool Pit::Channel::write(uint8_t value, Nanos now) {
  if (access_ == 3 && !write_high_) {
    low_written_ = value;
    write_high_ = true;
    if (mode_ != 0) return false;
    before_ = elapsed(now);  // the first byte stops the counting where it is, and OUT falls
    running_ = false;
    return false;
  }
  write_high_ = false;
  const int count = access_ == 1 ? value : access_ == 2 ? value << 8 : low_written_ | value << 8;
  load(static_cast<uint16_t>(count), now);
  return true;
}

// Modes 1 and 5 wait for the gate's rising edge. A periodic mode that runs takes the new count at once and
// not after its present period: software cannot tell but by the length of one period.
void Pit::Channel::load(uint16_t value, Nanos now) {
  reload_ = bcd_ ? from_bcd(value) : value;
  if (reload_ == 0) reload_ = bcd_ ? 10000 : 65536;
  loaded_ = true;
  before_ = 0;
  since_ = to_clocks(now);
  running_ = gate_ && mode_ != 1 && mode_ != 5;
}

void Pit::Channel::set_gate(bool high, Nanos now) {
  const bool rises = high && !gate_;
  const bool falls = !high && gate_;
  gate_ = high;
  if (!loaded_) return;
  const bool triggered = mode_ == 1 || mode_ == 5;
  if (rises) {
    if (triggered || periodic()) before_ = 0;
    running_ = true;
    since_ = to_clocks(now);
  } else if (falls && !triggered) {
    before_ = periodic() ? 0 : elapsed(now);
    running_ = false;
  }
}

void Pit::Channel::latch_count(Nanos now) {
  if (!latched_) latched_ = count(now);
}

void Pit::Channel::latch_status(Nanos now) {
  if (latched_status_) return;
  const auto out = static_cast<unsigned>(output(now));
  const auto null_count = static_cast<unsigned>(!loaded_);
  const auto programme = access_ * 16u + mode_ * 2u + static_cast<unsigned>(bcd_);
  latched_status_ = static_cast<uint8_t>(out << 7 | null_count << 6 | programme);
}

uint8_t Pit::Channel::read(Nanos now) {
  if (latched_status_) {
    const uint8_t status = *latched_status_;
    latched_status_.reset();
    return status;
  }
  const uint16_t value = latched_ ? *latched_ : count(now);
  const bool high = access_ == 2 || (access_ == 3 && read_high_);
  if (access_ == 3) read_high_ = !read_high_;
  if (access_ != 3 || high) latched_.reset();
  return static_cast<uint8_t>(high ? value >> 8 : value);
}

// Channels 0 and 1 are always enabled; channel 2's gate is bit 0 of port 61H.
Pit::Pit() { channels_[kSpeaker].set_gate(false, Nanos{}); }

bool Pit::claims(uint16_t port) { return (port >= kFirstChannel && port <= kControl) || port == kPort61; }

uint8_t Pit::read(uint16_t port, Nanos now) {
  if (port == kPort61) return read_port61(now);
  if (port == kControl) return 0xff;  // write-only
  return channels_[port - kFirstChannel].read(now);
}

void Pit::write(uint16_t port, uint8_t value, Nanos now) {
  if (port == kPort61) {
    port61_ = value & kWritable;
    return channels_[kSpeaker].set_gate((value & kGate2) != 0, now);
  }
  if (port == kControl) return control(value, now);
  // Until the second byte of a pair the old count runs on, and so does the counting of its ticks.
  const bool loaded = channels_[port - kFirstChannel].write(value, now);
  if (!loaded || port != kFirstChannel) return;
  ++programmed_;
  ticks_taken_ = 0;
}

void Pit::control(uint8_t word, Nanos now) {
  const unsigned select = word >> 6;
  if (select == 3) {  // read-back: bits 5 and 4 are active low
    for (unsigned i = 0; i < channels_.size(); ++i) {
      if ((word >> (i + 1) & 1) == 0) continue;
      if ((word & 0x20) == 0) channels_[i].latch_count(now);
      if ((word & 0x10) == 0) channels_[i].latch_status(now);
    }
    return;
  }
  if ((word & 0x30) == 0) return channels_[select].latch_count(now);
  channels_[select].control(word, now);
  if (select != 0) return;
  ++programmed_;
  ticks_taken_ = 0;
}

// The refresh bit toggles with channel 1, every 15 µs: reading it is enough to see it move.
uint8_t Pit::read_port61(Nanos now) {
  refresh_ = !refresh_;
  return static_cast<uint8_t>(port61_ | (refresh_ ? kRefresh : 0) |
                              (channels_[kSpeaker].output(now) ? kOut2 : 0));
}

uint64_t Pit::take_ticks(Nanos now) {
  const uint64_t edges = channels_[0].edges(now);
  const uint64_t fresh = edges > ticks_taken_ ? edges - ticks_taken_ : 0;
  ticks_taken_ = edges;
  return fresh;
}

std::optional<Nanos> Pit::next_tick() const { return channels_[0].edge_time(ticks_taken_ + 1); }

}  // namespace vmm
