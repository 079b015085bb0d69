// The PC's two 8259A interrupt controllers, cascaded on IR2, with the ELCR ports that choose level triggering
// (Intel 8259A data sheet; the ELCR is of the PIIX).
//
// Pure: lines and port accesses come in, the INTR output is a question. One caller at a time.
//   set_line() whenever a device's line moves → intr()? → when the processor takes it: acknowledge()
#pragma once

#include <array>
#include <cstdint>

#include "apic/types.h"

namespace vmm {

// An ISA interrupt line, 0 to 15.
enum class IsaIrq : uint8_t {};
constexpr unsigned raw(IsaIrq irq) { return static_cast<unsigned>(irq); }

class PicPair {
 public:
  // As firmware leaves it: vectors 08H and 70H, everything but the cascade masked.
  PicPair();

  // 20H, 21H, A0H, A1H, 4D0H, 4D1H.
  static bool claims(uint16_t port);
  [[nodiscard]] uint8_t read(uint16_t port);
  void write(uint16_t port, uint8_t value);

  void set_line(IsaIrq irq, bool high);
  // The mask lets this line through (for lines of the slave: the slave's mask).
  [[nodiscard]] bool is_unmasked(IsaIrq irq) const;
  // The master's INTR output.
  [[nodiscard]] bool intr() const;

  // The processor's acknowledge cycle: the vector, and what was acknowledged. A request that has gone
  // meanwhile gives the spurious vector of IR7 and `spurious`.
  struct Acknowledged {
    apic::Vector vector{};
    IsaIrq irq{};
    bool spurious = false;
  };
  Acknowledged acknowledge();

 private:
  class Chip {
   public:
    Chip(uint8_t base, uint8_t mask, uint8_t cascade_inputs);
    [[nodiscard]] uint8_t read(bool data_port);
    void write(bool data_port, uint8_t value);
    void set_line(unsigned input, bool high);
    // The input that INTR stands for; 8: none.
    [[nodiscard]] unsigned requested() const;
    // Takes requested(); 7 with `spurious` if there is none.
    unsigned acknowledge(bool& spurious);
    [[nodiscard]] uint8_t vector(unsigned input) const { return static_cast<uint8_t>(base_ + input); }
    [[nodiscard]] bool is_unmasked(unsigned input) const { return (imr_ >> input & 1) == 0; }
    [[nodiscard]] uint8_t levels() const { return elcr_; }
    void set_levels(uint8_t value);

   private:
    void start_initialisation(uint8_t icw1);
    void continue_initialisation(uint8_t value);
    void operation_command(uint8_t ocw2);
    void end_of_interrupt(unsigned input, bool rotate);
    // Position in the rotating order of priorities, 0 the highest; 8: no bit is set.
    [[nodiscard]] unsigned highest(uint8_t bits) const;
    [[nodiscard]] unsigned input_at(unsigned position) const { return (position + lowest_ + 1) & 7; }

    uint8_t irr_ = 0;
    uint8_t isr_ = 0;
    uint8_t imr_;
    uint8_t lines_ = 0;
    uint8_t elcr_ = 0;
    uint8_t base_;
    const uint8_t cascade_inputs_;  // whose in-service bit does not hold back the same input (master only)
    uint8_t lowest_ = 7;            // the input of lowest priority
    uint8_t initialising_ = 0;      // the ICW expected next; 0: none
    bool wants_icw4_ = false;
    bool auto_eoi_ = false;
    bool rotate_on_auto_eoi_ = false;
    bool fully_nested_ = false;  // special fully nested mode
    bool special_mask_ = false;
    bool read_isr_ = false;
    bool poll_ = false;
  };

  void update_cascade();

  Chip master_;
  Chip slave_;
};

}  // namespace vmm
