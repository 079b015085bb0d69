#include "vmm/complete/decode.h"

namespace vmm {
namespace {

struct Widths {
  ZydisMachineMode machine;
  ZydisStackWidth stack;
};

Widths widths_of(OperationMode mode) {
  switch (mode) {
    case OperationMode::kReal16:
      return {ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16};
    case OperationMode::kProtected16:
      return {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16};
    case OperationMode::kProtected32:
      return {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32};
    case OperationMode::kCompatibility16:
      return {ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16};
    case OperationMode::kCompatibility32:
      return {ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32};
    case OperationMode::kLong:
      break;
  }
  return {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64};
}

ZydisDecoder decoder_of(OperationMode mode) {
  ZydisDecoder decoder;
  const Widths w = widths_of(mode);
  ZydisDecoderInit(&decoder, w.machine,
                   w.stack);  // fails only for combinations that widths_of() does not give
  return decoder;
}

uint64_t value_of(ZydisRegister reg, const kvm_regs& r) {
  const std::array<uint64_t, 16> values{r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi,
                                        r.r8,  r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15};
  const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
  const ZyanI8 id = ZydisRegisterGetId(whole);
  return reg == ZYDIS_REGISTER_NONE || id < 0 ? 0 : values[static_cast<size_t>(id) % values.size()];
}

}  // namespace

OperationMode operation_mode(const kvm_sregs& sregs) {
  constexpr uint64_t kEferLongActive = 1u << 10;
  const bool big = sregs.cs.db != 0;
  if ((sregs.cr0 & 1) == 0) return OperationMode::kReal16;
  if ((sregs.efer & kEferLongActive) == 0)
    return big ? OperationMode::kProtected32 : OperationMode::kProtected16;
  if (sregs.cs.l != 0) return OperationMode::kLong;
  return big ? OperationMode::kCompatibility32 : OperationMode::kCompatibility16;
}

const char* mode_name(OperationMode mode) {
  switch (mode) {
    case OperationMode::kReal16:
      return "real mode";
    case OperationMode::kProtected16:
      return "16-bit protected mode";
    case OperationMode::kProtected32:
      return "32-bit protected mode";
    case OperationMode::kCompatibility16:
      return "16-bit compatibility mode";
    case OperationMode::kCompatibility32:
      return "32-bit compatibility mode";
    case OperationMode::kLong:
      break;
  }
  return "64-bit mode";
}

std::optional<Decoded> decode(OperationMode mode, std::span<const uint8_t> bytes) {
  const ZydisDecoder decoder = decoder_of(mode);
  Decoded d;
  const ZyanStatus status =
      ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(), &d.instruction, d.operands.data());
  if (!ZYAN_SUCCESS(status)) return std::nullopt;
  return d;
}

uint64_t linear_address(const Decoded& decoded, const ZydisDecodedOperand& operand, const kvm_regs& regs,
                        const kvm_sregs& sregs) {
  const ZydisDecodedOperandMem& m = operand.mem;
  const bool relative = m.base == ZYDIS_REGISTER_RIP || m.base == ZYDIS_REGISTER_EIP;
  uint64_t address = relative ? regs.rip + decoded.instruction.length : value_of(m.base, regs);
  address += value_of(m.index, regs) * m.scale;
  if (m.disp.has_displacement != 0) address += static_cast<uint64_t>(m.disp.value);
  if (decoded.instruction.address_width == 32) address &= 0xffffffff;
  // In 64-bit mode only FS and GS have a base.
  if (m.segment == ZYDIS_REGISTER_FS) address += sregs.fs.base;
  if (m.segment == ZYDIS_REGISTER_GS) address += sregs.gs.base;
  return address;
}

std::string disassemble(OperationMode mode, std::span<const uint8_t> bytes, uint64_t rip) {
  const auto d = decode(mode, bytes);
  if (!d) return "?";
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
  std::array<char, 128> text{};
  const ZyanStatus status = ZydisFormatterFormatInstruction(&formatter, &d->instruction, d->operands.data(),
                                                            d->instruction.operand_count_visible, text.data(),
                                                            text.size(), rip, nullptr);
  return ZYAN_SUCCESS(status) ? text.data() : "?";
}

}  // namespace vmm
