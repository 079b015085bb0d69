// The page's files as the program carries them: report_parts.inc, made by CMake, has one KVMUX_PART(number,
// name) a file; the symbols are from embedded_parts.S.
#include <algorithm>
#include <array>

#include "vmm/report/report.h"

extern "C" {
#define KVMUX_PART(number, name)                          \
  extern const char kvmux_report_part_##number##_start[]; \
  extern const char kvmux_report_part_##number##_end[];
#include "report_parts.inc"
#undef KVMUX_PART
}

namespace vmm {
namespace {

struct EmbeddedPart {
  std::string_view name;
  const char* begin;
  const char* end;
};

}  // namespace

PageParts embedded_parts() {
  return [](std::string_view name) -> std::optional<std::string> {
#define KVMUX_PART(number, name) \
  EmbeddedPart{name, kvmux_report_part_##number##_start, kvmux_report_part_##number##_end},
    static const std::array kParts{
#include "report_parts.inc"
    };
#undef KVMUX_PART
    const auto* const found = std::ranges::find(kParts, name, &EmbeddedPart::name);
    if (found == kParts.end()) return std::nullopt;
    return std::string(found->begin, found->end);
  };
}

}  // namespace vmm
