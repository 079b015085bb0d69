// The naive model's registers.
#include <algorithm>

#include "naive_lapic.h"

namespace apic_test {
namespace {

constexpr std::uint32_t kLvts[] = {0x2f0, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370};
constexpr std::uint32_t kTimerLvt = 0x320, kLint0 = 0x350, kLint1 = 0x360, kErrorLvt = 0x370;

bool is_lvt(std::uint32_t offset) {
  for (std::uint32_t lvt : kLvts) {
    if (lvt == offset) return true;
  }
  return false;
}

bool is_bitmap(std::uint32_t offset) { return offset >= 0x100 && offset <= 0x270; }

bool in_xapic(std::uint32_t offset) {
  static const std::set<std::uint32_t> kOffsets = {0x20, 0x30, 0x80,  0x90,  0xa0,  0xb0,  0xc0,  0xd0,
                                                   0xe0, 0xf0, 0x280, 0x300, 0x310, 0x380, 0x390, 0x3e0};
  return kOffsets.count(offset) || is_lvt(offset) || is_bitmap(offset);
}

bool in_x2apic(std::uint32_t offset) {
  if (offset == 0x3f0) return true;
  return in_xapic(offset) && offset != 0x90 && offset != 0xc0 && offset != 0xe0 && offset != 0x310;
}

bool read_only(std::uint32_t offset) {
  return offset == 0x20 || offset == 0x30 || offset == 0x90 || offset == 0xa0 || offset == 0xc0 ||
         offset == 0x390 || is_bitmap(offset);
}

bool write_only(std::uint32_t offset) { return offset == 0xb0 || offset == 0x3f0; }

// Bits that can be set, status bits excluded.
std::uint32_t settable(std::uint32_t offset) {
  switch (offset) {
    case 0x80:
    case 0x3f0:
      return 0xff;
    case 0xd0:
    case 0x310:
      return 0xff000000;
    case 0xe0:
      return 0xf0000000;
    case 0xf0:
      return 0x13ff;
    case 0x300:
      return 0xccfff;
    case kTimerLvt:
      return 0x700ff;
    case kErrorLvt:
      return 0x100ff;
    case kLint0:
    case kLint1:
      return 0x1a7ff;
    case 0x2f0:
    case 0x330:
    case 0x340:
      return 0x107ff;
    case 0x380:
      return 0xffffffff;
    case 0x3e0:
      return 0xb;
    default:
      return 0;
  }
}

std::uint32_t status_bits(std::uint32_t offset) {
  if (offset == kLint0 || offset == kLint1) return 0x5000;
  return is_lvt(offset) || offset == 0x300 ? 0x1000 : 0;
}

}  // namespace

std::uint32_t NaiveLapic::bitmap(const std::set<int>& vectors, std::uint32_t offset) {
  const int first = static_cast<int>(offset / 16 % 8) * 32;
  std::uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) {
    if (vectors.count(first + i)) bits |= 1u << i;
  }
  return bits;
}

std::uint32_t NaiveLapic::value_of(std::uint32_t offset) {
  if (offset >= 0x100 && offset < 0x180) return bitmap(in_service_, offset);
  if (offset >= 0x180 && offset < 0x200) return bitmap(level_, offset);
  if (offset >= 0x200 && offset < 0x280) return bitmap(requested_, offset);
  switch (offset) {
    case 0x20:
      return mode() == 2 ? id_ : id_ % 256 << 24;
    case 0x30:
      return 0x01060014;
    case 0x90: {
      const std::uint32_t tpr = registers_[0x80];
      const std::uint32_t irrv = requested_.empty() ? 0 : static_cast<std::uint32_t>(*requested_.rbegin());
      const std::uint32_t isrv = in_service_.empty() ? 0 : static_cast<std::uint32_t>(*in_service_.rbegin());
      if (tpr / 16 >= irrv / 16 && tpr / 16 > isrv / 16) return tpr;
      return std::max(tpr / 16, std::max(irrv / 16, isrv / 16)) * 16;
    }
    case 0xa0:
      return ppr();
    case 0xd0:
      return mode() == 2 ? id_ / 16 * 0x10000 + (1u << id_ % 16) : registers_[offset];
    case 0x390: {
      const std::uint64_t step = naive_divisor(registers_[0x3e0]);
      return static_cast<std::uint32_t>((left_ + step - 1) / step);
    }
    default:
      return registers_[offset];
  }
}

std::uint32_t NaiveLapic::read(std::uint32_t offset) {
  if (mode() != 1) return 0xffffffff;
  if (!in_xapic(offset / 16 * 16)) {
    error(0x80);
    return 0;
  }
  if (write_only(offset / 16 * 16) || offset % 16 > 3) return 0;
  return value_of(offset / 16 * 16) / (1u << offset % 16 * 8);
}

apic::Effect NaiveLapic::write(std::uint32_t offset, std::uint32_t value) {
  if (mode() != 1) return {};
  if (!in_xapic(offset / 16 * 16)) {
    error(0x80);
    return {};
  }
  return offset % 16 || read_only(offset) ? apic::Effect{} : store(offset, value & settable(offset));
}

std::optional<std::uint64_t> NaiveLapic::read_msr(std::uint32_t msr) {
  if (msr == 0x1b) return base_;
  if (msr == 0x6e0) return deadline_;
  const std::uint32_t offset = (msr - 0x800) * 16;
  if (mode() != 2 || !in_x2apic(offset) || write_only(offset)) return std::nullopt;
  if (offset == 0x300) return std::uint64_t{command_destination_} << 32 | registers_[0x300];
  return value_of(offset);
}

std::optional<apic::Effect> NaiveLapic::write_msr(std::uint32_t msr, std::uint64_t value) {
  if (msr == 0x1b) return store_base(value);
  if (msr == 0x6e0) {
    if (mode() != 0 && (registers_[kTimerLvt] >> 17 & 3) == 2) deadline_ = value;
    timer_expires();
    return apic::TimerChanged{};
  }
  const std::uint32_t offset = (msr - 0x800) * 16;
  if (mode() != 2 || !in_x2apic(offset) || read_only(offset) || offset == 0xd0) return std::nullopt;
  const auto low = static_cast<std::uint32_t>(value);
  const auto high = static_cast<std::uint32_t>(value >> 32);
  if (low & ~(settable(offset) | status_bits(offset))) return std::nullopt;
  if (high != 0 && offset != 0x300) return std::nullopt;
  if (offset == 0x300) command_destination_ = high;
  return store(offset, low & settable(offset));
}

apic::Effect NaiveLapic::store(std::uint32_t offset, std::uint32_t value) {
  if (is_lvt(offset)) return store_lvt(offset, value);
  const std::uint32_t old = registers_[offset];
  switch (offset) {
    case 0xb0:
      return end();
    case 0xd0:
      registers_[offset] = value;
      return apic::AcceptanceChanged{};
    case 0xe0:
      registers_[offset] = value | 0x0fffffff;
      return apic::AcceptanceChanged{};
    case 0xf0:
      registers_[offset] = value;
      if (!(value & 0x100)) {
        for (std::uint32_t lvt : kLvts) registers_[lvt] |= 0x10000;
      }
      if (!((old ^ value) & 0x100)) return {};
      return value & 0x100 ? apic::Effect{apic::AcceptanceChanged{}} : apic::Effect{apic::TimerChanged{}};
    case 0x280:
      registers_[offset] = errors_;
      errors_ = 0;
      return {};
    case 0x300:
      registers_[offset] = value;
      return command(value, mode() == 2 ? command_destination_ : registers_[0x310] >> 24);
    case 0x380: {
      const std::uint32_t timer_mode = registers_[kTimerLvt] >> 17 & 3;
      if (timer_mode == 2) return apic::TimerChanged{};
      registers_[offset] = value;
      left_ = timer_mode == 3 ? 0 : value * naive_divisor(registers_[0x3e0]);
      return apic::TimerChanged{};
    }
    case 0x3e0:
      // The count stays, the part of a tick that has passed is lost.
      if (old != value) left_ = (left_ + naive_divisor(old) - 1) / naive_divisor(old) * naive_divisor(value);
      registers_[offset] = value;
      return apic::TimerChanged{};
    case 0x3f0:
      if (value < 16) error(0x20);
      return apic::IpiRequest{{.width = apic::DestWidth::kWide, .vector = apic::Vector(value)},
                              apic::Shorthand::kSelf};
    default:
      registers_[offset] = value;
      return {};
  }
}

apic::Effect NaiveLapic::store_lvt(std::uint32_t offset, std::uint32_t value) {
  const std::uint32_t old = registers_[offset];
  if (!(registers_[0xf0] & 0x100)) value |= 0x10000;
  if (offset == kLint0 && (value & 0x8000)) value |= old & 0x4000;
  registers_[offset] = value;
  if (offset == kLint0) check_lint0();
  if (offset != kTimerLvt) return {};
  const std::uint32_t from = old >> 17 & 3, to = value >> 17 & 3;
  if (from != to && (from > 1 || to > 1)) {
    left_ = deadline_ = 0;
    registers_[0x380] = 0;
  }
  return apic::TimerChanged{};
}

apic::Effect NaiveLapic::command(std::uint32_t low, std::uint32_t destination) {
  apic::IpiRequest ipi;
  ipi.shorthand = apic::Shorthand(low >> 18 & 3);
  ipi.message.destination = destination;
  ipi.message.width = mode() == 2 ? apic::DestWidth::kWide : apic::DestWidth::kNarrow;
  ipi.message.dest_mode = apic::DestMode(low >> 11 & 1);
  ipi.message.delivery = apic::DeliveryMode(low >> 8 & 7);
  ipi.message.vector = apic::Vector(low & 0xff);
  if ((low & 0xc700) == 0x8500) {
    ipi.message.trigger = apic::TriggerMode::kLevel;
    ipi.message.assert_level = false;
  }
  if ((low >> 8 & 7) < 2 && (low & 0xff) < 16) error(0x20);
  return ipi;
}

apic::Effect NaiveLapic::end() {
  const int vector = highest_in_service();
  if (vector < 0) return {};
  in_service_.erase(vector);
  const bool level = level_in_service_.count(vector) > 0;
  std::uint32_t& lint0 = registers_[kLint0];
  if ((lint0 & 0x4000) && lint0_accepted_ == vector) {
    lint0 &= ~0x4000u;
    check_lint0();
  }
  return apic::EndOfInterrupt{apic::Vector(vector), level, level && !(registers_[0xf0] & 0x1000)};
}

std::optional<apic::Effect> NaiveLapic::store_base(std::uint64_t value) {
  if (value & ~std::uint64_t{0xffffffd00} & ~std::uint64_t{0x100}) return std::nullopt;
  const int from = mode();
  const bool enable = value & 0x800, extended = value & 0x400;
  if (extended && !enable) return std::nullopt;
  if (from == 2 && enable && !extended) return std::nullopt;
  if (from == 0 && extended) return std::nullopt;
  if (value == base_) return apic::Effect{};
  base_ = value;
  const int to = mode();
  if (to == 0) {
    left_ = deadline_ = 0;
    forget_requests();
  }
  if (from == 2 && to == 0) {
    registers_[0xd0] = registers_[0x300] = registers_[0x310] = command_destination_ = 0;
    registers_[0xe0] = 0xffffffff;
  }
  if (from == 1 && to == 2) registers_[0x310] = command_destination_ = 0;
  return apic::ApicBaseChanged{};
}

}  // namespace apic_test
