#include "vmm/trace/trace_section.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

namespace vmm {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is as memory is");

// More than kvmux runs: whoever reads a file takes memory for each.
constexpr uint32_t kMostVcpus = 1 << 16;
constexpr uint32_t kMostWorkers = 1 << 14;

// Differences of any two are in range.
bool is_instant(int64_t at) {
  constexpr int64_t kFar = int64_t{1} << 62;
  return at > -kFar && at < kFar;
}

// May be missing.
std::vector<TraceFunction> functions_of(const Json& vm) {
  std::vector<TraceFunction> functions;
  for (const Json& entry : vm.value("functions", Json::array())) {
    functions.push_back({entry.at("name").get<std::string>(), entry.at("address").get<uint64_t>(),
                         entry.at("bytes").get<uint64_t>()});
  }
  return functions;
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
                           vm.at("vcpus").get<uint32_t>(), vm.value("running", std::vector<int64_t>{}), vm.value("lock", ""),
                           functions_of(vm)});
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

const TraceFunction* TraceVm::function_at(uint64_t rip) const {
  for (const TraceFunction& function : functions) {
    if (rip >= function.address && rip - function.address < function.bytes) return &function;
  }
  return nullptr;
}

size_t Trace::vm_of(uint32_t vcpu) const {
  size_t vm = 0;
  while (vm < vms.size() && vcpu >= vms[vm].vcpus) vcpu -= vms[vm++].vcpus;
  return vm;
}

std::string Trace::name_of(uint32_t vcpu) const {
  const size_t vm = vm_of(vcpu);
  if (vm == vms.size()) return "-";
  for (size_t before = 0; before < vm; ++before) vcpu -= vms[before].vcpus;
  return fmt::format("{}.{}", vm, vcpu);
}

Failure bad_trace(const std::string& name, const std::string& why) {
  return usage_error(name, why + "; expected is a trace that kvmux wrote (--trace FILE)");
}

Json info_of(const Trace& trace) {
  Json vms = Json::array();
  for (const TraceVm& vm : trace.vms) {
    Json& entry = vms.emplace_back(Json{{"guest", vm.guest}, {"policy", vm.policy}, {"vcpus", vm.vcpus}});
    if (!vm.running.empty()) entry["running"] = vm.running;
    if (!vm.lock.empty()) entry["lock"] = vm.lock;
    for (const TraceFunction& function : vm.functions) {
      entry["functions"].push_back(
          {{"name", function.name}, {"address", function.address}, {"bytes", function.bytes}});
    }
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

TraceHeader make_header(uint32_t version, size_t info_bytes, size_t events) {
  TraceHeader header{};
  std::memcpy(header.magic, kTraceMagic.data(), kTraceMagic.size());
  header.version = version;
  header.event_bytes = sizeof(sched::TraceEvent);
  header.info_bytes = info_bytes;
  header.events = events;
  return header;
}

Result<TraceHeader> header_of(std::string_view bytes, const std::string& name) {
  TraceHeader header{};
  if (bytes.size() < sizeof header || bytes.substr(0, kTraceMagic.size()) != kTraceMagic) {
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

}  // namespace vmm
