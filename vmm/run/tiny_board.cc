#include "vmm/run/tiny_board.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "apic/router.h"
#include "guest/abi.h"
#include "vmm/load/layout.h"
#include "vmm/run/access_value.h"
#include "vmm/run/exit.h"
#include "vmm/run/guest_pages.h"

namespace vmm {
namespace {

constexpr uint16_t kSerialPorts = 8;

bool is_serial(uint16_t port) { return port >= KVMUX_PORT_SERIAL && port < KVMUX_PORT_SERIAL + kSerialPorts; }

}  // namespace

void deliver_ipi(Vm& vm, Notifier& notifier, Vcpu& source, const apic::IpiRequest& request) {
  const apic::TargetIndex from{index_of(source.index)};
  const bool fixed = request.message.delivery == apic::DeliveryMode::kFixed;
  const sched::IpiSend send{.sender = index_of(source.index),
                            .vector = sched::IrqVector{apic::raw(request.message.vector)},
                            .shorthand = request.shorthand != apic::Shorthand::kNone,
                            .receivers = source.receivers};
  source.receivers.clear();
  source.accepted.clear();
  if (fixed) {
    apic::for_each_named(vm.lapics(), request, from,
                         [&](apic::TargetIndex target) { source.receivers.insert(apic::raw(target)); });
    notifier.ipi_sending(vm.id(), send);
  }
  apic::deliver(vm.lapics(), request, from,
                [&](apic::TargetIndex target) { source.accepted.insert(apic::raw(target)); });
  if (fixed) notifier.ipi_sent(vm.id(), send, source.accepted);
  source.accepted.for_each(
      [&](uint32_t receiver) { notifier.interrupt_posted(vm.vcpu(VcpuIndex{receiver}).id); });
}

TinyBoard::TinyBoard(Vm& vm, Notifier& notifier, Console& console)
    : vm_(vm),
      notifier_(notifier),
      console_(console),
      serial_([this](uint8_t byte) SCHED_TSA(no_thread_safety_analysis) {
        sent_ = static_cast<char>(byte);
        sent_any_ = true;
      }) {}

void TinyBoard::ipi(Vcpu& source, const apic::IpiRequest& request) {
  deliver_ipi(vm_, notifier_, source, request);
}

void TinyBoard::end_of_interrupt(Vcpu& vcpu, const apic::EndOfInterrupt& eoi) {
  notifier_.eoi(vcpu.id, sched::IrqVector{apic::raw(eoi.vector)});
}

Next TinyBoard::end_badly(Vcpu& vcpu, const std::string& what) {
  fail(vcpu, what + " at " + where(vcpu));
  return Next::kStopVm;
}

Next TinyBoard::port_read(Vcpu& vcpu, uint16_t port, std::span<uint8_t> data) {
  if (!is_serial(port))
    return end_badly(vcpu, fmt::format("read of port {:#x}, which nothing claims,", port));
  sched::MutexLock lock(mutex_);
  std::fill(data.begin(), data.end(), uint8_t{0xff});
  data[0] = serial_.read(static_cast<uint8_t>(port - KVMUX_PORT_SERIAL));
  return Next::kEnter;
}

Next TinyBoard::port_write(Vcpu& vcpu, uint16_t port, std::span<const uint8_t> data) {
  if (port == KVMUX_PORT_DEBUG_EXIT) {
    vm_.end_with_code(static_cast<int>((to_value(data) << 1 | 1) & 0xff));
    notifier_.vm_ended(vm_.id());
    return Next::kStopVm;
  }
  if (!is_serial(port))
    return end_badly(vcpu, fmt::format("write to port {:#x}, which nothing claims,", port));
  char sent = 0;
  bool any = false;
  {
    sched::MutexLock lock(mutex_);
    sent_any_ = false;
    serial_.write(static_cast<uint8_t>(port - KVMUX_PORT_SERIAL), data[0]);
    any = sent_any_;
    sent = sent_;
  }
  if (any) console_.put(vm_.id(), vcpu.index, {&sent, 1});
  return Next::kEnter;
}

Next TinyBoard::mmio_read(Vcpu& vcpu, Gpa address, std::span<uint8_t>) {
  return end_badly(vcpu, fmt::format("read of address {:#x}, which nothing claims,", address.value));
}

Next TinyBoard::mmio_write(Vcpu& vcpu, Gpa address, std::span<const uint8_t> data) {
  const uint64_t offset = address.value - kDoorbellPage.value;
  if (address < kDoorbellPage || offset >= KVMUX_BELL_SIZE) {
    return end_badly(vcpu, fmt::format("write to address {:#x}, which nothing claims,", address.value));
  }
  if (data.size() != 8) {
    return end_badly(vcpu, fmt::format("{}-byte store to the doorbell (it takes 8 bytes)", data.size()));
  }
  return doorbell(vcpu, offset, to_value(data));
}

Next TinyBoard::doorbell(Vcpu& vcpu, uint64_t offset, uint64_t value) {
  switch (offset) {
    case KVMUX_BELL_SPIN:
      vcpu.wait = value == KVMUX_WAIT_BEGINS    ? sched::Wait::kBegins
                  : value == KVMUX_WAIT_GOES_ON ? sched::Wait::kGoesOn
                                                : sched::Wait::kUnknown;
      return Next::kSpin;
    case KVMUX_BELL_LOG:
      return log(vcpu, Gpa{value});
    case KVMUX_BELL_RESULT:
      return check(vcpu, Gpa{value});
    case KVMUX_BELL_STOP:
      vcpu.stopped = true;
      vcpu.sleep.sleeps();
      if (vm_.vcpu_stopped(value)) notifier_.vm_ended(vm_.id());
      return Next::kStopVcpu;
    default:
      return end_badly(
          vcpu,
          fmt::format("store to the doorbell at offset {:#x} (there are 0x0, 0x8, 0x10, 0x18)", offset));
  }
}

Next TinyBoard::log(Vcpu& vcpu, Gpa text) {
  // Copied before it is looked at: the guest's other vCPUs may be writing to it.
  char copy[KVMUX_LOG_MAX];
  const uint64_t size = vm_.memory().size();
  const uint64_t bytes = text.value < size ? std::min<uint64_t>(sizeof(copy), size - text.value) : 0;
  if (bytes == 0 || !vm_.memory().read(text, std::as_writable_bytes(std::span(copy, bytes)))) {
    return end_badly(vcpu, fmt::format("doorbell LOG with text at {:#x}, outside of memory,", text.value));
  }
  console_.line(vm_.id(), vcpu.index, {copy, ::strnlen(copy, bytes)});
  return Next::kEnter;
}

Next TinyBoard::check(Vcpu& vcpu, Gpa record) {
  constexpr size_t kMaxChecks = 4096;  // a guest that rings for ever must not fill the host's memory
  const auto copy = vm_.memory().load<kvmux_check>(record);
  if (!copy)
    return end_badly(vcpu,
                     fmt::format("doorbell RESULT with a record at {:#x}, outside of memory,", record.value));
  CheckResult result = read_check(index_of(vcpu.index), *copy);
  console_.line(vm_.id(), vcpu.index,
                fmt::format("check {}: {} ({})", result.name, result.ok ? "ok" : "FAILED", result.value));
  sched::MutexLock lock(mutex_);
  if (checks_.size() >= kMaxChecks) return end_badly(vcpu, fmt::format("more than {} results", kMaxChecks));
  checks_.push_back(std::move(result));
  return Next::kEnter;
}

bool TinyBoard::complete_instruction(Vcpu&) { return false; }

void TinyBoard::fail(const Vcpu& vcpu, const std::string& why) {
  const std::string text = fmt::format("vm{}/vcpu{}: {}", index_of(vm_.id()), index_of(vcpu.index), why);
  if (vm_.end_with_failure(text)) notifier_.vm_ended(vm_.id());
}

std::vector<CheckResult> TinyBoard::checks() const {
  sched::MutexLock lock(mutex_);
  return checks_;
}

}  // namespace vmm
