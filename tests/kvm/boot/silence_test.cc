// Booted images that fall silent: said at once where it is certain, not at all where something may wake them. All
// in real mode at 7C00H, in both irqchip modes.
#include <thread>

#include "tests/kvm/boot/boot_guest.h"
#include "tests/kvm/boot/program.h"
#include "tests/kvm/guest_code.h"

using namespace std::chrono_literals;
using kvm_test::boot_bytes;
using kvm_test::Booted;
using vmm::BootEnd;
using vmm::Irqchip;

namespace {

#define REAL_MODE(name, text) GUEST_CODE(name, ".code16\n" text "\n.code64\n")
#define PLACE(name, label) "(0x7c00 + " label " - kvm_guest_" #name "_begin)"
#define WRMSR(number, value) "mov $" number ", %ecx\n mov $" value ", %eax\n xor %edx, %edx\n wrmsr\n"
// x2APIC mode, software-enabled.
#define X2APIC "mov $0x1b, %ecx\n rdmsr\n or $0xc00, %eax\n wrmsr\n" WRMSR("0x80f", "0x1ff")
#define ENDS_WITH_5 "mov $5, %al\n out %al, $0xf4\n cli\n hlt\n"

REAL_MODE(deaf, "cli\n hlt");
// Sleeps on its LAPIC timer for 1.5 s, then starts the other processor, which ends the guest.
REAL_MODE(starts_another_later,
          "cli\n xor %ax, %ax\n mov %ax, %ds\n"
          "movw $" PLACE(starts_another_later, "9f") ", 0x100\n movw $0, 0x102\n"
          "movl $0xf4e605b0, 0x8000\n movw $0xf4fa, 0x8004\n"  // mov $5,%al; out %al,$0xf4; cli; hlt
          X2APIC WRMSR("0x83e", "0xb") WRMSR("0x832", "0x40") WRMSR("0x838", "1500000000")
          "sti\n hlt\n 1: cli\n hlt\n jmp 1b\n"
          "9: " WRMSR("0x830", "0xc4500") WRMSR("0x830", "0xc4608") "2: pause\n jmp 2b");
// Its COM1 interrupts by way of the 8259s; waits for a key.
REAL_MODE(waits_for_a_key,
          "cli\n xor %ax, %ax\n mov %ax, %ds\n"
          "movw $" PLACE(waits_for_a_key, "9f") ", 0x30\n movw $0, 0x32\n"
          "mov $0x11, %al\n out %al, $0x20\n mov $8, %al\n out %al, $0x21\n"
          "mov $4, %al\n out %al, $0x21\n mov $1, %al\n out %al, $0x21\n"
          "mov $0xef, %al\n out %al, $0x21\n"
          "mov $0x3fc, %dx\n mov $8, %al\n out %al, %dx\n mov $0x3f9, %dx\n mov $1, %al\n out %al, %dx\n"
          "sti\n 1: hlt\n jmp 1b\n 9: " ENDS_WITH_5);
// LINT0, where the 8259s are, is an NMI.
REAL_MODE(deaf_but_for_nmi, "cli\n" X2APIC WRMSR("0x835", "0x400") "1: hlt\n jmp 1b");
// Nothing is unmasked, so nothing can come.
REAL_MODE(listens_to_nobody, "cli\n mov $0xff, %al\n out %al, $0x21\n out %al, $0xa1\n sti\n 1: hlt\n jmp 1b");

constexpr int kEndedWith5 = 11;

std::vector<Irqchip> irqchips() {
  std::vector<Irqchip> all{Irqchip::kUser};
  if (kvm_test::system() && kvm_test::system()->capabilities().has(KVM_CAP_SPLIT_IRQCHIP)) {
    all.push_back(Irqchip::kSplit);
  }
  return all;
}

Booted boot_real(std::span<const uint8_t> code, Irqchip irqchip, uint32_t vcpus) {
  return boot_bytes(std::as_bytes(code), {.vcpus = vcpus, .irqchip = irqchip});
}

}  // namespace

TEST_CASE("cli; hlt on all processors ends the guest at once, and says where they are") {
  REQUIRE_KVM(system);
  for (const Irqchip irqchip : irqchips()) {
    CAPTURE(static_cast<int>(irqchip));
    const auto from = std::chrono::steady_clock::now();
    const Booted booted = boot_real(deaf(), irqchip, 3);
    CHECK(booted.result.end == BootEnd::kFailed);
    CAPTURE(booted.result.failure);
    CHECK(booted.result.failure.starts_with("no vCPU will ever run again: vCPU 0 halted with interrupts off at RIP "
                                            "0x7c02, CPL 0; vCPU 1 waits for a SIPI at RIP "));
    CHECK(booted.result.failure.find("; vCPU 2 waits for a SIPI at RIP ") != std::string::npos);
    CHECK(std::chrono::steady_clock::now() - from < 60s);  // half a second, but for a busy host
  }
}

TEST_CASE("with everything masked nothing can come, whatever RFLAGS.IF says") {
  REQUIRE_KVM(system);
  for (const Irqchip irqchip : irqchips()) {
    CAPTURE(static_cast<int>(irqchip));
    const Booted booted = boot_real(listens_to_nobody(), irqchip, 1);
    CHECK(booted.result.end == BootEnd::kFailed);
    CHECK(booted.result.failure.find("vCPU 0 halted with interrupts on at RIP 0x7c") != std::string::npos);
    CHECK(booted.result.failure.find("no timer armed") != std::string::npos);
  }
}

TEST_CASE("a guest that sleeps on a timer before it starts another processor is left alone") {
  REQUIRE_KVM(system);
  for (const Irqchip irqchip : irqchips()) {
    CAPTURE(static_cast<int>(irqchip));
    const Booted booted = boot_real(starts_another_later(), irqchip, 2);
    CAPTURE(booted.result.failure);
    CHECK(booted.result.end == BootEnd::kExit);
    CHECK(booted.result.exit_code == kEndedWith5);
  }
}

namespace {

vmm::BootSpec flat_spec(std::span<const uint8_t> code, Irqchip irqchip) {
  vmm::BootSpec spec;
  spec.image = {.file = std::as_bytes(code), .format = {}, .flat_address = vmm::Gpa{0x7c00}, .modules = {}, .cmdline = {}};
  spec.memory_bytes = uint64_t{8} << 20;
  spec.policy = *sched::parse_policy(irqchip == Irqchip::kSplit ? "host" : "yield");
  spec.irqchip = irqchip;
  return spec;
}

}  // namespace

TEST_CASE("a guest that waits for a key is left alone") {
  REQUIRE_KVM(system);
  for (const Irqchip irqchip : irqchips()) {
    CAPTURE(static_cast<int>(irqchip));
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    vmm::BootSpec spec = flat_spec(waits_for_a_key(), irqchip);
    spec.timeout = 120s;
    vmm::BootConsole console;
    console.output = [](std::span<const uint8_t>) {};
    console.input = pipe[0];
    std::thread typist([&] {
      std::this_thread::sleep_for(1s);
      (void)!::write(pipe[1], "k", 1);
    });
    const auto booted = vmm::boot(spec, console, std::atomic<bool>{false});
    typist.join();
    ::close(pipe[0]);
    ::close(pipe[1]);
    REQUIRE(booted);
    CAPTURE(booted->failure);
    CHECK(booted->end == BootEnd::kExit);
    CHECK(booted->exit_code == kEndedWith5);
  }
}

TEST_CASE("interrupts off are not for good while LINT0 is an NMI; the time-out says what the guest did") {
  REQUIRE_KVM(system);
  vmm::BootSpec spec = flat_spec(deaf_but_for_nmi(), Irqchip::kUser);
  spec.timeout = 1500ms;
  vmm::BootConsole console;
  console.output = [](std::span<const uint8_t>) {};
  const auto booted = vmm::boot(spec, console, std::atomic<bool>{false});
  REQUIRE(booted);
  CHECK(booted->end == BootEnd::kTimeout);
  CHECK(booted->failure == "");
  CHECK(booted->silence.find("it did nothing for the last ") != std::string::npos);
  CHECK(booted->silence.find("vCPU 0 halted with interrupts off at RIP 0x7c") != std::string::npos);
}
