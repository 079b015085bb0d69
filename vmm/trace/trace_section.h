// What a section of a trace file begins with, for those who write it and those who read it. Internal to
// trace_file.h.
//
// Any thread. Nothing here trusts a length or a value that comes from a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/trace/trace_file.h"

namespace vmm {

inline constexpr std::string_view kTraceMagic = "KVMUXTRC";
inline constexpr uint64_t kMostTraceInfo = 1 << 20;  // bytes of a description

struct TraceHeader {
  char magic[8];
  uint32_t version;
  uint32_t event_bytes;
  uint64_t info_bytes;
  uint64_t events;
};

// Of a section that is to be written.
TraceHeader make_header(uint32_t version, size_t info_bytes, size_t events);
// A section's head. Its lengths are to be believed only as far as the bytes go.
[[nodiscard]] Result<TraceHeader> header_of(std::string_view bytes, const std::string& name);

// All but the events, as JSON, and back.
Json info_of(const Trace& trace);
[[nodiscard]] Result<Trace> description_of(std::string_view json, const std::string& name);

// In order of time, of vCPUs and workers that there are.
[[nodiscard]] Result<void> check_events(const Trace& trace, const std::string& name);

Failure bad_trace(const std::string& name, const std::string& why);

}  // namespace vmm
