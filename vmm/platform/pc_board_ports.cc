// Guest accesses to ports and device memory; the rest is in pc_board.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "vmm/platform/acpi.h"
#include "vmm/platform/firmware.h"
#include "vmm/platform/pc_board.h"
#include "vmm/run/access_value.h"

namespace vmm {
namespace {

constexpr uint16_t kSerialPorts = 8;
constexpr uint16_t kDebugExitPort = 0xf4;     // QEMU's isa-debug-exit, where its users put it
constexpr uint16_t kDebugConsolePort = 0xe9;  // Bochs' and QEMU's debug console
constexpr uint16_t kPostPort = 0x80;
constexpr uint16_t kSystemControlA = 0x92;
constexpr uint16_t kPmEnd = kPmTimerPort + 4;
constexpr uint8_t kA20Open = 0x02;
constexpr uint8_t kFastReset = 0x01;
constexpr uint8_t kResetProcessor = 0x04;  // of port CF9H
constexpr uint16_t kSleepEnable = 1u << 13;

// PCI configuration mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2). It is there so that software
// which looks for devices gets its answer: there is none.
constexpr uint16_t kPciAddress = 0xcf8;  // only as a whole; its bytes are ports of their own, like CF9H
constexpr uint16_t kPciData = 0xcfc;
constexpr uint32_t kPciAddressBits = 0x80fffffc;

bool is_pci(uint16_t port) { return port >= kPciAddress && port < kPciData + 4; }

bool is_of(uint16_t port, uint16_t base) { return port >= base && port < base + kSerialPorts; }
bool is_power(uint16_t port) { return port >= kPmEventPort && port < kPmEnd; }

bool in_ioapic(Gpa address) {
  return address >= kIoApicAddress && address < kIoApicAddress + apic::IoApic::kSize;
}

// One byte of a register that is several bytes wide.
uint8_t byte_of(uint64_t value, unsigned offset) { return static_cast<uint8_t>(value >> (8 * offset)); }

}  // namespace

// A wide access is one access a byte, at successive ports, as on the ISA bus; what one port does not claim
// reads as ones.
Next PcBoard::port_read(Vcpu&, uint16_t port, std::span<uint8_t> data) {
  const Nanos now = monotonic_now();
  const sched::MutexLock lock(mutex_);
  if (port == kPciAddress && data.size() == sizeof(pci_address_)) {
    std::memcpy(data.data(), &pci_address_, sizeof(pci_address_));
    return Next::kEnter;
  }
  bool claimed = false;
  for (size_t i = 0; i < data.size(); ++i) {
    const auto byte = read_byte(static_cast<uint16_t>(port + i), now);
    data[i] = byte.value_or(0xff);
    claimed = claimed || byte.has_value();
  }
  if (!claimed) ++unclaimed_.port_reads;
  if (is_nearer()) outlets_.look_again();  // reading the clock's register C lets its next interrupt come
  return Next::kEnter;
}

Next PcBoard::port_write(Vcpu&, uint16_t port, std::span<const uint8_t> data) {
  if (port == kDebugExitPort) return end_with(static_cast<int>((to_value(data) << 1 | 1) & 0xff));
  if (port == kResetPort && data.size() == 1 && (data[0] & kResetProcessor) != 0) return reset();
  const Nanos now = monotonic_now();
  bool ends = false;
  {
    const sched::MutexLock lock(mutex_);
    if (port == kPciAddress && data.size() == sizeof(pci_address_)) {
      pci_address_ = static_cast<uint32_t>(to_value(data)) & kPciAddressBits;
      return Next::kEnter;
    }
    bool claimed = false;
    for (size_t i = 0; i < data.size(); ++i) {
      // Byte 1 of a store to CF8H is part of a PCI address, not a reset.
      const auto at = static_cast<uint16_t>(port + i);
      if (at == kResetPort && i > 0) break;
      claimed = write_byte(at, data[i], now) || claimed;
    }
    if (!claimed) ++unclaimed_.port_writes;
    ends = ends_;
    if (is_nearer()) outlets_.look_again();
  }
  if (ends) return reset();
  return vm_.ended() ? Next::kStopVm : Next::kEnter;
}

SerialLine* PcBoard::line_at(uint16_t port) {
  if (is_of(port, kCom1Port)) return &com1_;
  return is_of(port, kCom2Port) ? &com2_ : nullptr;
}

std::optional<uint8_t> PcBoard::read_byte(uint16_t port, Nanos now) {
  if (SerialLine* const line = line_at(port)) {
    const uint8_t value = line->read(port % kSerialPorts);
    serial_used(*line);
    return value;
  }
  if (PicPair::claims(port)) {
    const uint8_t value = pic_.read(port);
    update_intr();
    return value;
  }
  if (Pit::claims(port)) return pit_.read(port, now);
  if (Rtc::claims(port)) {
    const uint8_t value = rtc_.read(port, now);
    update_lines();
    return value;
  }
  if (KeyboardController::claims(port)) return keyboard_.read(port);
  if (is_power(port)) return read_power(port, now);
  if (port == kDebugConsolePort) return static_cast<uint8_t>(kDebugConsolePort);  // "I am here"
  if (port == kSystemControlA) return kA20Open;
  if (port == kResetPort) return uint8_t{0};
  if (is_pci(port)) return uint8_t{0xff};  // no device at any address
  return std::nullopt;
}

bool PcBoard::write_byte(uint16_t port, uint8_t value, Nanos now) {
  if (SerialLine* const line = line_at(port)) {
    line->write(port % kSerialPorts, value);
    serial_used(*line);
  } else if (PicPair::claims(port)) {
    pic_.write(port, value);
    update_intr();
  } else if (Pit::claims(port)) {
    take_ticks(now);
    const uint32_t before = pit_.programmed();
    pit_.write(port, value, now);
    if (pit_.programmed() != before) ticks_.clear();
  } else if (Rtc::claims(port)) {
    rtc_.write(port, value, now);
    update_lines();
  } else if (KeyboardController::claims(port)) {
    ends_ = keyboard_.write(port, value) || ends_;
  } else if (is_power(port)) {
    write_power(port, value);
  } else if (port == kDebugConsolePort) {
    if (console_ready()) {
      outlets_.console({&value, 1});
    } else {
      ++lost_debug_;  // this port has no way to make the guest wait
    }
  } else if (port == kSystemControlA) {
    ends_ = (value & kFastReset) != 0 || ends_;
  } else {
    return port == kPostPort || port == kResetPort || is_pci(port);
  }
  return true;
}

// ACPI specification, Fixed Hardware Registers. No event is ever raised, so all status bits are 0.
uint8_t PcBoard::read_power(uint16_t port, Nanos now) const {
  if (port >= kPmTimerPort) {
    const auto since = static_cast<uint64_t>((now - started_).count());
    constexpr uint64_t kSecond = 1'000'000'000;
    const uint64_t ticks = since / kSecond * kPmTimerHz + since % kSecond * kPmTimerHz / kSecond;
    return byte_of(ticks, port - kPmTimerPort);
  }
  if (port >= kPmControlPort)
    return port < kPmControlPort + 2 ? byte_of(pm_control_, port - kPmControlPort) : 0xff;
  return port >= kPmEventPort + 2 ? byte_of(pm_enable_, port - kPmEventPort - 2u) : 0;
}

void PcBoard::write_power(uint16_t port, uint8_t value) {
  const auto store = [&](uint16_t& reg, unsigned offset) {
    const unsigned shift = 8 * offset;
    reg = static_cast<uint16_t>((reg & ~(0xffu << shift)) | unsigned{value} << shift);
  };
  if (port == kPmEventPort + 2 || port == kPmEventPort + 3) store(pm_enable_, port - kPmEventPort - 2u);
  if (port != kPmControlPort && port != kPmControlPort + 1) return;
  store(pm_control_, static_cast<unsigned>(port - kPmControlPort));
  const bool sleeps = (pm_control_ & kSleepEnable) != 0;
  pm_control_ = static_cast<uint16_t>((pm_control_ & ~kSleepEnable) | 1);
  if (sleeps && (pm_control_ >> 10 & 7) == kSleepTypeOff) end_with(0);
}

Next PcBoard::mmio_read(Vcpu&, Gpa address, std::span<uint8_t> data) {
  std::fill(data.begin(), data.end(), uint8_t{0xff});
  const sched::MutexLock lock(mutex_);
  if (!in_ioapic(address)) {
    ++unclaimed_.mmio_reads;
    return Next::kEnter;
  }
  const uint32_t value = ioapic_.read(static_cast<uint32_t>(address.value - kIoApicAddress.value));
  std::fill(data.begin(), data.end(), uint8_t{0});
  std::memcpy(data.data(), &value, std::min(data.size(), sizeof(value)));
  return Next::kEnter;
}

Next PcBoard::mmio_write(Vcpu& vcpu, Gpa address, std::span<const uint8_t> data) {
  int error = 0;
  {
    const sched::MutexLock lock(mutex_);
    if (!in_ioapic(address)) {
      ++unclaimed_.mmio_writes;
      return Next::kEnter;
    }
    const auto offset = static_cast<uint32_t>(address.value - kIoApicAddress.value);
    // First the routes, then what the new entry sends: or its end could come before KVM knows that it is
    // wanted.
    NoBus nobody;
    ioapic_.write(offset, static_cast<uint32_t>(to_value(data)), nobody);
    error = bus_.entries_changed(ioapic_);
    if (offset != apic::IoApic::kSelectRegister) ioapic_.retry(bus_);
    if (is_nearer()) outlets_.look_again();
  }
  if (error == 0) return Next::kEnter;
  fail(vcpu, fmt::format("the IOAPIC's routes inside KVM cannot be set: KVM_SET_GSI_ROUTING: {}",
                         std::strerror(error)));
  return Next::kStopVm;
}

}  // namespace vmm
