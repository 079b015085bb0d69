// What the scheduler and its surroundings say of what they do, event by event: the vocabulary of traces.
//
// The simulator and the real run loop write the same events, so that a simulated and a real run lie side by
// side. Numbers are part of the file format (docs/trace.md): values are appended, never changed.
//
// Threads: an event is recorded by the thread that does what it says. A null sink costs one branch that is
// never taken.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sched/base/types.h"

namespace sched {

enum class TraceKind : uint8_t {
  kLost = 0,      // value: events that are missing here, because the ring was full
  kIn = 1,        // vcpu comes onto worker
  kOut = 2,       // it leaves the worker; why: TraceOut
  kEnter = 3,     // enters the guest
  kExit = 4,      // leaves the guest; why: TraceExit
  kSpin = 5,      // spin exit; why: Wait
  kYield = 6,     // directed yield to `other`; why: YieldReason, value: TraceYield
  kOutcome = 7,   // what became of the vCPU's last yield; why: TraceOutcome
  kPenalty = 8,   // vcpu pays; value: virtual nanoseconds
  kCredit = 9,    // vcpu is credited
  kDonate = 10,   // vcpu donates a turn to `other`; value: its length in ns, 0: until the acknowledgement
  kIpiSend = 11,  // to `other`; value: vector
  kInject = 12,   // value: vector
  kEoi = 13,      // value: vector
  kKick = 14,     // worker is kicked; why: TraceKick, vcpu: whom the interrupt is for
  kWake = 15,     // vcpu, which was halted, is runnable and goes to worker
  kMove = 16,     // vcpu goes to worker, value: from there; why: TraceMove
  kMark = 17,     // the guest says; why: TraceMark or its own, value: its own
  kStolen = 18,   // the host took the worker's CPU from vcpu; value: ns
  kPolicy = 19,   // the policy of the VM whose vCPU 0 this is changes; value: its changes so far
  kQueue = 20,    // value: vCPUs that are runnable on worker now, the running one among them
  kLag = 21,      // of vcpu as it comes onto worker; value: signed virtual ns
  kCount,
};

enum class TraceOut : uint8_t { kPreempted, kYielded, kHalted, kStopped };
enum class TraceExit : uint8_t {
  kOther,
  kSpin,
  kIpi,
  kEoi,
  kHalt,
  kWindow,
  kKick,
  kTimer,
  kIo,    // ports, or memory of a device
  kMsr,   // another than those of the LAPIC
  kLapic  // another access to the LAPIC
};
enum class TraceKick : uint8_t { kSchedule, kInterrupt };
enum class TraceYield : uint8_t { kFailed, kHere, kThere, kPulled };
enum class TraceOutcome : uint8_t { kHit, kMiss, kHarmful };
enum class TraceMove : uint8_t { kSteal, kBalance, kPull, kHome };
inline constexpr size_t kTraceMoves = 4;
// What guests mark of themselves (guest/abi.h's enum kvmux_mark, the same numbers). value: the thing meant, a
// number that is the same for the whole VM.
enum class TraceMark : uint8_t {
  kWaits,          // begins to busy-wait
  kWaitOver,       // sees that the wait is over
  kTakesLock,      // owns a lock from here on
  kReleasesLock,   // … until here
  kOperation,      // has finished a unit of work
  kPuts,           // leaves something that another may take: an item, a reason to wake up
  kTakes,          // takes one such thing, for which it has waited if there was none
  kSleeps,         // goes to sleep until there is such a thing
  kArrives,        // at a barrier: goes on when all vCPUs of the VM have arrived
  kAwaitsAcks,     // goes on when all its IPIs have been acknowledged
  kHandlerBegins,  // work in an interrupt's handler, outside its stub
  kHandlerEnds,
  kCount
};

inline constexpr uint32_t kNoOne = 0xffffffff;  // TraceEvent::vcpu, other: nobody
inline constexpr uint16_t kNoTraceWorker = 0xffff;

struct TraceEvent {
  int64_t at = 0;  // ns, of the clock of the run
  uint32_t vcpu = kNoOne;
  uint32_t other = kNoOne;
  uint64_t value = 0;
  uint16_t worker = kNoTraceWorker;
  TraceKind kind{};
  uint8_t why = 0;
  uint32_t reserved = 0;
};
static_assert(sizeof(TraceEvent) == 32);

class TraceSink {
 public:
  virtual void record(const TraceEvent& event) = 0;

 protected:
  ~TraceSink() = default;
};

// What the scheduler says it with; under locks or not, it changes nothing that is decided.
class Tracer {
 public:
  void into(TraceSink* sink) { sink_ = sink; }  // before the run
  bool is_on() const { return sink_ != nullptr; }

  struct Said {
    uint8_t why = 0;
    uint64_t value = 0;
    VcpuId other = kNoVcpu;
  };
  void say(TraceKind kind, Nanos at, WorkerId worker, VcpuId vcpu, const Said& said) const {
    if (sink_ == nullptr) [[likely]]
      return;
    sink_->record({.at = at.count(),
                   .vcpu = index_of(vcpu),
                   .other = index_of(said.other),
                   .value = said.value,
                   .worker = static_cast<uint16_t>(index_of(worker)),
                   .kind = kind,
                   .why = said.why});
  }
  void say(TraceKind kind, Nanos at, WorkerId worker, VcpuId vcpu) const { say(kind, at, worker, vcpu, {}); }
  void moves(Nanos at, VcpuId vcpu, WorkerId from, WorkerId to, TraceMove why) const {
    say(TraceKind::kMove, at, to, vcpu, {.why = static_cast<uint8_t>(why), .value = index_of(from)});
  }

 private:
  TraceSink* sink_ = nullptr;
};

}  // namespace sched
