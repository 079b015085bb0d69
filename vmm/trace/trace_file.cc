#include "vmm/trace/trace_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "vmm/run/retry.h"
#include "vmm/trace/stream_section.h"

namespace vmm {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is as memory is");

constexpr std::string_view kMagic = "KVMUXTRC";
constexpr uint64_t kMostInfo = 1 << 20;
// More than kvmux runs: whoever reads a file takes memory for each.
constexpr uint32_t kMostVcpus = 1 << 16;
constexpr uint32_t kMostWorkers = 1 << 14;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t event_bytes;
  uint64_t info_bytes;
  uint64_t events;
};

Json info_of(const Trace& trace) {
  Json vms = Json::array();
  for (const TraceVm& vm : trace.vms) {
    Json& entry = vms.emplace_back(Json{{"guest", vm.guest}, {"policy", vm.policy}, {"vcpus", vm.vcpus}});
    if (!vm.running.empty()) entry["running"] = vm.running;
    if (!vm.lock.empty()) entry["lock"] = vm.lock;
  }
  Json info{{"backend", trace.backend},
            {"command", trace.command},
            {"run", trace.run},
            {"seed", trace.seed},
            {"workers", trace.workers},
            {"window_begin", trace.window_begin},
            {"window_end", trace.window_end},
            {"lost", trace.lost},
            {"vms", std::move(vms)}};
  if (!trace.costs.empty()) info["costs"] = trace.costs;
  if (trace.exit_cost > 0) info["exit_cost"] = trace.exit_cost;
  if (trace.spin_window > 0) info["spin_window"] = trace.spin_window;
  if (trace.complete_from != INT64_MIN) info["complete_from"] = trace.complete_from;
  return info;
}

Failure bad_trace(const std::string& name, const std::string& why) {
  return usage_error(name, why + "; expected is a trace that kvmux wrote (--trace FILE)");
}

// Differences of any two are in range.
bool is_instant(int64_t at) {
  constexpr int64_t kFar = int64_t{1} << 62;
  return at > -kFar && at < kFar;
}

Result<void> read_info(const Json& info, Trace& trace, const std::string& name) {
  bool good = true;
  try {
    trace.backend = info.at("backend").get<std::string>();
    trace.command = info.at("command").get<std::string>();
    trace.workers = info.at("workers").get<uint32_t>();
    trace.window_begin = info.at("window_begin").get<int64_t>();
    trace.window_end = info.at("window_end").get<int64_t>();
    trace.lost = info.at("lost").get<uint64_t>();
    trace.run = info.value("run", "");
    trace.seed = info.value("seed", uint64_t{0});
    trace.costs = info.value("costs", "");
    trace.exit_cost = info.value("exit_cost", int64_t{0});
    trace.spin_window = info.value("spin_window", int64_t{0});
    trace.complete_from = info.value("complete_from", INT64_MIN);
    for (const Json& vm : info.at("vms")) {
      trace.vms.push_back({vm.at("guest").get<std::string>(), vm.at("policy").get<std::string>(),
                           vm.at("vcpus").get<uint32_t>(), vm.value("running", std::vector<int64_t>{}), vm.value("lock", "")});
      good = good && trace.vms.back().vcpus <= kMostVcpus && trace.workers <= kMostWorkers &&
             (trace.vms.back().running.empty() || trace.vms.back().running.size() == trace.vms.back().vcpus);
    }
  } catch (const Json::exception& error) {
    return bad_trace(name, fmt::format("its description is not what it should be ({})", error.what()));
  }
  good = good && trace.exit_cost >= 0 && trace.spin_window >= 0 && is_instant(trace.exit_cost) &&
         is_instant(trace.spin_window) && is_instant(trace.window_begin) && is_instant(trace.window_end) &&
         (trace.complete_from == INT64_MIN || is_instant(trace.complete_from));
  if (!good || trace.vms.size() > kMostVcpus || trace.vcpus() > kMostVcpus) {
    return bad_trace(name, "its description is not what it should be (numbers of vCPUs and workers, times)");
  }
  return {};
}

// A damaged file names vCPUs and workers that there are not.
bool fits(const sched::TraceEvent& event, uint32_t vcpus, uint32_t workers) {
  return event.kind < sched::TraceKind::kCount && (event.vcpu < vcpus || event.vcpu == sched::kNoOne) &&
         (event.worker < workers || event.worker == sched::kNoTraceWorker) && is_instant(event.at);
}

}  // namespace

size_t Trace::vm_of(uint32_t vcpu) const {
  size_t vm = 0;
  while (vm < vms.size() && vcpu >= vms[vm].vcpus) vcpu -= vms[vm++].vcpus;
  return vm;
}

std::string Trace::name_of(uint32_t vcpu) const {
  uint32_t index = vcpu;
  size_t vm = 0;
  while (vm < vms.size() && index >= vms[vm].vcpus) index -= vms[vm++].vcpus;
  return vm < vms.size() ? fmt::format("{}.{}", vm, index) : "-";
}

namespace {

// A section's head. Its lengths are to be believed only as far as the bytes go.
Result<Header> header_of(std::string_view bytes, const std::string& name) {
  Header header{};
  if (bytes.size() < sizeof header || bytes.substr(0, kMagic.size()) != kMagic) {
    return bad_trace(name, "this is no trace");
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  const bool known = header.version >= 1 && header.version <= kStreamedVersion;
  if (!known || header.event_bytes != sizeof(sched::TraceEvent)) {
    return bad_trace(
        name, fmt::format("it has version {}, this kvmux reads 1 to {}", header.version, kStreamedVersion));
  }
  return header;
}

Result<void> check_events(const Trace& trace, const std::string& name) {
  int64_t last = INT64_MIN;
  for (const sched::TraceEvent& event : trace.events) {
    if (!fits(event, trace.vcpus(), trace.workers) || event.at < last)
      return bad_trace(name, "it is damaged");
    last = event.at;
  }
  return {};
}

Result<Trace> description_of(std::string_view json, const std::string& name) {
  Trace trace;
  if (const auto good = read_info(Json::parse(json, nullptr, false), trace, name); !good) {
    return Failure(good.error());
  }
  return trace;
}

}  // namespace

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
  Header header{};
  std::memcpy(header.magic, kMagic.data(), kMagic.size());
  header.version = kStreamedVersion;
  header.event_bytes = sizeof(sched::TraceEvent);
  header.info_bytes = info.size();
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
  Header header{};
  std::memcpy(header.magic, kMagic.data(), kMagic.size());
  header.version = kTraceVersion;
  header.event_bytes = sizeof(sched::TraceEvent);
  header.info_bytes = info.size();
  header.events = trace.events.size();
  if (auto ok = write(&header, sizeof header); !ok) return ok;
  if (auto ok = write(info.data(), info.size()); !ok) return ok;
  return write(trace.events.data(), trace.events.size() * sizeof(sched::TraceEvent));
}

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
  bytes.remove_prefix(sizeof(Header));
  if (header->info_bytes > std::min<uint64_t>(kMostInfo, bytes.size()))
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
    std::string bytes(std::min<uint64_t>(sizeof(Header), size - at), '\0');
    file.seekg(static_cast<std::streamoff>(at));
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file) return Failure(host_error(path, errno, "cannot read the file").value());
    reader.cut_off_ = at > 0 && bytes.size() < sizeof(Header);
    if (reader.cut_off_) break;
    const auto header = header_of(bytes, path);
    if (!header) return Failure(header.error());
    const uint64_t left = size - at - sizeof(Header);
    const bool streamed = header->version == kStreamedVersion;
    const bool whole =
        header->info_bytes <= std::min(left, kMostInfo) &&
        (streamed || header->events <= (left - header->info_bytes) / sizeof(sched::TraceEvent));
    if (!whole && at == 0) return bad_trace(path, "it is cut off");
    reader.cut_off_ = !whole;
    if (!whole) break;
    bytes.resize(header->info_bytes);
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    uint64_t end = at + sizeof(Header) + header->info_bytes;
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
