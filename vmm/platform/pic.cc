#include "vmm/platform/pic.h"

namespace vmm {
namespace {

constexpr uint16_t kMasterCommand = 0x20;
constexpr uint16_t kMasterData = 0x21;
constexpr uint16_t kSlaveCommand = 0xa0;
constexpr uint16_t kSlaveData = 0xa1;
constexpr uint16_t kMasterLevels = 0x4d0;
constexpr uint16_t kSlaveLevels = 0x4d1;

constexpr unsigned kCascade = 2;
constexpr unsigned kNone = 8;
// The timer, the keyboard, the cascade; the clock and the coprocessor error: always edge.
constexpr uint8_t kMasterLevelMask = 0xf8;
constexpr uint8_t kSlaveLevelMask = 0xde;

constexpr uint8_t bit(unsigned input) { return static_cast<uint8_t>(1u << input); }
constexpr uint8_t without(uint8_t bits, uint8_t gone) { return static_cast<uint8_t>(bits & ~gone); }

}  // namespace

PicPair::Chip::Chip(uint8_t base, uint8_t mask, uint8_t cascade_inputs)
    : imr_(mask), base_(base), cascade_inputs_(cascade_inputs) {}

unsigned PicPair::Chip::highest(uint8_t bits) const {
  for (unsigned position = 0; position < 8; ++position) {
    if ((bits & bit(input_at(position))) != 0) return position;
  }
  return kNone;
}

unsigned PicPair::Chip::requested() const {
  const unsigned wanted = highest(without(irr_, imr_));
  if (wanted == kNone) return kNone;
  uint8_t holding = isr_;
  // In special mask mode a masked interrupt in service holds nothing back.
  if (special_mask_) holding = without(holding, imr_);
  // In special fully nested mode the slave may interrupt its own service with a more urgent input.
  if (fully_nested_) holding = without(holding, cascade_inputs_);
  return wanted < highest(holding) ? input_at(wanted) : kNone;
}

unsigned PicPair::Chip::acknowledge(bool& spurious) {
  const unsigned input = requested();
  spurious = input == kNone;
  if (spurious) return 7;
  if ((elcr_ & bit(input)) == 0) irr_ = without(irr_, bit(input));
  if (!auto_eoi_) {
    isr_ |= bit(input);
  } else if (rotate_on_auto_eoi_) {
    lowest_ = static_cast<uint8_t>(input);
  }
  return input;
}

// An edge is latched until it is acknowledged or its line falls; a level is requested as long as it is there.
void PicPair::Chip::set_line(unsigned input, bool high) {
  const bool rises = high && (lines_ & bit(input)) == 0;
  if (!high) {
    lines_ = without(lines_, bit(input));
    irr_ = without(irr_, bit(input));
    return;
  }
  lines_ |= bit(input);
  if (rises || (elcr_ & bit(input)) != 0) irr_ |= bit(input);
}

void PicPair::Chip::set_levels(uint8_t value) {
  elcr_ = value;
  irr_ |= static_cast<uint8_t>(lines_ & elcr_);
}

uint8_t PicPair::Chip::read(bool data_port) {
  if (poll_) {
    poll_ = false;
    bool spurious = false;
    const unsigned input = acknowledge(spurious);
    return spurious ? uint8_t{0} : static_cast<uint8_t>(0x80 | input);
  }
  if (data_port) return imr_;
  return read_isr_ ? isr_ : irr_;
}

void PicPair::Chip::write(bool data_port, uint8_t value) {
  constexpr uint8_t kIcw1 = 0x10;
  constexpr uint8_t kOcw3 = 0x08;
  if (data_port) {
    if (initialising_ != 0) return continue_initialisation(value);
    imr_ = value;
    return;
  }
  if ((value & kIcw1) != 0) return start_initialisation(value);
  if ((value & kOcw3) == 0) return operation_command(value);
  if ((value & 0x40) != 0) special_mask_ = (value & 0x20) != 0;
  poll_ = (value & 0x04) != 0;
  if ((value & 0x02) != 0) read_isr_ = (value & 0x01) != 0;
}

// Data sheet, Initialization Command Words: ICW1 clears the mask and the latched edges.
void PicPair::Chip::start_initialisation(uint8_t icw1) {
  irr_ = static_cast<uint8_t>(lines_ & elcr_);
  isr_ = 0;
  imr_ = 0;
  lowest_ = 7;
  auto_eoi_ = rotate_on_auto_eoi_ = fully_nested_ = special_mask_ = read_isr_ = poll_ = false;
  wants_icw4_ = (icw1 & 1) != 0;
  initialising_ = 2;
}

// The wiring of the cascade (ICW3) is the board's; single mode (ICW1 bit 1) does not exist on a PC.
void PicPair::Chip::continue_initialisation(uint8_t value) {
  switch (initialising_) {
    case 2:
      base_ = value & 0xf8;
      initialising_ = 3;
      return;
    case 3:
      initialising_ = wants_icw4_ ? 4 : 0;
      return;
    default:
      auto_eoi_ = (value & 0x02) != 0;
      fully_nested_ = (value & 0x10) != 0;
      initialising_ = 0;
      return;
  }
}

// Data sheet, OCW2: bits R, SL, EOI.
void PicPair::Chip::operation_command(uint8_t ocw2) {
  const unsigned named = ocw2 & 7;
  switch (ocw2 >> 5) {
    case 0:
      rotate_on_auto_eoi_ = false;
      return;
    case 4:
      rotate_on_auto_eoi_ = true;
      return;
    case 1:
    case 5: {
      uint8_t candidates = isr_;
      if (special_mask_) candidates = without(candidates, imr_);
      const unsigned position = highest(candidates);
      if (position != kNone) end_of_interrupt(input_at(position), (ocw2 & 0x80) != 0);
      return;
    }
    case 3:
    case 7:
      return end_of_interrupt(named, (ocw2 & 0x80) != 0);
    case 6:
      lowest_ = static_cast<uint8_t>(named);
      return;
    default:
      return;  // no operation
  }
}

void PicPair::Chip::end_of_interrupt(unsigned input, bool rotate) {
  isr_ = without(isr_, bit(input));
  if (rotate) lowest_ = static_cast<uint8_t>(input);
}

PicPair::PicPair() : master_(0x08, 0xfb, bit(kCascade)), slave_(0x70, 0xff, 0) {}

bool PicPair::claims(uint16_t port) {
  return port == kMasterCommand || port == kMasterData || port == kSlaveCommand || port == kSlaveData ||
         port == kMasterLevels || port == kSlaveLevels;
}

uint8_t PicPair::read(uint16_t port) {
  if (port == kMasterLevels) return master_.levels();
  if (port == kSlaveLevels) return slave_.levels();
  const bool master = port == kMasterCommand || port == kMasterData;
  const uint8_t value = (master ? master_ : slave_).read((port & 1) != 0);
  update_cascade();  // a poll acknowledges
  return value;
}

void PicPair::write(uint16_t port, uint8_t value) {
  if (port == kMasterLevels) {
    master_.set_levels(value & kMasterLevelMask);
  } else if (port == kSlaveLevels) {
    slave_.set_levels(value & kSlaveLevelMask);
  } else {
    const bool master = port == kMasterCommand || port == kMasterData;
    (master ? master_ : slave_).write((port & 1) != 0, value);
  }
  update_cascade();
}

void PicPair::set_line(IsaIrq irq, bool high) {
  if (raw(irq) == kCascade) return;
  (raw(irq) < 8 ? master_ : slave_).set_line(raw(irq) & 7, high);
  update_cascade();
}

// The slave's INTR is the master's IR2. It falls when the slave's request is acknowledged and rises again for
// the next one, which the master must see as an edge.
void PicPair::update_cascade() { master_.set_line(kCascade, slave_.requested() != kNone); }

bool PicPair::is_unmasked(IsaIrq irq) const {
  return raw(irq) < 8 ? master_.is_unmasked(raw(irq)) : slave_.is_unmasked(raw(irq) & 7);
}

bool PicPair::intr() const { return master_.requested() != kNone; }

PicPair::Acknowledged PicPair::acknowledge() {
  Acknowledged done;
  unsigned input = master_.acknowledge(done.spurious);
  if (input != kCascade || done.spurious) {
    done.vector = apic::Vector{master_.vector(input)};
    done.irq = IsaIrq{static_cast<uint8_t>(input)};
    return done;
  }
  input = slave_.acknowledge(done.spurious);
  done.vector = apic::Vector{slave_.vector(input)};
  done.irq = IsaIrq{static_cast<uint8_t>(input + 8)};
  master_.set_line(kCascade, false);
  update_cascade();
  return done;
}

}  // namespace vmm
