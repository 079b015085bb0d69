#include "vmm/trace/stream_section.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace vmm {
namespace {

using sched::TraceEvent;

constexpr uint64_t kMostDescription = 1 << 20;

class Collector {
 public:
  explicit Collector(uint32_t workers) : workers_(workers) {}

  void take(const TracePiece& piece, std::string_view bytes, StreamedEvents& out) {
    const size_t count = bytes.size() / sizeof(TraceEvent);
    Ring& ring = rings_[piece.ring];
    out.lost += piece.lost;
    ring.missing += piece.lost;
    if (count == 0) return;
    TraceEvent first;
    std::memcpy(&first, bytes.data(), sizeof first);
    if (ring.missing > 0) {
      TraceEvent lost{.at = first.at, .value = ring.missing, .kind = sched::TraceKind::kLost};
      if (piece.ring < workers_) lost.worker = static_cast<uint16_t>(piece.ring);
      ring.events.push_back(lost);
      out.complete_from = std::max(out.complete_from, first.at);
      ring.missing = 0;
    }
    const size_t before = ring.events.size();
    ring.events.resize(before + count);
    std::memcpy(&ring.events[before], bytes.data(), count * sizeof(TraceEvent));
  }

  // By ring first, so that events of one instant stand as if they had come from the rings at once.
  std::vector<TraceEvent> finish() {
    std::vector<TraceEvent> all;
    for (auto& [number, ring] : rings_) {
      all.insert(all.end(), ring.events.begin(), ring.events.end());
      ring.events = {};
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const TraceEvent& a, const TraceEvent& b) { return a.at < b.at; });
    return all;
  }

 private:
  struct Ring {
    std::vector<TraceEvent> events;
    uint64_t missing = 0;
  };
  const uint32_t workers_;
  std::map<uint32_t, Ring> rings_;
};

}  // namespace

bool is_piece(const TracePiece& piece) {
  if (piece.kind == TracePiece::kEnd) return piece.count <= kMostDescription;
  return piece.kind == TracePiece::kEvents && piece.count <= UINT64_MAX / 2 / sizeof(TraceEvent);
}

uint64_t bytes_behind(const TracePiece& piece) {
  return piece.kind == TracePiece::kEnd ? piece.count : piece.count * sizeof(TraceEvent);
}

StreamedEvents take_pieces(std::string_view& bytes, uint32_t workers) {
  StreamedEvents out;
  Collector collector(workers);
  while (bytes.size() >= sizeof(TracePiece)) {
    TracePiece piece;
    std::memcpy(&piece, bytes.data(), sizeof piece);
    out.damaged = !is_piece(piece);
    if (out.damaged) break;
    bytes.remove_prefix(sizeof piece);
    const uint64_t wanted = bytes_behind(piece);
    const std::string_view content = bytes.substr(0, wanted);
    bytes.remove_prefix(content.size());
    if (piece.kind == TracePiece::kEvents) {
      collector.take(piece, content, out);
      continue;
    }
    out.finished = content.size() == wanted;
    out.description = content;
    break;
  }
  if (!out.finished && !out.damaged) bytes = {};
  out.events = collector.finish();
  return out;
}

}  // namespace vmm
