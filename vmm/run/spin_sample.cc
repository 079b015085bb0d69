#include "vmm/run/spin_sample.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "vmm/complete/page_walk.h"

namespace vmm {
namespace {

// A spin loop is PAUSE, a load, a compare, a branch and perhaps a counter and a bound.
constexpr uint64_t kReach = 64;

struct Code {
  std::array<uint8_t, 2 * kReach> bytes{};
  int64_t size = 0;
  int64_t rip = 0;  // place of the instruction that comes next
};

// What of `reach` bytes around RIP lies in its page.
Code code_around(const Vcpu& vcpu, const GuestMemory& memory) {
  constexpr uint64_t kPage = 4096;
  Code code;
  const kvm_sregs& sregs = vcpu.kvm.sregs();
  const uint64_t linear = sregs.cs.base + vcpu.kvm.rip();
  const auto page = translate(paging_state(sregs, vcpu.kvm.regs(), vcpu.kvm.cpl()), linear & ~(kPage - 1),
                              Access::kExecute, memory);
  if (!page) return code;
  const uint64_t offset = linear % kPage;
  const uint64_t first = offset < kReach ? 0 : offset - kReach;
  const uint64_t size = std::min(kPage, offset + kReach) - first;
  const auto into = std::as_writable_bytes(std::span(code.bytes)).first(size);
  if (!memory.read(Gpa{page->value + first}, into)) return code;
  code.size = static_cast<int64_t>(size);
  code.rip = static_cast<int64_t>(offset - first);
  return code;
}

// Where a branch at this place goes to, and where it ends: JMP, Jcc and LOOP, short and near (SDM vol. 2).
struct Branch {
  int64_t target;
  int64_t end;
};
std::optional<Branch> branch_at(const Code& code, int64_t at) {
  const auto byte = [&](int64_t i) { return code.bytes[static_cast<size_t>(i)]; };
  const uint8_t op = byte(at);
  const bool is_short = (op >= 0x70 && op <= 0x7f) || op == 0xeb || (op >= 0xe0 && op <= 0xe2);
  if (is_short && at + 2 <= code.size) return Branch{at + 2 + static_cast<int8_t>(byte(at + 1)), at + 2};
  const bool two_bytes = op == 0x0f && at + 1 < code.size && byte(at + 1) >= 0x80 && byte(at + 1) <= 0x8f;
  const int64_t opcode = two_bytes ? 2 : 1;
  if ((!two_bytes && op != 0xe9) || at + opcode + 4 > code.size) return std::nullopt;
  int32_t distance = 0;
  std::memcpy(&distance, &code.bytes[static_cast<size_t>(at + opcode)], sizeof(distance));
  return Branch{at + opcode + 4 + distance, at + opcode + 4};
}

}  // namespace

bool in_pause_loop(const Vcpu& vcpu, const GuestMemory& memory) {
  const Code code = code_around(vcpu, memory);
  for (int64_t pause = 0; pause + 1 < code.size; ++pause) {
    if (code.bytes[static_cast<size_t>(pause)] != 0xf3 || code.bytes[static_cast<size_t>(pause + 1)] != 0x90) continue;
    // RIP may be the branch itself, which ends the loop.
    for (int64_t at = std::max(pause + 2, code.rip - 6); at < code.size; ++at) {
      const auto branch = branch_at(code, at);
      if (branch && branch->target >= 0 && branch->target <= std::min(pause, code.rip) && branch->end > code.rip)
        return true;
    }
  }
  return false;
}

}  // namespace vmm
