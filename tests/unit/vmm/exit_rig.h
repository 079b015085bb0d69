// A vCPU without KVM and a board that writes down what it is asked, for tests that make up exits. One thread.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "apic/registers.h"
#include "vmm/run/exit.h"

namespace exit_test {

using namespace vmm;

inline constexpr uint64_t kLapicPage = apic::kApicDefaultAddress;
inline constexpr uint64_t kDoorbell = 0xfed80000;
inline constexpr size_t kAreaBytes = 3 * 4096;
inline constexpr size_t kPortData = 4096;  // KVM puts it a page behind kvm_run

inline std::string hex(std::span<const uint8_t> data) {
  std::string text;
  for (const uint8_t byte : data) text += fmt::format("{:02x}", byte);
  return text;
}

// Writes down what it is called with and answers as told.
struct RecordingBoard final : Board {
  std::vector<std::string> calls;
  std::vector<apic::IpiRequest> ipis;
  std::vector<apic::EndOfInterrupt> eois;
  Next answer = Next::kEnter;
  size_t stop_at = SIZE_MAX;  // the call that is answered with kStopVm
  bool completes = false;
  unsigned acceptance_changes = 0;
  uint64_t ram_bytes = 0;

  Next note(const std::string& call) {
    calls.push_back(call);
    return calls.size() == stop_at ? Next::kStopVm : answer;
  }
  void ipi(Vcpu&, const apic::IpiRequest& request) override { ipis.push_back(request); }
  void end_of_interrupt(Vcpu&, const apic::EndOfInterrupt& eoi) override { eois.push_back(eoi); }
  Next port_read(Vcpu&, uint16_t port, std::span<uint8_t> data) override {
    std::fill(data.begin(), data.end(), static_cast<uint8_t>(0xa0 + calls.size()));
    return note(fmt::format("in {:x} {}", port, data.size()));
  }
  Next port_write(Vcpu&, uint16_t port, std::span<const uint8_t> data) override {
    return note(fmt::format("out {:x} {}", port, hex(data)));
  }
  Next mmio_read(Vcpu&, Gpa address, std::span<uint8_t> data) override {
    std::fill(data.begin(), data.end(), uint8_t{0x5a});
    return note(fmt::format("read {:x} {}", address.value, data.size()));
  }
  Next mmio_write(Vcpu&, Gpa address, std::span<const uint8_t> data) override {
    return note(fmt::format("write {:x} {}", address.value, hex(data)));
  }
  void acceptance_changed() override { ++acceptance_changes; }
  bool is_ram(Gpa page) const override { return page.value < ram_bytes; }
  bool complete_instruction(Vcpu&) override { return completes; }
  void fail(const Vcpu&, const std::string& why) override { calls.push_back("fail: " + why); }
};

// A processor with a run area of our own, standing at RIP 101234H in user mode, its LAPIC software-enabled.
struct Rig {
  Rig()
      : vcpu(sched::VcpuId{5}, VmId{2}, VcpuIndex{1}, 4,
             VcpuFd::over(Mapping::anonymous(kAreaBytes, 4096).value()),
             {.id = apic::ApicId{1}, .phys_addr_bits = 46}, 0) {
    vcpu.kvm.mutable_regs().rip = 0x101234;
    vcpu.kvm.mutable_sregs().cr0 = 1;
    vcpu.kvm.mutable_sregs().ss.dpl = 3;
    CHECK(lapic_write32(apic::Reg::kSvr, apic::kSvrEnable | 0xff) == Next::kEnter);
  }

  Next exit(uint32_t reason) {
    area.exit_reason = reason;
    return handle_exit(vcpu, area, board, Nanos{1'000});
  }
  Next mmio(uint64_t address, uint32_t length, bool is_write, uint64_t value = 0) {
    area.mmio.phys_addr = address;
    area.mmio.len = length;
    area.mmio.is_write = is_write;
    std::memcpy(area.mmio.data, &value, sizeof(value));
    return exit(KVM_EXIT_MMIO);
  }
  uint64_t mmio_data() const {
    uint64_t value = 0;
    std::memcpy(&value, area.mmio.data, sizeof(value));
    return value;
  }
  Next lapic_write32(apic::Reg reg, uint32_t value) {
    return mmio(kLapicPage + static_cast<uint64_t>(reg), 4, true, value);
  }
  uint64_t lapic_read32(apic::Reg reg) {
    CHECK(mmio(kLapicPage + static_cast<uint64_t>(reg), 4, false, ~uint64_t{0}) == Next::kEnter);
    return mmio_data() & 0xffffffff;
  }
  Next port(uint8_t direction, uint16_t number, uint8_t size, uint32_t count) {
    area.io.direction = direction;
    area.io.port = number;
    area.io.size = size;
    area.io.count = count;
    area.io.data_offset = kPortData;
    return exit(KVM_EXIT_IO);
  }
  std::span<uint8_t> port_data(size_t bytes) {
    return {reinterpret_cast<uint8_t*>(&area) + kPortData, bytes};
  }
  Next rdmsr(uint32_t index) {
    area.msr.index = index;
    area.msr.data = 0;
    area.msr.error = 0;
    return exit(KVM_EXIT_X86_RDMSR);
  }
  Next wrmsr(uint32_t index, uint64_t value) {
    area.msr.index = index;
    area.msr.data = value;
    area.msr.error = 0;
    return exit(KVM_EXIT_X86_WRMSR);
  }

  RecordingBoard board;
  Vcpu vcpu;
  kvm_run& area = vcpu.kvm.area();
};

}  // namespace exit_test
