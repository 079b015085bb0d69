#include "vmm/platform/keyboard.h"

namespace vmm {
namespace {

enum Status : uint8_t { kOutputFull = 0x01, kSystem = 0x04, kCommand = 0x08, kNotLocked = 0x10 };

enum Command : uint8_t {
  kReadCommandByte = 0x20,
  kWriteCommandByte = 0x60,
  kTestMousePort = 0xa9,
  kSelfTest = 0xaa,
  kTestKeyboardPort = 0xab,
  kReadOutputPort = 0xd0,
  kWriteOutputPort = 0xd1,
  kWriteToMouse = 0xd4,
  kPulseOutputPort = 0xf0,  // to FFH: the bits that are 0 are pulsed
};

constexpr uint8_t kNotReset = 0x01;    // of the output port; low resets the processor
constexpr uint8_t kOutputPort = 0xcf;  // A20 open, no reset
constexpr uint8_t kSelfTestPassed = 0x55;
constexpr uint8_t kNoClock = 0x03;  // interface test: nothing answers at this port

}  // namespace

uint8_t KeyboardController::read(uint16_t port) {
  if (port == 0x64) {
    return static_cast<uint8_t>(kSystem | kNotLocked | (output_ ? kOutputFull : 0) |
                                (last_was_command_ ? kCommand : 0));
  }
  if (output_) last_output_ = *output_;
  output_.reset();
  return last_output_;
}

bool KeyboardController::write(uint16_t port, uint8_t value) {
  last_was_command_ = port == 0x64;
  if (port == 0x64) return command(value);
  const uint8_t what = parameter_for_;
  parameter_for_ = 0;
  if (what == kWriteCommandByte) command_byte_ = value;
  return what == kWriteOutputPort && (value & kNotReset) == 0;
}

bool KeyboardController::command(uint8_t value) {
  parameter_for_ = 0;
  switch (value) {
    case kReadCommandByte:
      output_ = command_byte_;
      return false;
    case kWriteCommandByte:
    case kWriteOutputPort:
    case kWriteToMouse:
      parameter_for_ = value;
      return false;
    case kSelfTest:
      output_ = kSelfTestPassed;
      return false;
    case kTestKeyboardPort:
    case kTestMousePort:
      output_ = kNoClock;
      return false;
    case kReadOutputPort:
      output_ = kOutputPort;
      return false;
    default:
      return value >= kPulseOutputPort && (value & kNotReset) == 0;
  }
}

}  // namespace vmm
