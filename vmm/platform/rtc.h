// The PC's MC146818 real-time clock with its CMOS memory, ports 70H and 71H (Motorola MC146818A data sheet):
// time of day, alarm, periodic and update interrupts on IRQ 8, and the bytes in which firmware leaves the
// memory size.
//
// Time comes in; what happened since the last call is worked out then. Pure; one caller at a time. Time must
// not go backwards.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "sched/base/types.h"

namespace vmm {

using sched::Nanos;

class Rtc {
 public:
  // `utc`: seconds since 1970 at the host time `now`.
  Rtc(int64_t utc, Nanos now);

  static bool claims(uint16_t port) { return port == 0x70 || port == 0x71; }
  [[nodiscard]] uint8_t read(uint16_t port, Nanos now);
  void write(uint16_t port, uint8_t value, Nanos now);

  // Firmware's part: a byte above the clock's registers (0EH to 7FH).
  void set_cmos(uint8_t index, uint8_t value);

  // Level of the interrupt output: call advance() first.
  void advance(Nanos now);
  [[nodiscard]] bool interrupt_line() const;
  // When the line may next rise by itself; nothing: not before software does something.
  [[nodiscard]] std::optional<Nanos> next_event() const;

 private:
  struct Fields {
    int second, minute, hour, weekday, day, month, year;  // weekday 1 is Sunday; the year has its century
  };
  [[nodiscard]] Fields fields(int64_t utc) const;
  [[nodiscard]] int64_t utc(Nanos now) const;
  [[nodiscard]] Nanos second_start(int64_t utc) const;
  [[nodiscard]] uint8_t encode(int value) const;
  [[nodiscard]] int decode(uint8_t value) const;
  [[nodiscard]] uint8_t encode_hour(int hour) const;
  [[nodiscard]] int decode_hour(uint8_t value) const;
  [[nodiscard]] uint8_t read_time(uint8_t index, Nanos now) const;
  void write_time(uint8_t index, uint8_t value, Nanos now);
  void set_fields(const Fields& f, Nanos now);
  void write_a(uint8_t value, Nanos now);
  void write_b(uint8_t value, Nanos now);
  [[nodiscard]] bool divider_in_reset() const;
  [[nodiscard]] bool alarm_matches(int64_t utc) const;
  [[nodiscard]] bool alarm_between(int64_t after, int64_t until) const;
  [[nodiscard]] std::optional<Nanos> period() const;
  [[nodiscard]] uint8_t read_a(Nanos now) const;
  uint8_t take_c();

  // The time was base_utc_ at base_at_, which also is where seconds begin. While the divider is in reset it
  // stays at base_utc_.
  int64_t base_utc_;
  Nanos base_at_;
  std::optional<Fields> frozen_;  // register B's SET: the time stands still and may be set
  uint8_t index_ = 0;
  uint8_t a_ = 0x26;  // 32768 Hz crystal, 1024 Hz periodic rate
  uint8_t b_ = 0x02;  // BCD, 24 hours
  uint8_t c_ = 0;
  std::array<uint8_t, 3> alarm_{};  // seconds, minutes, hours
  Nanos seen_;                      // up to here events are in register C
  std::array<uint8_t, 128> cmos_{};
};

}  // namespace vmm
