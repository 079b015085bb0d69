// A section of a trace file whose events came piece by piece (version 3, docs/trace.md): description as far
// as it was known, pieces, and at the end the whole description. Whoever wrote it may have been stopped
// anywhere. Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sched/base/trace.h"

namespace vmm {

// In front of each piece.
struct TracePiece {
  enum Kind : uint32_t { kEvents = 1, kEnd = 2 };
  uint32_t kind = 0;
  uint32_t ring = 0;   // whose: the thread's number
  uint64_t count = 0;  // events; at the end: bytes of the description
  uint64_t lost = 0;   // events of this ring that are missing before these
};
static_assert(sizeof(TracePiece) == 24);

// Bytes of what follows, or nothing if the piece is none.
[[nodiscard]] bool is_piece(const TracePiece& piece);
[[nodiscard]] uint64_t bytes_behind(const TracePiece& piece);

struct StreamedEvents {
  bool damaged = false;  // by other causes than being stopped
  bool finished = false;
  std::string_view description;           // of the end; if finished
  std::vector<sched::TraceEvent> events;  // in order of time, with a kLost where some are missing
  uint64_t lost = 0;
  int64_t complete_from = INT64_MIN;
};
// Behind the first description. Takes what it has read off `bytes`.
[[nodiscard]] StreamedEvents take_pieces(std::string_view& bytes, uint32_t workers);

}  // namespace vmm
