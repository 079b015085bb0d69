// A second local APIC, deliberately naive: sets of ints, a map of registers, a timer that counts period by
// period. Written from the SDM, not from apic/, to be compared with it step by step. Slow and
// single-threaded.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "apic/types.h"

namespace apic_test {

// What the divide configuration register divides by.
std::uint64_t naive_divisor(std::uint32_t dcr);

class NaiveLapic {
 public:
  explicit NaiveLapic(std::uint32_t id);

  // Time passes: nanoseconds on a 1 GHz bus, with a TSC of 2 GHz.
  void pass(std::uint64_t ns);

  std::uint32_t read(std::uint32_t offset);
  apic::Effect write(std::uint32_t offset, std::uint32_t value);
  std::optional<std::uint64_t> read_msr(std::uint32_t msr);
  std::optional<apic::Effect> write_msr(std::uint32_t msr, std::uint64_t value);

  void post(int vector, bool level);
  void nmi();
  void init();
  void sipi(int vector);
  void lint(int pin, bool asserted);
  void raise(std::uint32_t lvt_offset);
  void set_cr8(std::uint32_t cr8);
  void power_up();
  void tsc_jumps(std::uint64_t to);

  int pending();  // -1: none
  int accept();
  int take_nmis();
  // INIT and the start-up vector, -1 if none.
  std::pair<bool, int> take_startup(bool waiting);

  std::uint32_t cr8() { return registers_[0x80] / 16; }
  std::uint32_t ppr();
  int mode();  // 0 disabled, 1 xAPIC, 2 x2APIC
  bool software_enabled() { return mode() != 0 && (registers_[0xf0] & 0x100); }
  bool event() { return nmis_ > 0 || init_ || sipi_ >= 0; }
  bool extint();
  bool timer_can_interrupt();

 private:
  void reset();
  void forget_requests();
  void error(std::uint32_t bit);
  void timer_expires();
  void check_lint0();
  int highest_in_service() { return in_service_.empty() ? -1 : *in_service_.rbegin(); }
  std::uint32_t bitmap(const std::set<int>& vectors, std::uint32_t offset);
  std::uint32_t value_of(std::uint32_t offset);
  apic::Effect store(std::uint32_t offset, std::uint32_t value);
  apic::Effect store_lvt(std::uint32_t offset, std::uint32_t value);
  apic::Effect command(std::uint32_t low, std::uint32_t destination);
  apic::Effect end();
  std::optional<apic::Effect> store_base(std::uint64_t value);

  const std::uint32_t id_;
  std::uint64_t base_ = 0xfee00800;
  std::uint64_t tsc_ = 0;
  std::map<std::uint32_t, std::uint32_t> registers_;  // by xAPIC offset
  std::uint32_t command_destination_ = 0;             // x2APIC's
  std::uint32_t errors_ = 0;
  std::set<int> requested_, level_, in_service_, level_in_service_;
  int nmis_ = 0;
  bool init_ = false;
  int sipi_ = -1;
  bool line_[2] = {};
  int lint0_accepted_ = -1;  // the vector that LINT0's remote IRR stands for
  std::uint64_t left_ = 0;   // nanoseconds to the timer's next expiry; 0: not running
  std::uint64_t deadline_ = 0;
};

}  // namespace apic_test
