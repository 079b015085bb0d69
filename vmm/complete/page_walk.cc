#include "vmm/complete/page_walk.h"

#include <atomic>
#include <optional>

namespace vmm {
namespace {

constexpr uint64_t kCr0WriteProtect = 1u << 16;
constexpr uint64_t kCr0Paging = uint64_t{1} << 31;
constexpr uint64_t kCr4PageSize = 1u << 4;
constexpr uint64_t kCr4Pae = 1u << 5;
constexpr uint64_t kCr4FiveLevels = 1u << 12;
constexpr uint64_t kCr4Smep = 1u << 20;
constexpr uint64_t kCr4Smap = 1u << 21;
constexpr uint64_t kEferLongActive = 1u << 10;
constexpr uint64_t kEferNoExecute = 1u << 11;
constexpr uint64_t kFlagsAlignmentCheck = 1u << 18;

enum Entry : uint64_t {
  kPresent = 1u << 0,
  kWritable = 1u << 1,
  kUser = 1u << 2,
  kAccessed = 1u << 5,
  kDirty = 1u << 6,
  kLarge = 1u << 7,
  kNoExecute = uint64_t{1} << 63,
};
constexpr uint64_t kAddressMask = 0x000ffffffffff000;

enum ErrorCode : uint32_t {
  kErrorPresent = 1,
  kErrorWrite = 2,
  kErrorUser = 4,
  kErrorReserved = 8,
  kErrorFetch = 16
};

// One level of the tables of a paging mode.
struct Shape {
  unsigned levels;
  unsigned entry_bytes;
  unsigned index_bits;
};

Shape shape_of(const PagingState& s) {
  if ((s.efer & kEferLongActive) != 0) return {(s.cr4 & kCr4FiveLevels) != 0 ? 5u : 4u, 8, 9};
  if ((s.cr4 & kCr4Pae) != 0) return {3, 8, 9};
  return {2, 4, 10};
}

// Rights add up over the levels: a page is writable or the user's only if every entry says so.
struct Rights {
  bool writable = true;
  bool user = true;
  bool executable = true;
};

class Walk {
 public:
  Walk(const PagingState& state, uint64_t linear, Access access, const GuestMemory& memory)
      : s_(state), linear_(linear), access_(access), memory_(memory), shape_(shape_of(state)) {}

  using Outcome = tl::expected<Gpa, PageFault>;

  // A processor that finds an entry changed under it walks again. A guest that keeps changing them gets what
  // the last walk found.
  Outcome run() {
    constexpr unsigned kTries = 64;
    for (unsigned i = 0; i < kTries; ++i) {
      rights_ = {};
      if (const auto outcome = once()) return *outcome;
    }
    return fault(0);
  }

 private:
  // Nothing: an entry changed meanwhile.
  std::optional<Outcome> once() {
    uint64_t table = shape_.levels == 3 ? s_.cr3 & 0xffffffe0 : s_.cr3 & kAddressMask;
    for (unsigned level = shape_.levels; level > 0; --level) {
      const unsigned shift = 12 + (level - 1) * shape_.index_bits;
      const uint64_t index = linear_ >> shift & ((uint64_t{1} << index_bits(level)) - 1);
      const Gpa at{table + index * shape_.entry_bytes};
      const auto entry = load(at);
      if (!entry) return Outcome(tl::unexpected(PageFault{linear_, 0, true}));
      if ((*entry & kPresent) == 0) return fault(0);
      if (const auto bad = reserved(*entry, level)) return fault(*bad);
      add_rights(*entry, level);
      if (level == 1 || is_large(*entry, level)) return finish(at, *entry, shift, level);
      if (!is_pdpte(level) && !mark(at, *entry, kAccessed)) return std::nullopt;
      table = *entry & kAddressMask;
    }
    return fault(0);
  }

  // PAE's four top entries have neither rights nor an accessed bit.
  bool is_pdpte(unsigned level) const { return shape_.levels == 3 && level == 3; }
  unsigned index_bits(unsigned level) const { return is_pdpte(level) ? 2 : shape_.index_bits; }
  bool is_large(uint64_t entry, unsigned level) const {
    if ((entry & kLarge) == 0 || is_pdpte(level)) return false;
    if (shape_.entry_bytes == 4) return level == 2 && (s_.cr4 & kCr4PageSize) != 0;
    return level == 2 || level == 3;
  }
  bool no_execute_works() const { return shape_.entry_bytes == 8 && (s_.efer & kEferNoExecute) != 0; }

  // The error code bit if the entry uses what it must not.
  std::optional<uint32_t> reserved(uint64_t entry, unsigned level) const {
    const bool large_too_high = level > 3 && shape_.entry_bytes == 8 && (entry & kLarge) != 0;
    const bool execute_bit = shape_.entry_bytes == 8 && (entry & kNoExecute) != 0 && !no_execute_works();
    if (large_too_high || execute_bit) return kErrorPresent | kErrorReserved;
    return std::nullopt;
  }

  std::optional<uint64_t> load(Gpa at) const {
    if (shape_.entry_bytes == 8) {
      const auto entry = memory_.load<uint64_t>(at);
      return entry ? std::optional(*entry) : std::nullopt;
    }
    const auto entry = memory_.load<uint32_t>(at);
    return entry ? std::optional(uint64_t{*entry}) : std::nullopt;
  }

  // Sets bits in an entry that is still what it was. Entries are naturally aligned, so they are one atomic
  // word.
  template <class T>
  bool exchange(Gpa at, T was, T wanted) const {
    auto& word = *reinterpret_cast<T*>(memory_.host_base() + at.value);
    return std::atomic_ref<T>(word).compare_exchange_strong(was, wanted, std::memory_order_seq_cst);
  }
  bool mark(Gpa at, uint64_t entry, uint64_t bits) const {
    if ((entry & bits) == bits) return true;
    if (shape_.entry_bytes == 8) return exchange<uint64_t>(at, entry, entry | bits);
    return exchange<uint32_t>(at, static_cast<uint32_t>(entry), static_cast<uint32_t>(entry | bits));
  }

  void add_rights(uint64_t entry, unsigned level) {
    if (is_pdpte(level)) return;
    rights_.writable = rights_.writable && (entry & kWritable) != 0;
    rights_.user = rights_.user && (entry & kUser) != 0;
    if (no_execute_works()) rights_.executable = rights_.executable && (entry & kNoExecute) == 0;
  }

  // SDM vol. 3, Determination of Access Rights.
  bool allowed() const {
    const bool user_mode = s_.cpl == 3;
    if (user_mode && !rights_.user) return false;
    if (access_ == Access::kExecute) {
      const bool smep = !user_mode && rights_.user && (s_.cr4 & kCr4Smep) != 0;
      return rights_.executable && !smep;
    }
    const bool smap = !user_mode && rights_.user && (s_.cr4 & kCr4Smap) != 0;
    if (smap && (s_.rflags & kFlagsAlignmentCheck) == 0) return false;
    if (access_ == Access::kRead || rights_.writable) return true;
    return !user_mode && (s_.cr0 & kCr0WriteProtect) == 0;
  }

  std::optional<Outcome> finish(Gpa at, uint64_t entry, unsigned shift, unsigned level) {
    if (!allowed()) return fault(kErrorPresent);
    const uint64_t bits = access_ == Access::kWrite ? uint64_t{kAccessed | kDirty} : uint64_t{kAccessed};
    if (!mark(at, entry, bits)) return std::nullopt;
    const uint64_t in_page = (uint64_t{1} << shift) - 1;
    uint64_t base = entry & kAddressMask & ~in_page;
    // PSE-36: bits 20 … 13 of a 4 MiB entry are address bits 39 … 32.
    if (shape_.entry_bytes == 4 && level == 2) base |= (entry >> 13 & 0xff) << 32;
    return Outcome(Gpa{base | (linear_ & in_page)});
  }

  Outcome fault(uint32_t bits) const {
    if (access_ == Access::kWrite) bits |= kErrorWrite;
    if (s_.cpl == 3) bits |= kErrorUser;
    const bool tells_fetch = no_execute_works() || (s_.cr4 & kCr4Smep) != 0;
    if (access_ == Access::kExecute && tells_fetch) bits |= kErrorFetch;
    return tl::unexpected(PageFault{linear_, bits, false});
  }

  const PagingState& s_;
  const uint64_t linear_;
  const Access access_;
  const GuestMemory& memory_;
  const Shape shape_;
  Rights rights_;
};

}  // namespace

PagingState paging_state(const kvm_sregs& sregs, const kvm_regs& regs, unsigned cpl) {
  return {sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer, regs.rflags, cpl};
}

tl::expected<Gpa, PageFault> translate(const PagingState& state, uint64_t linear, Access access,
                                       const GuestMemory& memory) {
  if ((state.cr0 & kCr0Paging) == 0) return Gpa{linear};
  return Walk(state, linear, access, memory).run();
}

}  // namespace vmm
