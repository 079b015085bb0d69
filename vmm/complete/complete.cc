#include "vmm/complete/complete.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "vmm/complete/decode.h"
#include "vmm/complete/page_walk.h"

namespace vmm {
namespace {

constexpr size_t kLongestInstruction = 15;
constexpr uint8_t kFwait = 0x9b;

enum Exception : uint8_t {
  kBreakpoint = 3,
  kInvalidOpcode = 6,
  kNoMath = 7,
  kStackFault = 12,
  kGeneralProtection = 13,
  kPageFaultException = 14,
  kMathError = 16,
};

constexpr uint64_t kZeroFlag = 1u << 6;
constexpr uint64_t kResumeFlag = 1u << 16;

// The instruction raises this instead of completing: a fault, so RIP stays.
void raise(InstructionState& s, Exception nr, std::optional<uint32_t> error_code = std::nullopt) {
  s.events.exception = {};
  s.events.exception.injected = 1;
  s.events.exception.nr = nr;
  s.events.exception.has_error_code = error_code ? 1 : 0;
  s.events.exception.error_code = error_code.value_or(0);
}

void retire(InstructionState& s, unsigned length) {
  s.regs.rip += length;
  if (operation_mode(s.sregs) != OperationMode::kLong) s.regs.rip &= 0xffffffff;
  s.regs.rflags &= ~kResumeFlag;
  s.events.exception = {};
  s.events.interrupt.shadow = 0;  // STI and MOV SS hold interrupts back for one instruction only
}

// #BP is a trap: RIP stands behind the instruction.
void complete_int3(InstructionState& s, unsigned length) {
  retire(s, length);
  raise(s, kBreakpoint);
}

// SDM vol. 2, WAIT/FWAIT.
void complete_fwait(InstructionState& s, unsigned length) {
  constexpr uint64_t kMonitor = 1u << 1;
  constexpr uint64_t kTaskSwitched = 1u << 3;
  constexpr uint64_t kNativeErrors = 1u << 5;
  constexpr uint16_t kErrorSummary = 1u << 7;
  const uint64_t cr0 = s.sregs.cr0;
  if ((cr0 & kMonitor) != 0 && (cr0 & kTaskSwitched) != 0) return raise(s, kNoMath);
  if ((s.x87_status & kErrorSummary) != 0 && (cr0 & kNativeErrors) != 0) return raise(s, kMathError);
  retire(s, length);
}

// SDM vol. 2, RDSSPD/RDSSPQ: without shadow stacks a no-operation, by which kernels find out whether there
// are any. False: the guest has them.
bool complete_rdssp(InstructionState& s, unsigned length) {
  constexpr uint64_t kControlFlowEnforcement = 1u << 23;
  if ((s.sregs.cr4 & kControlFlowEnforcement) != 0) return false;
  retire(s, length);
  return true;
}

// SDM vol. 2, CLAC and STAC. That CPUID offers them is taken for granted: the guest has found them there.
void complete_access_flag(InstructionState& s, unsigned length, bool set) {
  constexpr uint64_t kAccessCheck = 1u << 18;
  if (s.cpl != 0) return raise(s, kInvalidOpcode);
  s.regs.rflags = set ? s.regs.rflags | kAccessCheck : s.regs.rflags & ~kAccessCheck;
  retire(s, length);
}

struct Wide {
  uint64_t low;
  uint64_t high;
};

// The host's own instruction, so that it is atomic against the guest's other vCPUs, native or completed.
bool host_cmpxchg16b(std::byte* at, Wide& expected, const Wide& desired) {
  bool equal = false;
  asm volatile("lock cmpxchg16b (%[at])"
               : "=@ccz"(equal), "+a"(expected.low), "+d"(expected.high)
               : [at] "r"(at), "b"(desired.low), "c"(desired.high)
               : "memory");
  return equal;
}

bool is_canonical(uint64_t address, uint64_t cr4) {
  const unsigned bits = (cr4 & (1u << 12)) != 0 ? 57 : 48;
  const auto extended = static_cast<int64_t>(address << (64 - bits)) >> (64 - bits);
  return static_cast<uint64_t>(extended) == address;
}

// SDM vol. 2, CMPXCHG8B/CMPXCHG16B: the destination is written in either case. False: it is not in RAM.
bool complete_cmpxchg16b(const Decoded& decoded, InstructionState& s, const GuestMemory& memory) {
  constexpr uint64_t kBytes = 16;
  const ZydisDecodedOperand& operand = decoded.operands[0];
  if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) return false;
  const uint64_t linear = linear_address(decoded, operand, s.regs, s.sregs);
  if (!is_canonical(linear, s.sregs.cr4)) {
    raise(s, operand.mem.segment == ZYDIS_REGISTER_SS ? kStackFault : kGeneralProtection, 0);
    return true;
  }
  if (linear % kBytes != 0) {
    raise(s, kGeneralProtection, 0);
    return true;
  }
  const auto at = translate(paging_state(s.sregs, s.regs, s.cpl), linear, Access::kWrite, memory);
  if (!at && at.error().outside_memory) return false;
  if (!at) {
    s.sregs.cr2 = at.error().address;
    raise(s, kPageFaultException, at.error().error_code);
    return true;
  }
  if (!memory.contains(*at, kBytes)) return false;
  Wide expected{s.regs.rax, s.regs.rdx};
  const bool equal = host_cmpxchg16b(memory.host_base() + at->value, expected, {s.regs.rbx, s.regs.rcx});
  s.regs.rax = expected.low;
  s.regs.rdx = expected.high;
  s.regs.rflags = equal ? s.regs.rflags | kZeroFlag : s.regs.rflags & ~kZeroFlag;
  retire(s, decoded.instruction.length);
  return true;
}

std::string describe(std::span<const uint8_t> bytes, const InstructionState& s) {
  const OperationMode mode = operation_mode(s.sregs);
  const auto d = decode(mode, bytes);
  if (bytes.empty()) {
    return fmt::format("KVM cannot emulate the instruction at RIP {:#x}, which cannot be read, {}, CPL {}",
                       s.regs.rip, mode_name(mode), s.cpl);
  }
  const auto shown = d ? bytes.first(std::min<size_t>(d->instruction.length, bytes.size())) : bytes;
  return fmt::format("KVM cannot emulate '{}' ({:02x}) at RIP {:#x}, {}, CPL {}",
                     disassemble(mode, bytes, s.regs.rip), fmt::join(shown, " "), s.regs.rip, mode_name(mode),
                     s.cpl);
}

// As many of an instruction's bytes as can be read.
std::vector<uint8_t> fetch(const InstructionState& s, const GuestMemory& memory) {
  std::vector<uint8_t> bytes;
  const PagingState paging = paging_state(s.sregs, s.regs, s.cpl);
  const bool has_base = operation_mode(s.sregs) != OperationMode::kLong;
  const uint64_t start = s.regs.rip + (has_base ? s.sregs.cs.base : 0);
  while (bytes.size() < kLongestInstruction) {
    const auto at = translate(paging, start + bytes.size(), Access::kExecute, memory);
    const auto byte = at ? memory.load<uint8_t>(*at) : Result<uint8_t>(guest_error("fetch", ""));
    if (!byte) break;
    bytes.push_back(*byte);
  }
  return bytes;
}

std::vector<uint8_t> reported_bytes(const kvm_run& area) {
  const auto& failure = area.emulation_failure;
  constexpr uint32_t kWordsBefore = 1;  // flags; then size and bytes
  const bool valid = failure.ndata > kWordsBefore &&
                     (failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0;
  if (!valid) return {};
  const size_t size = std::min<size_t>(failure.insn_size, std::size(failure.insn_bytes));
  return {failure.insn_bytes, failure.insn_bytes + size};
}

uint16_t x87_status(const VcpuFd& vcpu) {
  kvm_fpu fpu{};
  return ::ioctl(vcpu.fd(), KVM_GET_FPU, &fpu) == 0 ? fpu.fsw : uint16_t{0};
}

}  // namespace

Completion complete_instruction(std::span<const uint8_t> bytes, InstructionState& state,
                                const GuestMemory& memory) {
  const auto decoded = decode(operation_mode(state.sregs), bytes);
  if (!decoded) return tl::unexpected(describe(bytes, state));
  const unsigned length = decoded->instruction.length;
  switch (decoded->instruction.mnemonic) {
    case ZYDIS_MNEMONIC_INT3:
      complete_int3(state, length);
      return {};
    case ZYDIS_MNEMONIC_FWAIT:
      complete_fwait(state, length);
      return {};
    case ZYDIS_MNEMONIC_CLAC:
    case ZYDIS_MNEMONIC_STAC:
      complete_access_flag(state, length, decoded->instruction.mnemonic == ZYDIS_MNEMONIC_STAC);
      return {};
    case ZYDIS_MNEMONIC_RDSSPD:
    case ZYDIS_MNEMONIC_RDSSPQ:
      if (complete_rdssp(state, length)) return {};
      break;
    case ZYDIS_MNEMONIC_CMPXCHG16B:
      if (complete_cmpxchg16b(*decoded, state, memory)) return {};
      break;
    default:
      break;
  }
  return tl::unexpected(describe(bytes, state));
}

Completion complete_emulation(VcpuFd& vcpu, const GuestMemory& memory) {
  InstructionState state{vcpu.regs(), vcpu.sregs(), vcpu.events(), vcpu.cpl(), 0};
  std::vector<uint8_t> bytes = reported_bytes(vcpu.area());
  // Some kernels report what little their emulator had read.
  if (!decode(operation_mode(state.sregs), bytes)) bytes = fetch(state, memory);
  if (!bytes.empty() && bytes.front() == kFwait) state.x87_status = x87_status(vcpu);
  const Completion done = complete_instruction(bytes, state, memory);
  if (!done) return done;
  vcpu.mutable_regs() = state.regs;
  vcpu.mutable_events() = state.events;
  if (state.sregs.cr2 != vcpu.sregs().cr2) vcpu.mutable_sregs() = state.sregs;
  return {};
}

}  // namespace vmm
