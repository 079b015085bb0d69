#include "vmm/load/handover.h"

#include <fmt/format.h>

#include "vmm/load/physical_image.h"

namespace vmm {
namespace {

uint64_t round_up(uint64_t value) {
  constexpr uint64_t kPage = 4096;
  return (value + kPage - 1) / kPage * kPage;
}

}  // namespace

Result<std::vector<Gpa>> place_modules(std::span<const BootModule> modules, Gpa from,
                                       const GuestMemory& memory) {
  std::vector<Gpa> starts;
  uint64_t at = round_up(from.value);
  for (const BootModule& module : modules) {
    if (!is_guests(Gpa{at}, module.bytes.size(), memory.size())) {
      return usage_error("--module", fmt::format("'{}' of {} bytes does not fit: memory ends at {:#x}",
                                                 module.text, module.bytes.size(), memory.size()));
    }
    if (auto ok = memory.write(Gpa{at}, module.bytes); !ok) return Failure(ok.error());
    starts.push_back(Gpa{at});
    at = round_up(at + module.bytes.size());
  }
  return starts;
}

Gpa Handover::put(std::span<const std::byte> bytes) {
  const Gpa here = reserve(bytes.size());
  write(here, bytes);
  return here;
}

Gpa Handover::put(const std::string& text) {
  return put(std::as_bytes(std::span(text.c_str(), text.size() + 1)));
}

Gpa Handover::reserve(uint64_t bytes) {
  const Gpa here = at_;
  at_ = Gpa{(at_.value + bytes + 7) / 8 * 8};
  return here;
}

void Handover::write(Gpa at, std::span<const std::byte> bytes) {
  if (at_ <= kEbda && result_) result_ = memory_.write(at, bytes);
}

Result<void> Handover::finish() const {
  if (at_ <= kEbda) return result_;
  return usage_error("--cmdline, --module",
                     fmt::format("the texts and their tables have {} bytes, there is room for {}",
                                 at_.value - kHandoverStart.value, kEbda.value - kHandoverStart.value));
}

}  // namespace vmm
