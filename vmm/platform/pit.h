// The PC's 8254 interval timer (Intel 8254 data sheet) with port 61H: channel 0 drives IRQ 0, channel 2 the
// speaker, whose output software reads to calibrate its clocks. Channel 1 (memory refresh) counts too.
//
// Counting is arithmetic on the time that comes in, so polling loses nothing. The chip's clock runs freely
// from time 0, whatever is programmed when: a count is loaded at one of its edges. A channel that nobody has
// programmed stands still. Pure; one caller at a time. Time must not go backwards.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "sched/base/types.h"

namespace vmm {

using sched::Nanos;

class Pit {
 public:
  static constexpr uint64_t kHz = 1193182;

  Pit();

  // 40H to 43H, and 61H.
  static bool claims(uint16_t port);
  [[nodiscard]] uint8_t read(uint16_t port, Nanos now);
  void write(uint16_t port, uint8_t value, Nanos now);

  // Rising edges of channel 0's output since the last call: the ticks of IRQ 0. Call before each write that
  // could change the channel, or the ticks up to then are lost.
  [[nodiscard]] uint64_t take_ticks(Nanos now);
  // When the next one comes; nothing: none will.
  [[nodiscard]] std::optional<Nanos> next_tick() const;
  // Counts how often channel 0 was programmed, so that a caller can tell ticks of the old programme.
  [[nodiscard]] uint32_t programmed() const { return programmed_; }

 private:
  class Channel {
   public:
    void control(uint8_t word, Nanos now);
    // True: a count was loaded.
    bool write(uint8_t value, Nanos now);
    [[nodiscard]] uint8_t read(Nanos now);
    void latch_count(Nanos now);
    void latch_status(Nanos now);
    void set_gate(bool high, Nanos now);
    [[nodiscard]] bool output(Nanos now) const;
    [[nodiscard]] uint64_t edges(Nanos now) const;  // rising edges since the count was loaded
    [[nodiscard]] std::optional<Nanos> edge_time(uint64_t edge) const;  // of the edge-th one, from 1

   private:
    [[nodiscard]] uint64_t elapsed(Nanos now) const;
    [[nodiscard]] uint16_t count(Nanos now) const;
    [[nodiscard]] bool periodic() const { return mode_ == 2 || mode_ == 3; }
    void load(uint16_t value, Nanos now);

    uint8_t mode_ = 0;
    uint8_t access_ = 3;  // 1 low byte, 2 high byte, 3 both
    bool bcd_ = false;
    bool loaded_ = false;   // a count was written
    bool running_ = false;  // counting: loaded, gate open or triggered
    bool gate_ = true;
    uint32_t reload_ = 0;      // 1 to 65536
    uint64_t since_ = 0;       // the clock at which counting began or went on …
    uint64_t before_ = 0;      // … with so many clocks done
    bool write_high_ = false;  // the second byte of a pair comes next
    bool read_high_ = false;
    uint8_t low_written_ = 0;
    std::optional<uint16_t> latched_;
    std::optional<uint8_t> latched_status_;
  };

  void control(uint8_t word, Nanos now);
  [[nodiscard]] uint8_t read_port61(Nanos now);

  std::array<Channel, 3> channels_;
  uint64_t ticks_taken_ = 0;
  uint32_t programmed_ = 0;
  uint8_t port61_ = 0;
  bool refresh_ = false;
};

}  // namespace vmm
