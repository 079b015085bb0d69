// Writing traces.
#include "vmm/trace/trace_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/run/retry.h"
#include "vmm/trace/stream_section.h"
#include "vmm/trace/trace_section.h"

namespace vmm {

Result<TraceFile> TraceFile::create(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd) return Failure(host_error("--trace " + path, errno, "cannot write the file").value());
  return TraceFile(path, std::move(fd));
}

Result<void> TraceFile::write(const void* bytes, size_t size) {
  const char* at = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t done = uninterrupted([&] { return ::write(fd_.get(), at, size); });
    if (done <= 0) return host_error("--trace " + path_, errno, "cannot write the file");
    at += done;
    size -= static_cast<size_t>(done);
  }
  return {};
}

Result<void> TraceFile::begin(const Trace& description) {
  const std::string info = dump(info_of(description));
  const TraceHeader header = make_header(kStreamedVersion, info.size(), 0);
  if (auto ok = write(&header, sizeof header); !ok) return ok;
  return write(info.data(), info.size());
}

Result<void> TraceFile::add_piece(uint32_t ring, uint64_t lost, std::span<const sched::TraceEvent> events) {
  const TracePiece piece{TracePiece::kEvents, ring, events.size(), lost};
  if (auto ok = write(&piece, sizeof piece); !ok) return ok;
  return write(events.data(), events.size_bytes());
}

Result<void> TraceFile::end(const Trace& description) {
  const std::string info = dump(info_of(description));
  const TracePiece piece{TracePiece::kEnd, 0, info.size(), 0};
  if (auto ok = write(&piece, sizeof piece); !ok) return ok;
  return write(info.data(), info.size());
}

Result<void> TraceFile::add(const Trace& trace) {
  const std::string info = dump(info_of(trace));
  const TraceHeader header = make_header(kTraceVersion, info.size(), trace.events.size());
  if (auto ok = write(&header, sizeof header); !ok) return ok;
  if (auto ok = write(info.data(), info.size()); !ok) return ok;
  return write(trace.events.data(), trace.events.size() * sizeof(sched::TraceEvent));
}

}  // namespace vmm
