#include "vmm/trace/ipis.h"

#include <algorithm>
#include <unordered_map>

namespace vmm {
namespace {

using sched::TraceEvent;
using sched::TraceKind;

class Follower {
 public:
  explicit Follower(uint32_t vcpus) : in_service_(vcpus) {}

  void send(const TraceEvent& event, size_t place) {
    IpiWay way{.sender = event.vcpu,
               .receiver = event.other,
               .vector = static_cast<uint8_t>(event.value),
               .sent = event.at,
               .injected = {},
               .acknowledged = {},
               .sent_at = place};
    if (const auto& handled = in_service_[event.vcpu]; !handled.empty()) {
      way.depth = ways_[handled.back()].depth + 1;
    }
    pending_[key(way.receiver, way.vector)].push_back(ways_.size());
    group(way);
    ways_.push_back(way);
  }

  void inject(const TraceEvent& event, size_t place) {
    auto& waiting = pending_[key(event.vcpu, static_cast<uint8_t>(event.value))];
    for (const size_t way : waiting) {
      ways_[way].injected = event.at;
      ways_[way].injected_at = place;
      in_service_[event.vcpu].push_back(way);
    }
    waiting.clear();
  }

  void acknowledge(const TraceEvent& event, size_t place) {
    auto& handled = in_service_[event.vcpu];
    std::erase_if(handled, [&](size_t way) {
      if (ways_[way].vector != static_cast<uint8_t>(event.value)) return false;
      ways_[way].acknowledged = event.at;
      ways_[way].acknowledged_at = place;
      return true;
    });
  }

  std::vector<IpiWay> finish() {
    close_group();
    return std::move(ways_);
  }

 private:
  static uint64_t key(uint32_t receiver, uint8_t vector) { return uint64_t{receiver} << 8 | vector; }

  // The receivers of one write follow each other, at the same instant.
  void group(const IpiWay& way) {
    if (group_ < ways_.size()) {
      const IpiWay& first = ways_[group_];
      if (first.sender == way.sender && first.vector == way.vector && first.sent == way.sent) return;
      close_group();
    }
    group_ = ways_.size();
  }
  void close_group() {
    const size_t size = ways_.size() - group_;
    for (size_t i = group_; i < ways_.size(); ++i) ways_[i].fanout = static_cast<uint32_t>(size);
  }

  std::vector<IpiWay> ways_;
  size_t group_ = 0;
  std::unordered_map<uint64_t, std::vector<size_t>> pending_;
  std::vector<std::vector<size_t>> in_service_;  // by receiver, in order of injection
};

}  // namespace

std::vector<IpiWay> ipi_ways(const Trace& trace, int64_t from, int64_t to) {
  Follower follower(trace.vcpus());
  const uint32_t vcpus = trace.vcpus();
  for (size_t i = 0; i < trace.events.size() && trace.events[i].at < to; ++i) {
    const TraceEvent& event = trace.events[i];
    if (event.at < from || event.vcpu >= vcpus) continue;
    if (event.kind == TraceKind::kIpiSend && event.other < vcpus) follower.send(event, i);
    if (event.kind == TraceKind::kInject) follower.inject(event, i);
    if (event.kind == TraceKind::kEoi) follower.acknowledge(event, i);
  }
  return follower.finish();
}

}  // namespace vmm
