// As much of the PC's 8042 keyboard controller, ports 60H and 64H, as kernels touch on a machine without a
// keyboard: its self-tests, its command byte, the A20 gate (always open here) and the line that resets the
// processor. Pure; one caller at a time.
#pragma once

#include <cstdint>
#include <optional>

namespace vmm {

class KeyboardController {
 public:
  static bool claims(uint16_t port) { return port == 0x60 || port == 0x64; }
  [[nodiscard]] uint8_t read(uint16_t port);
  // True: software asked for a reset.
  [[nodiscard]] bool write(uint16_t port, uint8_t value);

 private:
  bool command(uint8_t value);

  std::optional<uint8_t> output_;  // waiting to be read at 60H
  uint8_t last_output_ = 0;
  uint8_t command_byte_ = 0x10;  // keyboard disabled
  uint8_t parameter_for_ = 0;    // the command whose byte comes next at 60H; 0: none
  bool last_was_command_ = true;
};

}  // namespace vmm
