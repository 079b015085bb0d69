#include "vmm/trace/trace_file.h"

#include <fmt/format.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace vmm {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is as memory is");

constexpr std::string_view kMagic = "KVMUXTRC";
constexpr uint64_t kMostInfo = 1 << 20;

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
    vms.push_back({{"guest", vm.guest}, {"policy", vm.policy}, {"vcpus", vm.vcpus}});
  }
  return {{"backend", trace.backend},       {"command", trace.command},
          {"workers", trace.workers},       {"window_begin", trace.window_begin},
          {"window_end", trace.window_end}, {"lost", trace.lost},
          {"vms", std::move(vms)}};
}

Failure bad_trace(const std::string& name, const std::string& why) {
  return usage_error(name, why + "; expected is a trace that kvmux wrote (--trace FILE)");
}

Result<void> read_info(const Json& info, Trace& trace, const std::string& name) {
  try {
    trace.backend = info.at("backend").get<std::string>();
    trace.command = info.at("command").get<std::string>();
    trace.workers = info.at("workers").get<uint32_t>();
    trace.window_begin = info.at("window_begin").get<int64_t>();
    trace.window_end = info.at("window_end").get<int64_t>();
    trace.lost = info.at("lost").get<uint64_t>();
    for (const Json& vm : info.at("vms")) {
      trace.vms.push_back({vm.at("guest").get<std::string>(), vm.at("policy").get<std::string>(),
                           vm.at("vcpus").get<uint32_t>()});
    }
  } catch (const Json::exception& error) {
    return bad_trace(name, fmt::format("its description is not what it should be ({})", error.what()));
  }
  return {};
}

// A damaged file names vCPUs and workers that there are not.
bool fits(const sched::TraceEvent& event, uint32_t vcpus, uint32_t workers) {
  return event.kind < sched::TraceKind::kCount && (event.vcpu < vcpus || event.vcpu == sched::kNoOne) &&
         (event.worker < workers || event.worker == sched::kNoTraceWorker);
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

Result<void> write_trace(const std::string& path, const Trace& trace) {
  const std::string info = dump(info_of(trace));
  Header header{};
  std::memcpy(header.magic, kMagic.data(), kMagic.size());
  header.version = kTraceVersion;
  header.event_bytes = sizeof(sched::TraceEvent);
  header.info_bytes = info.size();
  header.events = trace.events.size();
  std::ofstream file{path, std::ios::binary};
  file.write(reinterpret_cast<const char*>(&header), sizeof header);
  file.write(info.data(), static_cast<std::streamsize>(info.size()));
  file.write(reinterpret_cast<const char*>(trace.events.data()),
             static_cast<std::streamsize>(trace.events.size() * sizeof(sched::TraceEvent)));
  file.flush();
  if (!file) return host_error("--trace " + path, errno, "cannot write the file");
  return {};
}

Result<Trace> parse_trace(std::string_view bytes, const std::string& name) {
  Header header{};
  if (bytes.size() < sizeof header || bytes.substr(0, kMagic.size()) != kMagic) {
    return bad_trace(name, "this is no trace");
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.version != kTraceVersion || header.event_bytes != sizeof(sched::TraceEvent)) {
    return bad_trace(name,
                     fmt::format("it has version {}, this kvmux reads {}", header.version, kTraceVersion));
  }
  bytes.remove_prefix(sizeof header);
  if (header.info_bytes > std::min<uint64_t>(kMostInfo, bytes.size()))
    return bad_trace(name, "it is cut off");
  const Json info = Json::parse(bytes.substr(0, header.info_bytes), nullptr, false);
  Trace trace;
  if (const auto good = read_info(info, trace, name); !good) return Failure(good.error());
  bytes.remove_prefix(header.info_bytes);
  if (header.events != bytes.size() / sizeof(sched::TraceEvent)) return bad_trace(name, "it is cut off");
  trace.events.resize(header.events);
  if (header.events > 0)
    std::memcpy(trace.events.data(), bytes.data(), header.events * sizeof(sched::TraceEvent));
  int64_t last = INT64_MIN;
  for (const sched::TraceEvent& event : trace.events) {
    if (!fits(event, trace.vcpus(), trace.workers) || event.at < last)
      return bad_trace(name, "it is damaged");
    last = event.at;
  }
  return trace;
}

Result<Trace> read_trace(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::ostringstream bytes;
  bytes << file.rdbuf();
  if (!file || !bytes) return host_error(path, errno, "cannot read the file");
  return parse_trace(bytes.str(), path);
}

}  // namespace vmm
