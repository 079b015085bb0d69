#include "vmm/platform/mp_table.h"

#include <algorithm>

#include "vmm/platform/firmware.h"
#include "vmm/platform/table_bytes.h"

namespace vmm {
namespace {

constexpr uint32_t kMostProcessors = 255;
constexpr uint8_t kIsaBus = 0;
constexpr unsigned kIsaIrqs = 16;
constexpr unsigned kCascade = 2;
constexpr uint8_t kAllLapics = 0xff;

enum Entry : uint8_t { kProcessor, kBus, kIoApic, kIoInterrupt, kLocalInterrupt };
enum InterruptType : uint8_t { kVectored = 0, kNmi = 1, kExtInt = 3 };

void add_processors(TableBytes& t, uint32_t count) {
  constexpr uint8_t kLapicVersion = 0x14;
  constexpr uint8_t kEnabled = 1;
  constexpr uint8_t kBootstrap = 2;
  constexpr uint32_t kSignature = 0x600;  // family 6; CPUID tells the rest
  constexpr uint32_t kFpuAndApic = 1u | 1u << 9;
  for (uint32_t id = 0; id < count; ++id) {
    t.u8(kProcessor).u8(id).u8(kLapicVersion).u8(id == 0 ? kEnabled | kBootstrap : kEnabled);
    t.u32(kSignature).u32(kFpuAndApic).zeros(8);
  }
}

void add_interrupt(TableBytes& t, Entry entry, InterruptType type, unsigned irq, unsigned to, unsigned pin) {
  constexpr uint16_t kAsTheBusDoes = 0;  // ISA: active high, edge
  t.u8(entry).u8(type).u16(kAsTheBusDoes).u8(kIsaBus).u8(irq).u8(to).u8(pin);
}

// Specification, 4.2 and 4.3: the base table's header, then its entries in the order of their types.
TableBytes make_table(const MpRequest& request) {
  constexpr uint8_t kIoApicVersion = 0x20;
  constexpr uint8_t kUsable = 1;
  const uint32_t processors = std::min(request.vcpus, kMostProcessors);
  const uint8_t ioapic = request.ioapic_id;
  TableBytes t;
  t.text("PCMP", 4).u16(0).u8(4).u8(0).text("KVMUX", 8).text("KVMUXPC", 12);
  t.u32(0).u16(0).u16(0).u32(kLapicAddress.value).u16(0).u8(0).u8(0);
  add_processors(t, processors);
  t.u8(kBus).u8(kIsaBus).text("ISA", 6);
  t.u8(kIoApic).u8(ioapic).u8(kIoApicVersion).u8(kUsable).u32(kIoApicAddress.value);
  unsigned interrupts = 0;
  for (unsigned irq = 0; irq < kIsaIrqs; ++irq) {
    if (irq == kCascade) continue;
    add_interrupt(t, kIoInterrupt, kVectored, irq, ioapic, irq == 0 ? kCascade : irq);
    ++interrupts;
  }
  add_interrupt(t, kLocalInterrupt, kExtInt, 0, 0, 0);  // the 8259s at the bootstrap processor's LINT0
  add_interrupt(t, kLocalInterrupt, kNmi, 0, kAllLapics, 1);
  interrupts += 2;
  t.patch16(4, t.size());
  t.patch16(34, processors + 2 + interrupts);
  t.set_checksum(7, 0, t.size());
  return t;
}

// Specification, 4.1. Feature byte 2 bit 7 is clear: no IMCR, virtual wire mode.
TableBytes make_pointer(Gpa table) {
  TableBytes t;
  t.text("_MP_", 4).u32(table.value).u8(1).u8(4).u8(0).zeros(5);
  t.set_checksum(10, 0, kMpPointerBytes);
  return t;
}

}  // namespace

Result<Gpa> write_mp_table(const MpRequest& request, const GuestMemory& memory, Gpa start) {
  const Gpa table = start + kMpPointerBytes;
  const TableBytes bytes = make_table(request);
  auto ok = memory.write(start, std::as_bytes(make_pointer(table).bytes())).and_then([&] {
    return memory.write(table, std::as_bytes(bytes.bytes()));
  });
  if (!ok) return Failure(ok.error());
  return table + bytes.size();
}

}  // namespace vmm
