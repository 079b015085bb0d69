// Reading traces.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "vmm/trace/stream_section.h"
#include "vmm/trace/trace_section.h"

namespace vmm {
namespace {

// Whose window is not known had one from its first to its last event.
void end_early(Trace& trace) {
  trace.unfinished = true;
  trace.window_begin = trace.events.empty() ? 0 : trace.events.front().at;
  trace.window_end = trace.events.empty() ? 0 : trace.events.back().at + 1;
}

Result<Trace> take_streamed(Trace trace, std::string_view& bytes, const std::string& name) {
  StreamedEvents streamed = take_pieces(bytes, trace.workers);
  if (streamed.damaged) return bad_trace(name, "it is damaged");
  if (streamed.finished) {
    auto whole = description_of(streamed.description, name);
    if (!whole) return whole;
    trace = std::move(*whole);
  }
  trace.events = std::move(streamed.events);
  trace.lost = streamed.lost;
  trace.complete_from = streamed.complete_from;
  if (const auto good = check_events(trace, name); !good) return Failure(good.error());
  if (!streamed.finished) end_early(trace);
  return trace;
}

}  // namespace

Result<Trace> take_trace(std::string_view& bytes, const std::string& name) {
  const auto header = header_of(bytes, name);
  if (!header) return Failure(header.error());
  bytes.remove_prefix(sizeof(TraceHeader));
  if (header->info_bytes > std::min<uint64_t>(kMostTraceInfo, bytes.size()))
    return bad_trace(name, "it is cut off");
  auto trace = description_of(bytes.substr(0, header->info_bytes), name);
  if (!trace) return trace;
  bytes.remove_prefix(header->info_bytes);
  if (header->version == kStreamedVersion) return take_streamed(std::move(*trace), bytes, name);
  if (header->events > bytes.size() / sizeof(sched::TraceEvent)) return bad_trace(name, "it is cut off");
  const size_t size = header->events * sizeof(sched::TraceEvent);
  trace->events.resize(header->events);
  if (size > 0) std::memcpy(trace->events.data(), bytes.data(), size);
  bytes.remove_prefix(size);
  if (const auto good = check_events(*trace, name); !good) return Failure(good.error());
  return trace;
}

Result<std::vector<Trace>> parse_traces(std::string_view bytes, const std::string& name) {
  std::vector<Trace> traces;
  do {
    auto trace = take_trace(bytes, name);
    if (!trace) return Failure(trace.error());
    traces.push_back(std::move(*trace));
  } while (!bytes.empty());
  return traces;
}

namespace {

// A streamed section in a file, behind its first description at `at`: where it ends, and its last
// description.
struct Scanned {
  uint64_t end = 0;
  std::optional<std::string> description;  // nothing: the writer was stopped
};

Result<Scanned> scan_pieces(std::ifstream& file, uint64_t at, uint64_t size, const std::string& path) {
  while (size - at >= sizeof(TracePiece)) {
    TracePiece piece;
    file.seekg(static_cast<std::streamoff>(at));
    file.read(reinterpret_cast<char*>(&piece), sizeof piece);
    if (!file) return Failure(host_error(path, errno, "cannot read the file").value());
    if (!is_piece(piece)) return bad_trace(path, "it is damaged");
    at += sizeof piece;
    if (bytes_behind(piece) > size - at) break;
    at += bytes_behind(piece);
    if (piece.kind != TracePiece::kEnd) continue;
    std::string description(piece.count, '\0');
    file.read(description.data(), static_cast<std::streamsize>(description.size()));
    if (!file) return Failure(host_error(path, errno, "cannot read the file").value());
    return Scanned{at, std::move(description)};
  }
  return Scanned{size, {}};
}

}  // namespace

Result<TraceReader> TraceReader::open(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  file.seekg(0, std::ios::end);
  if (!file) return Failure(host_error(path, errno, "cannot read the file").value());
  const auto size = static_cast<uint64_t>(file.tellg());
  TraceReader reader;
  reader.path_ = path;
  for (uint64_t at = 0; at < size || at == 0;) {
    std::string bytes(std::min<uint64_t>(sizeof(TraceHeader), size - at), '\0');
    file.seekg(static_cast<std::streamoff>(at));
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file) return Failure(host_error(path, errno, "cannot read the file").value());
    reader.cut_off_ = at > 0 && bytes.size() < sizeof(TraceHeader);
    if (reader.cut_off_) break;
    const auto header = header_of(bytes, path);
    if (!header) return Failure(header.error());
    const uint64_t left = size - at - sizeof(TraceHeader);
    const bool streamed = header->version == kStreamedVersion;
    const bool whole =
        header->info_bytes <= std::min(left, kMostTraceInfo) &&
        (streamed || header->events <= (left - header->info_bytes) / sizeof(sched::TraceEvent));
    if (!whole && at == 0) return bad_trace(path, "it is cut off");
    reader.cut_off_ = !whole;
    if (!whole) break;
    bytes.resize(header->info_bytes);
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    uint64_t end = at + sizeof(TraceHeader) + header->info_bytes;
    if (streamed) {
      auto scanned = scan_pieces(file, end, size, path);
      if (!scanned) return Failure(scanned.error());
      end = scanned->end;
      reader.cut_off_ = !scanned->description;
      if (scanned->description) bytes = std::move(*scanned->description);
    } else {
      end += header->events * sizeof(sched::TraceEvent);
    }
    auto run = description_of(bytes, path);
    if (!run) return Failure(run.error());
    run->unfinished = reader.cut_off_;
    reader.runs_.push_back(std::move(*run));
    reader.offsets_.push_back(at);
    reader.offsets_.push_back(end);
    at = end;
  }
  return reader;
}

Result<Trace> TraceReader::read(size_t run) const {
  const uint64_t begin = offsets_[2 * run];
  std::string bytes(offsets_[2 * run + 1] - begin, '\0');
  std::ifstream file{path_, std::ios::binary};
  file.seekg(static_cast<std::streamoff>(begin));
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file) return Failure(host_error(path_, errno, "cannot read the file").value());
  std::string_view rest = bytes;
  return take_trace(rest, path_);
}

}  // namespace vmm
