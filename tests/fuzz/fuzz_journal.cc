// Result files: arbitrary text is refused with a usage error, or read into records that can be written and
// read again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "vmm/check.h"
#include "vmm/stats/journal.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto contents = vmm::parse_journal("input", text);
  if (!contents) {
    KVMUX_CHECK(contents.error().kind == vmm::ErrorKind::kUsage, "a bad file is the user's to fix");
    return 0;
  }
  KVMUX_CHECK(contents->whole_bytes <= size, "whole lines lie inside the file");
  std::string written;
  for (const vmm::CellInfo& cell : contents->cells) written += vmm::cell_line(cell).dump() + "\n";
  for (const vmm::RunRecord& run : contents->runs) written += vmm::run_line(run).dump() + "\n";
  const auto again = vmm::parse_journal("again", written);
  KVMUX_CHECK(again && again->runs.size() == contents->runs.size(), "what was written can be read");
  return 0;
}
