// One instruction, decoded for the mode that its processor is in. Pure; any thread.
#pragma once

#include <Zydis/Zydis.h>
#include <linux/kvm.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace vmm {

enum class OperationMode : uint8_t {
  kReal16,
  kProtected16,
  kProtected32,
  kCompatibility16,
  kCompatibility32,
  kLong
};
OperationMode operation_mode(const kvm_sregs& sregs);
const char* mode_name(OperationMode mode);

struct Decoded {
  ZydisDecodedInstruction instruction;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
};

// Nothing: these bytes are no instruction.
std::optional<Decoded> decode(OperationMode mode, std::span<const uint8_t> bytes);

// Where a memory operand lies, in 64-bit mode, before translation: segment base plus effective address.
uint64_t linear_address(const Decoded& decoded, const ZydisDecodedOperand& operand, const kvm_regs& regs,
                        const kvm_sregs& sregs);

// "mov eax, [rbx]", or "?" if these bytes are no instruction.
std::string disassemble(OperationMode mode, std::span<const uint8_t> bytes, uint64_t rip);

}  // namespace vmm
