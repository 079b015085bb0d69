// The board's end-of-machine and nobody's-there behaviour, asked for by real-mode programs of a few bytes.
#include "tests/kvm/boot/boot_guest.h"
#include "vmm/platform/firmware.h"

using kvm_test::boot_bytes;
using kvm_test::Booted;
using vmm::BootEnd;

namespace {

using Code = std::vector<uint8_t>;

Booted run(const Code& code) { return boot_bytes(std::as_bytes(std::span(code))); }
Booted run_protected(const Code& code) {
  return boot_bytes(std::as_bytes(std::span(code)), {.flat_address = vmm::kHighMemoryStart});
}

}  // namespace

TEST_CASE("a guest ends by each of the reset ports, and by powering off") {
  REQUIRE_KVM(system);
  const Code cf9{0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4};  // mov $0xcf9,%dx; mov $6,%al; out %al,%dx
  const Code keyboard{0xb0, 0xfe, 0xe6, 0x64, 0xf4};         // mov $0xfe,%al; out %al,$0x64
  const Code fast{0xb0, 0x01, 0xe6, 0x92, 0xf4};             // mov $1,%al; out %al,$0x92
  for (const Code& code : {cf9, keyboard, fast}) CHECK(run(code).result.end == BootEnd::kReset);
  // mov $0x604,%dx; mov $0x3400,%ax; out %ax,%dx
  const Booted off = run({0xba, 0x04, 0x06, 0xb8, 0x00, 0x34, 0xef, 0xf4});
  CHECK(off.result.end == BootEnd::kExit);
  CHECK(off.result.exit_code == 0);
}

TEST_CASE("ports and addresses that nobody claims read as ones, ignore writes, and are counted") {
  REQUIRE_KVM(system);
  const Booted ports = run({
      0xba, 0x34, 0x12,        // mov $0x1234,%dx
      0xb0, 0x00, 0xee,        // mov $0,%al; out %al,%dx
      0x66, 0xed, 0x66, 0x40,  // in %dx,%eax; inc %eax: 0 if all were ones
      0xe6, 0xf4,              // out %al,$0xf4
  });
  CHECK(ports.result.exit_code == 1);
  CHECK(ports.result.unclaimed.port_reads == 1);
  CHECK(ports.result.unclaimed.port_writes == 1);
  CHECK(ports.result.unclaimed.total() == 2);
  const Booted memory = run_protected({
      0xc6, 0x05, 0x00, 0x00, 0x00, 0xd0, 0x5a,  // movb $0x5a,0xd0000000
      0xa1, 0x00, 0x00, 0x00, 0xd0, 0x40,        // mov 0xd0000000,%eax; inc %eax
      0xe6, 0xf4,                                // out %al,$0xf4
  });
  CHECK(memory.result.exit_code == 1);
  CHECK(memory.result.unclaimed.mmio_reads == 1);
  CHECK(memory.result.unclaimed.mmio_writes == 1);
  CHECK(memory.result.unclaimed.total() == 2);
}

TEST_CASE("the PCI bus answers, has no device, and is no unclaimed port") {
  REQUIRE_KVM(system);
  const Booted pci = run({
      0xba, 0xf8, 0x0c,                          // mov $0xcf8,%dx
      0x66, 0xb8, 0x00, 0x08, 0x00, 0x80,        // mov $0x80000800,%eax
      0x66, 0xef,                                // out %eax,%dx
      0x66, 0xed,                                // in %dx,%eax
      0x66, 0x89, 0xc3,                          // mov %eax,%ebx
      0xba, 0xfc, 0x0c,                          // mov $0xcfc,%dx
      0x66, 0xed,                                // in %dx,%eax
      0x66, 0x40,                                // inc %eax: 0 if all were ones
      0x66, 0x81, 0xeb, 0x00, 0x08, 0x00, 0x80,  // sub $0x80000800,%ebx: 0 if the address was kept
      0x66, 0x09, 0xd8,                          // or %ebx,%eax
      0x74, 0x02, 0xb0, 0x01,                    // jz .+2; mov $1,%al
      0xe6, 0xf4,                                // out %al,$0xf4
  });
  CHECK(pci.result.exit_code == 1);  // the guest's 0
  CHECK(pci.result.unclaimed.total() == 0);
}

TEST_CASE("a triple fault ends the guest, and is named") {
  REQUIRE_KVM(system);
  const Booted guest = run_protected({
      0x0f,
      0x01,
      0x1d,
      0x09,
      0x00,
      0x10,
      0x00,  // lidt 0x100009: limit 0
      0x0f,
      0x0b,  // ud2
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
      0x00,
  });
  REQUIRE(guest.result.end == BootEnd::kFailed);
  const std::string& failure = guest.result.failure;
  // KVM for AMD's processors resets the vCPU; what is left is where the guest was entered.
  const bool lost = failure.find(
                        "vm0/vcpu0: triple fault (the processor was reset by KVM: the place is lost; it was "
                        "last entered at RIP 0x100000)") != std::string::npos;
  CHECK_MESSAGE((lost || failure.find("vm0/vcpu0: triple fault at RIP 0x100007") != std::string::npos),
                failure);
}

TEST_CASE("an APIC base on RAM ends the guest, and is named") {
  REQUIRE_KVM(system);
  const Booted guest = run_protected({
      0xb9, 0x1b, 0x00, 0x00, 0x00,  // mov $0x1b,%ecx
      0xb8, 0x00, 0x09, 0x20, 0x00,  // mov $0x200900,%eax
      0x31, 0xd2,                    // xor %edx,%edx
      0x0f, 0x30,                    // wrmsr
      0xb0, 0x00, 0xe6, 0xf4,        // mov $0,%al; out %al,$0xf4
  });
  REQUIRE(guest.result.end == BootEnd::kFailed);
  const std::string& failure = guest.result.failure;
  CHECK_MESSAGE(failure.find("IA32_APIC_BASE was set to 0x200900") != std::string::npos, failure);
}
