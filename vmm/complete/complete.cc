#include "vmm/complete/complete.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "vmm/complete/decode.h"
#include "vmm/complete/page_walk.h"
#include "vmm/complete/traps.h"
#include "vmm/kvm/ioctl_numbers.h"
#include "vmm/kvm/tsc.h"

namespace vmm {
namespace {

constexpr size_t kLongestInstruction = 15;

constexpr uint64_t kZeroFlag = 1u << 6;

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

constexpr uint64_t kCr0Emulation = 1u << 2;
constexpr uint64_t kCr0TaskSwitched = 1u << 3;

// SDM vol. 2, FSTSW/FNSTSW. False: the form that stores to memory.
bool complete_fnstsw(const Decoded& decoded, InstructionState& s) {
  if (decoded.operands[0].type != ZYDIS_OPERAND_TYPE_REGISTER) return false;
  if ((s.sregs.cr0 & (kCr0Emulation | kCr0TaskSwitched)) != 0) {
    raise(s, kNoMath);
    return true;
  }
  s.regs.rax = (s.regs.rax & ~uint64_t{0xffff}) | s.x87_status;
  retire(s, decoded.instruction.length);
  return true;
}

void return_in_edx_eax(InstructionState& s, uint64_t value) {
  s.regs.rax = value & 0xffffffff;
  s.regs.rdx = value >> 32;
}

// SDM vol. 2, XGETBV. Register 1 (XCR0 & XINUSE) may name components as in use that are in their initial
// state, so XCR0 is an answer to it.
void complete_xgetbv(InstructionState& s, unsigned length) {
  constexpr uint64_t kOsXsave = 1u << 18;
  if ((s.sregs.cr4 & kOsXsave) == 0) return raise(s, kInvalidOpcode);
  if ((s.regs.rcx & 0xffffffff) > 1) return raise(s, kGeneralProtection, 0);
  return_in_edx_eax(s, s.xcr0);
  retire(s, length);
}

// SDM vol. 2, RDTSCP. That CPUID offers it is taken for granted, as for CLAC.
void complete_rdtscp(InstructionState& s, unsigned length) {
  constexpr uint64_t kTimeStampDisable = 1u << 2;
  if ((s.sregs.cr4 & kTimeStampDisable) != 0 && s.cpl != 0) return raise(s, kGeneralProtection, 0);
  return_in_edx_eax(s, s.tsc);
  s.regs.rcx = s.tsc_aux & 0xffffffff;
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

enum class NoPlace : uint8_t { kRaised, kNotRam };

// Where a memory operand lies, `bytes` long and aligned to that. Nothing: an exception was raised, or it is
// not in RAM.
tl::expected<Gpa, NoPlace> place_of(const Decoded& decoded, const ZydisDecodedOperand& operand,
                                    InstructionState& s, Access access, uint64_t bytes,
                                    const GuestMemory& memory) {
  const uint64_t linear = linear_address(decoded, operand, s.regs, s.sregs);
  if (!is_canonical(linear, s.sregs.cr4)) {
    raise(s, operand.mem.segment == ZYDIS_REGISTER_SS ? kStackFault : kGeneralProtection, 0);
    return tl::unexpected(NoPlace::kRaised);
  }
  if (linear % bytes != 0) {
    raise(s, kGeneralProtection, 0);
    return tl::unexpected(NoPlace::kRaised);
  }
  const auto at = translate(paging_state(s.sregs, s.regs, s.cpl), linear, access, memory);
  if (!at && !at.error().outside_memory) {
    s.sregs.cr2 = at.error().address;
    raise(s, kPageFaultException, at.error().error_code);
    return tl::unexpected(NoPlace::kRaised);
  }
  if (!at || !memory.contains(*at, bytes)) return tl::unexpected(NoPlace::kNotRam);
  return *at;
}

// SDM vol. 2, CLFLUSH, CLFLUSHOPT, CLWB: a load as far as faults go. Whoever looks at the guest's memory is
// coherent with it, so nothing is left to do. False: it is not in RAM.
bool complete_cache_line(const Decoded& decoded, InstructionState& s, const GuestMemory& memory) {
  const ZydisDecodedOperand& operand = decoded.operands[0];
  if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY || operation_mode(s.sregs) != OperationMode::kLong)
    return false;
  const auto at = place_of(decoded, operand, s, Access::kRead, 1, memory);
  if (at) retire(s, decoded.instruction.length);
  return at || at.error() == NoPlace::kRaised;
}

// SDM vol. 2, CMPXCHG8B/CMPXCHG16B: the destination is written in either case. False: it is not in RAM.
bool complete_cmpxchg16b(const Decoded& decoded, InstructionState& s, const GuestMemory& memory) {
  const ZydisDecodedOperand& operand = decoded.operands[0];
  if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) return false;
  const auto at = place_of(decoded, operand, s, Access::kWrite, sizeof(Wide), memory);
  if (!at) return at.error() == NoPlace::kRaised;
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

// What some instructions need of the processor besides its registers, one call to KVM each. False: KVM does
// not say.
bool fetch_what_it_needs(const VcpuFd& vcpu, ZydisMnemonic mnemonic, InstructionState& s) {
  constexpr uint32_t kMsrTscAux = 0xc0000103;
  if (mnemonic == ZYDIS_MNEMONIC_FWAIT || mnemonic == ZYDIS_MNEMONIC_FNSTSW) {
    kvm_fpu fpu{};
    if (::ioctl(vcpu.fd(), KVM_GET_FPU, &fpu) != 0) return false;
    s.x87_status = fpu.fsw;
  } else if (mnemonic == ZYDIS_MNEMONIC_XGETBV) {
    kvm_xcrs xcrs{};
    if (::ioctl(vcpu.fd(), KVM_GET_XCRS, &xcrs) != 0) return false;
    for (uint32_t i = 0; i < std::min<uint32_t>(xcrs.nr_xcrs, KVM_MAX_XCRS); ++i) {
      if (xcrs.xcrs[i].xcr == 0) s.xcr0 = xcrs.xcrs[i].value;
    }
  } else if (mnemonic == ZYDIS_MNEMONIC_RDTSCP) {
    const auto tsc = get_msr(vcpu, kMsrTsc);
    const auto aux = get_msr(vcpu, kMsrTscAux);
    if (!tsc || !aux) return false;
    s.tsc = *tsc;
    s.tsc_aux = *aux;
  }
  return true;
}

}  // namespace

Completion complete_instruction(std::span<const uint8_t> bytes, InstructionState& state,
                                const GuestMemory& memory) {
  const auto decoded = decode(operation_mode(state.sregs), bytes);
  if (!decoded) return tl::unexpected(describe(bytes, state));
  const unsigned length = decoded->instruction.length;
  switch (decoded->instruction.mnemonic) {
    case ZYDIS_MNEMONIC_FNSTSW:
      if (complete_fnstsw(*decoded, state)) return {};
      break;
    case ZYDIS_MNEMONIC_XGETBV:
      complete_xgetbv(state, length);
      return {};
    case ZYDIS_MNEMONIC_RDTSCP:
      complete_rdtscp(state, length);
      return {};
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB:
      if (complete_cache_line(*decoded, state, memory)) return {};
      break;
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
      if (complete_trap(*decoded, state)) return {};
      break;
  }
  return tl::unexpected(describe(bytes, state));
}

Completion complete_emulation(VcpuFd& vcpu, const GuestMemory& memory) {
  InstructionState state{
      .regs = vcpu.regs(), .sregs = vcpu.sregs(), .events = vcpu.events(), .cpl = vcpu.cpl()};
  std::vector<uint8_t> bytes = reported_bytes(vcpu.area());
  // Some kernels report what little their emulator had read.
  auto decoded = decode(operation_mode(state.sregs), bytes);
  if (!decoded) {
    bytes = fetch(state, memory);
    decoded = decode(operation_mode(state.sregs), bytes);
  }
  if (decoded && !fetch_what_it_needs(vcpu, decoded->instruction.mnemonic, state)) {
    return tl::unexpected(describe(bytes, state));
  }
  const Completion done = complete_instruction(bytes, state, memory);
  if (!done) return done;
  vcpu.mutable_regs() = state.regs;
  vcpu.mutable_events() = state.events;
  if (state.sregs.cr2 != vcpu.sregs().cr2) vcpu.mutable_sregs() = state.sregs;
  return {};
}

}  // namespace vmm
