#include "vmm/platform/acpi.h"

#include <fmt/format.h>

#include <vector>

#include "vmm/platform/firmware.h"
#include "vmm/platform/table_bytes.h"

namespace vmm {
namespace {

constexpr uint32_t kFirstX2apicId = 255;  // 255 is xAPIC's broadcast

// Begins a system description table; finish() fills in length and checksum.
TableBytes begin(std::string_view signature, uint8_t revision) {
  TableBytes t;
  t.text(signature, 4).u32(0).u8(revision).u8(0);
  t.text("KVMUX", 6).text("KVMUXPC", 8).u32(1).text("KVMX", 4).u32(1);
  return t;
}

TableBytes finish(TableBytes table) {
  table.patch32(4, table.size());
  table.set_checksum(9, 0, table.size());
  return table;
}

// Generic Address Structure.
void address(TableBytes& t, uint16_t port, unsigned bytes) {
  constexpr uint8_t kSystemIo = 1;
  const unsigned access = bytes == 1 ? 1 : bytes == 2 ? 2 : 3;
  t.u8(port == 0 ? 0 : kSystemIo).u8(port == 0 ? 0 : bytes * 8).u8(0).u8(port == 0 ? 0 : access).u64(port);
}

// DSDT: only \_S5, the sleep type that PM1a control takes to power off:
//   Name (_S5, Package (4) {5, 5, 0, 0})
TableBytes make_dsdt() {
  constexpr uint8_t kName = 0x08;
  constexpr uint8_t kPackage = 0x12;
  constexpr uint8_t kByte = 0x0a;
  constexpr uint8_t kZero = 0x00;
  TableBytes t = begin("DSDT", 2);
  t.u8(kName).text("_S5_", 4).u8(kPackage).u8(8).u8(4);  // 8: length of the package from here
  t.u8(kByte).u8(kSleepTypeOff).u8(kByte).u8(kSleepTypeOff).u8(kZero).u8(kZero);
  return finish(std::move(t));
}

TableBytes make_facs() {
  TableBytes t;
  t.text("FACS", 4).u32(64).zeros(24).u8(2).zeros(31);
  return t;
}

// FADT, table "FADT Format"; revision 3 is the first with reset register and 64-bit addresses.
TableBytes make_fadt(Gpa facs, Gpa dsdt) {
  constexpr uint32_t kWbinvd = 1u << 0;
  constexpr uint32_t kC1 = 1u << 2;
  constexpr uint32_t kNoPowerButton = 1u << 4;
  constexpr uint32_t kNoSleepButton = 1u << 5;
  constexpr uint32_t kTimer32 = 1u << 8;
  constexpr uint32_t kResetRegister = 1u << 10;
  constexpr uint16_t kLegacyDevices = 1u << 0;
  constexpr uint16_t kKeyboardController = 1u << 1;
  constexpr uint16_t kNoVga = 1u << 2;
  constexpr uint8_t kCenturyIndex = 0x32;
  TableBytes t = begin("FACP", 3);
  t.u32(facs.value).u32(dsdt.value).u8(0).u8(0).u16(kSciIrq);
  t.u32(0).zeros(4);  // no SMI command port: ACPI is on from the start
  t.u32(kPmEventPort).u32(0).u32(kPmControlPort).u32(0).u32(0).u32(kPmTimerPort).u32(0).u32(0);
  t.u8(4).u8(2).u8(0).u8(4).zeros(4);  // lengths of event, control, timer block; no GPEs, no C states
  t.u16(0x0fff).u16(0x0fff).zeros(4);  // C2 and C3 latencies: not supported
  t.zeros(4).u8(kCenturyIndex);        // no duty cycle, no alarm beyond hours
  t.u16(kLegacyDevices | kKeyboardController | kNoVga).u8(0);
  t.u32(kWbinvd | kC1 | kNoPowerButton | kNoSleepButton | kTimer32 | kResetRegister);
  address(t, kResetPort, 1);
  t.u8(kResetValue).zeros(3);
  t.u64(facs.value).u64(dsdt.value);
  address(t, kPmEventPort, 4);
  address(t, 0, 0);
  address(t, kPmControlPort, 2);
  address(t, 0, 0);
  address(t, 0, 0);
  address(t, kPmTimerPort, 4);
  address(t, 0, 0);
  address(t, 0, 0);
  return finish(std::move(t));
}

void add_source_override(TableBytes& t, unsigned irq, unsigned gsi, unsigned flags) {
  t.u8(2).u8(10).u8(0).u8(irq).u32(gsi).u16(flags);
}

// MADT: local APICs first, the BSP leading; a processor whose id does not fit an xAPIC gets an x2APIC entry.
TableBytes make_madt(const AcpiRequest& request) {
  constexpr uint32_t kEnabled = 1;
  constexpr uint32_t kHas8259s = 1;
  constexpr uint16_t kActiveHighLevel = 0x000d;
  TableBytes t = begin("APIC", 3);
  t.u32(kLapicAddress.value).u32(kHas8259s);
  for (uint32_t id = 0; id < request.vcpus; ++id) {
    if (id < kFirstX2apicId) {
      t.u8(0).u8(8).u8(id).u8(id).u32(kEnabled);
    } else {
      t.u8(9).u8(16).u16(0).u32(id).u32(kEnabled).u32(id);
    }
  }
  t.u8(1).u8(12).u8(request.ioapic_id).u8(0).u32(kIoApicAddress.value).u32(0);
  add_source_override(t, 0, 2, 0);
  add_source_override(t, kSciIrq, kSciIrq, kActiveHighLevel);
  t.u8(4).u8(6).u8(0xff).u16(0).u8(1);  // NMI at LINT1 of every processor
  if (request.vcpus > kFirstX2apicId) t.u8(10).u8(12).u16(0).u32(0xffffffff).u8(1).zeros(3);
  return finish(std::move(t));
}

TableBytes make_root(bool wide, std::initializer_list<Gpa> tables) {
  TableBytes t = wide ? begin("XSDT", 1) : begin("RSDT", 1);
  for (const Gpa table : tables) wide ? t.u64(table.value) : t.u32(table.value);
  return finish(std::move(t));
}

TableBytes make_rsdp(Gpa rsdt, Gpa xsdt) {
  constexpr size_t kFirstRevisionBytes = 20;
  TableBytes t;
  t.text("RSD PTR ", 8).u8(0).text("KVMUX", 6).u8(2).u32(rsdt.value);
  t.u32(kRsdpBytes).u64(xsdt.value).u8(0).zeros(3);
  t.set_checksum(8, 0, kFirstRevisionBytes);
  t.set_checksum(32, 0, kRsdpBytes);
  return t;
}

// Places tables one behind the other.
class Writer {
 public:
  Writer(const GuestMemory& memory, Gpa at, Gpa limit) : memory_(memory), at_(at), limit_(limit) {}

  Gpa put(const TableBytes& table) {
    constexpr uint64_t kAlign = 64;  // what a FACS needs
    at_ = Gpa{(at_.value + kAlign - 1) / kAlign * kAlign};
    const Gpa here = at_;
    at_ = at_ + table.size();
    if (at_ > limit_) {
      fits_ = false;
    } else if (result_) {
      result_ = memory_.write(here, std::as_bytes(table.bytes()));
    }
    return here;
  }
  Result<Gpa> finish() const {
    if (!fits_)
      return usage_error("write ACPI tables", fmt::format("they end at {:#x}, too many vCPUs", at_.value));
    if (!result_) return Failure(result_.error());
    return at_;
  }

 private:
  const GuestMemory& memory_;
  Gpa at_;
  const Gpa limit_;
  bool fits_ = true;
  Result<void> result_;
};

}  // namespace

Result<Gpa> write_acpi(const AcpiRequest& request, const GuestMemory& memory, Gpa start, Gpa limit) {
  Writer out(memory, start + kRsdpBytes, limit);
  const Gpa facs = out.put(make_facs());
  const Gpa dsdt = out.put(make_dsdt());
  const Gpa fadt = out.put(make_fadt(facs, dsdt));
  const Gpa madt = out.put(make_madt(request));
  const Gpa rsdt = out.put(make_root(false, {fadt, madt}));
  const Gpa xsdt = out.put(make_root(true, {fadt, madt}));
  if (auto ok = memory.write(start, std::as_bytes(make_rsdp(rsdt, xsdt).bytes())); !ok)
    return Failure(ok.error());
  return out.finish();
}

}  // namespace vmm
