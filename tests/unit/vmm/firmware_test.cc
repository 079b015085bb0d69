#include "vmm/platform/firmware.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "vmm/platform/acpi.h"
#include "vmm/platform/mp_table.h"

using vmm::Gpa;
using vmm::GuestMemory;

namespace {

constexpr uint64_t kMemory = uint64_t{8} << 20;

struct Pc {
  GuestMemory memory;
  explicit Pc(uint32_t vcpus) : memory(GuestMemory::allocate(kMemory, vmm::Prefault::kNo).value()) {
    REQUIRE(vmm::write_firmware({vcpus, vmm::ioapic_id_for(vcpus)}, memory));
  }
  template <class T>
  T at(uint64_t address) const {
    return memory.load<T>(Gpa{address}).value();
  }
  std::string text(uint64_t address, size_t bytes) const {
    std::string s(bytes, '\0');
    REQUIRE(memory.read(Gpa{address}, std::as_writable_bytes(std::span(s))));
    return s;
  }
  unsigned sum(uint64_t address, uint64_t bytes) const {
    unsigned total = 0;
    for (uint64_t i = 0; i < bytes; ++i) total += at<uint8_t>(address + i);
    return total & 0xff;
  }
  // Address of the table with this signature in the XSDT.
  uint64_t table(const std::string& signature) const {
    const auto xsdt = at<uint64_t>(vmm::kAcpiStart.value + 24);
    REQUIRE(text(xsdt, 4) == "XSDT");
    for (uint64_t i = 36; i < at<uint32_t>(xsdt + 4); i += 8) {
      const auto address = at<uint64_t>(xsdt + i);
      if (text(address, 4) == signature) return address;
    }
    FAIL("no table " << signature);
    return 0;
  }
};

}  // namespace

TEST_CASE("ACPI: every checksum holds, RSDT and XSDT agree") {
  const Pc pc(4);
  const uint64_t rsdp = vmm::kAcpiStart.value;
  CHECK(pc.text(rsdp, 8) == "RSD PTR ");
  CHECK(pc.sum(rsdp, 20) == 0);
  CHECK(pc.sum(rsdp, 36) == 0);
  const auto rsdt = pc.at<uint32_t>(rsdp + 16);
  const auto xsdt = pc.at<uint64_t>(rsdp + 24);
  REQUIRE(pc.text(rsdt, 4) == "RSDT");
  CHECK(pc.sum(rsdt, pc.at<uint32_t>(rsdt + 4)) == 0);
  CHECK(pc.sum(xsdt, pc.at<uint32_t>(xsdt + 4)) == 0);
  const uint32_t tables = (pc.at<uint32_t>(rsdt + 4) - 36) / 4;
  CHECK(tables == (pc.at<uint32_t>(xsdt + 4) - 36) / 8);
  for (uint32_t i = 0; i < tables; ++i) {
    const uint64_t address = pc.at<uint32_t>(rsdt + 36 + 4 * i);
    CHECK(address == pc.at<uint64_t>(xsdt + 36 + 8 * i));
    CHECK(pc.sum(address, pc.at<uint32_t>(address + 4)) == 0);
  }
}

TEST_CASE("ACPI: the FADT names the board's ports and leads to FACS and DSDT") {
  const Pc pc(1);
  const uint64_t fadt = pc.table("FACP");
  CHECK(pc.at<uint32_t>(fadt + 4) == 244);
  const auto facs = pc.at<uint32_t>(fadt + 36);
  const auto dsdt = pc.at<uint32_t>(fadt + 40);
  CHECK(facs % 64 == 0);
  CHECK(pc.text(facs, 4) == "FACS");
  CHECK(pc.text(dsdt, 4) == "DSDT");
  CHECK(pc.sum(dsdt, pc.at<uint32_t>(dsdt + 4)) == 0);
  CHECK(pc.text(dsdt + 37, 4) == "_S5_");
  CHECK(pc.at<uint32_t>(fadt + 48) == 0);  // no SMI command port
  CHECK(pc.at<uint32_t>(fadt + 56) == vmm::kPmEventPort);
  CHECK(pc.at<uint32_t>(fadt + 64) == vmm::kPmControlPort);
  CHECK(pc.at<uint32_t>(fadt + 76) == vmm::kPmTimerPort);
  CHECK(pc.at<uint8_t>(fadt + 91) == 4);
  CHECK(pc.at<uint8_t>(fadt + 108) == 0x32);
  CHECK(pc.at<uint64_t>(fadt + 120) == vmm::kResetPort);
  CHECK(pc.at<uint8_t>(fadt + 128) == vmm::kResetValue);
  CHECK(pc.at<uint64_t>(fadt + 140) == dsdt);
  CHECK(pc.at<uint64_t>(fadt + 208 + 4) == vmm::kPmTimerPort);
}

TEST_CASE("ACPI: the MADT lists processors, IOAPIC and overrides; large ids as x2APIC") {
  for (const uint32_t vcpus : {1u, 4u, 300u, 1024u}) {
    CAPTURE(vcpus);
    const Pc pc(vcpus);
    const uint64_t madt = pc.table("APIC");
    CHECK(pc.at<uint32_t>(madt + 36) == vmm::kLapicAddress.value);
    uint32_t xapic = 0;
    uint32_t x2apic = 0;
    uint32_t ioapics = 0;
    bool timer_moved = false;
    const uint32_t bytes = pc.at<uint32_t>(madt + 4);
    uint32_t at = 44;
    while (at < bytes) {
      const auto type = pc.at<uint8_t>(madt + at);
      if (type == 0) CHECK(pc.at<uint8_t>(madt + at + 3) == xapic++);
      if (type == 9) CHECK(pc.at<uint32_t>(madt + at + 4) == 255 + x2apic++);
      if (type == 1) ++ioapics;
      if (type == 2 && pc.at<uint8_t>(madt + at + 3) == 0) timer_moved = pc.at<uint32_t>(madt + at + 4) == 2;
      at += pc.at<uint8_t>(madt + at + 1);
    }
    CHECK(at == bytes);
    CHECK(xapic == std::min(vcpus, 255u));
    CHECK(x2apic == vcpus - xapic);
    CHECK(ioapics == 1);
    CHECK(timer_moved);
  }
}

TEST_CASE("MP table: checksums, counts, and the timer at IOAPIC pin 2") {
  for (const uint32_t vcpus : {1u, 4u, 300u}) {
    CAPTURE(vcpus);
    const Pc pc(vcpus);
    const uint64_t pointer = vmm::kMpStart.value;
    CHECK(pc.text(pointer, 4) == "_MP_");
    CHECK(pc.sum(pointer, 16) == 0);
    const auto table = pc.at<uint32_t>(pointer + 4);
    const auto bytes = pc.at<uint16_t>(table + 4);
    CHECK(pc.text(table, 4) == "PCMP");
    CHECK(pc.sum(table, bytes) == 0);
    uint32_t processors = 0;
    uint32_t entries = 0;
    bool timer = false;
    uint32_t at = 44;
    for (; at < bytes; ++entries) {
      const auto type = pc.at<uint8_t>(table + at);
      if (type == 0) ++processors;
      if (type == 3 && pc.at<uint8_t>(table + at + 5) == 0) timer = pc.at<uint8_t>(table + at + 7) == 2;
      at += type == 0 ? 20 : 8;
    }
    CHECK(at == bytes);
    CHECK(entries == pc.at<uint16_t>(table + 34));
    CHECK(processors == std::min(vcpus, 255u));
    CHECK(timer);
  }
}

TEST_CASE("BIOS areas: EBDA, base memory, copies of the pointers, vectors that return") {
  const Pc pc(2);
  CHECK(pc.at<uint16_t>(0x40e) == 0x9fc0);
  CHECK(pc.at<uint16_t>(0x413) == 639);
  CHECK(pc.at<uint16_t>(0x400) == 0x3f8);
  CHECK(pc.at<uint16_t>(0x402) == 0x2f8);
  CHECK(pc.text(0x9fc10, 4) == "_MP_");
  CHECK(pc.sum(0x9fc10, 16) == 0);
  CHECK(pc.text(0x9fc20, 8) == "RSD PTR ");
  const auto vector = pc.at<uint32_t>(0x10 * 4);
  CHECK(pc.at<uint8_t>((vector >> 16) * 16 + (vector & 0xffff)) == 0xcf);
}

TEST_CASE("the memory map is ascending, without overlap, and leaves out what is reserved") {
  const auto map = vmm::memory_map(kMemory);
  uint64_t above = 0;
  uint64_t usable = 0;
  for (const auto& range : map) {
    CHECK(range.start.value >= above);
    above = range.start.value + range.bytes;
    if (range.type == vmm::MemoryType::kUsable) usable += range.bytes;
  }
  CHECK(usable == kMemory - 0x100000 + 0x9fc00);
}
