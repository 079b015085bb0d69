// One vCPU's way through a trace as steps of a script: script.h. Internal to it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "vmm/trace/script.h"

namespace vmm {

// Numbers from 0 for the names that guests give things.
class Numbers {
 public:
  uint32_t of(uint64_t name) {
    return numbers_.try_emplace(name, static_cast<uint32_t>(numbers_.size())).first->second;
  }
  uint32_t count() const { return static_cast<uint32_t>(numbers_.size()); }

 private:
  std::map<uint64_t, uint32_t> numbers_;
};

// What the vCPUs of a VM share.
struct VmNames {
  Numbers locks;
  Numbers things;
  uint32_t vcpus = 0;
  uint32_t first = 0;  // vCPU 0's number in the trace
  int64_t handler_time = 0;
  uint64_t handlers = 0;
};

class VcpuScript {
 public:
  using Step = sched::sim::ReplayStep;

  VcpuScript(VmNames& names, int64_t entry_cost) : names_(names), entry_cost_(entry_cost) {}

  // Events in order of time: those of this vCPU, and those sent by it.
  void take(const sched::TraceEvent& event);
  // What came before shows in what is open only: the wait, the sleep, the lock.
  void begin(int64_t at);
  // Nothing stays open that the first step would find open.
  void finish();

  std::vector<Step> steps;
  uint64_t operations = 0;
  int64_t in_guest = 0;
  uint64_t marks = 0;
  uint64_t lost_marks = 0;

 private:
  enum class Mode : uint8_t { kWorks, kWaits, kSleeps };

  void spend_until(int64_t at);
  void leave(int64_t at);
  void flush();
  void push(Step::Kind kind, uint32_t what = 0);
  void mark(sched::TraceMark what, uint64_t value);
  void begin_wait();
  void take_lock(uint32_t lock);
  void take_thing(uint32_t thing);
  void sleep(uint32_t thing);
  void send(const sched::TraceEvent& event);
  bool drop_wait();
  void end_wait();
  void lose(int64_t time);

  VmNames& names_;
  const int64_t entry_cost_;
  Mode mode_ = Mode::kWorks;
  std::optional<int64_t> in_since_;  // in the guest
  int64_t entry_left_ = 0;           // of entry_cost, for this stay
  int64_t work_ = 0;                 // since the last step
  int64_t waited_ = 0;               // in this wait
  size_t stay_from_ = 0;             // first step of this stay on a worker
  bool in_stub_ = false;             // from an injection to its EOI
  int64_t stub_ = 0;                 // its length so far
  int64_t stub_left_ = 0;            // as long again, on the way back
  bool in_handler_ = false;
  bool explained_ = false;           // what ends this wait is known
  std::optional<size_t> held_from_;  // step that took the lock which it owns
  std::optional<uint32_t> held_;     // that lock
  int64_t sent_at_ = INT64_MIN;      // the last IPI
  uint32_t fanout_ = 0;              // receivers of that write
};

}  // namespace vmm
