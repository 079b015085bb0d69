// A model guest: what the vCPUs of one VM do, as a state machine a vCPU. It mirrors the workload of the same
// name in guest/workloads/, instruction streams reduced to work, waits, IPIs and halts.
//
// A Program decides *what* comes next and keeps the VM's shared memory (locks, queues, counters); the
// simulator decides *when*: it executes, preempts, interrupts and charges. Effects on shared memory happen at
// the virtual instant of the call, and calls come in the order of virtual time. One owner, no thread safety.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "sched/base/guest_page.h"
#include "sched/base/trace.h"
#include "sched/base/types.h"
#include "sched/sim/bits.h"

namespace sched::sim {

// What a vCPU does until the program is asked again.
struct Action {
  enum class Kind : uint8_t {
    kWork,  // counted work of length `time`
    kSpin,  // busy-waits until poll() says that the wait is over
    kSend,  // writes the ICR: an IPI to `receiver`
    kHalt,  // HLT, again and again while sleeps() holds
    kRing,  // rings the bell, without having waited
    kArm,   // sets its timer to an instant that has come by the next entry
    kIdle,  // for `time` in the guest or in the host's kernel: no work, and nothing that the VMM sees
  };
  Kind kind = Kind::kWork;
  bool new_wait = true;  // kSpin: the spin window starts anew
  bool one_window = false;  // kSpin: for a window at most, without a bell at its end
  Wait wait{};  // kRing: what it says
  uint32_t receiver = 0;
  Nanos time{};

  static Action work(Nanos time) { return {.kind = Kind::kWork, .time = time}; }
  static Action spin(bool new_wait = true) { return {.kind = Kind::kSpin, .new_wait = new_wait}; }
  static Action spin_once() { return {.kind = Kind::kSpin, .one_window = true}; }
  static Action send(uint32_t receiver) { return {.kind = Kind::kSend, .receiver = receiver}; }
  static Action halt() { return {.kind = Kind::kHalt}; }
  static Action ring(Wait wait) { return {.kind = Kind::kRing, .wait = wait}; }
  static Action arm() { return {.kind = Kind::kArm}; }
  static Action idle(Nanos time) { return {.kind = Kind::kIdle, .time = time}; }
};

// Names of things in marks: locks and queues have small numbers, and the inbox of a vCPU:
constexpr uint64_t inbox_name(uint32_t vcpu) { return (uint64_t{1} << 32) + vcpu; }

inline constexpr uint32_t kAllOthers = 0xffffffffu;  // a receiver or a fan-out: all but self

// What a vCPU has to show, as its results page does for a real one.
struct Counters {
  uint64_t operations = 0;
  uint64_t ipis_sent = 0;  // receivers counted one by one
  uint64_t ipis_acked = 0;
  uint64_t wakeups = 0;
  uint64_t errors = 0;
  Nanos work{};  // counted work that is done
};

// Log-linear: 8 buckets an octave, of nanoseconds; the rule of kvmux_hist_bucket() (guest/abi.h).
inline constexpr uint32_t kAckBuckets = 512;
constexpr uint32_t ack_bucket(uint64_t ns) {
  if (ns < 8) return static_cast<uint32_t>(ns);
  const uint32_t octave = 63u - static_cast<uint32_t>(__builtin_clzll(ns));
  return 8u * (octave - 2u) + static_cast<uint32_t>((ns >> (octave - 3u)) & 7u);
}

// What a program sees of the vCPUs that execute it.
class Port {
 public:
  explicit Port(uint32_t vcpus) : spinning(vcpus), counters(vcpus), pages(new GuestPage[vcpus]()) {
    for (uint32_t i = 0; i < vcpus; ++i) GuestPage::store(pages[i].version, 2);
  }
  virtual ~Port() = default;

  // What this vCPU waits for may have come true: if it executes its wait right now, poll() is called at once.
  // If it does not, it looks by itself as soon as it runs again.
  virtual void look(uint32_t vcpu) = 0;
  // For traces.
  virtual void mark(uint32_t, TraceMark, uint64_t = 0) {}

  void count_operation(uint32_t vcpu) {
    ++counters[vcpu].operations;
    mark(vcpu, TraceMark::kOperation);
  }

  void record_ack(uint32_t sender, Nanos took) {
    ++acks[ack_bucket(static_cast<uint64_t>(took.count()))];
    ++counters[sender].ipis_acked;
  }

  // What the vCPU publishes of itself, as guest/runtime/sync.h does.
  void waits_for(uint32_t vcpu, GuestWait wait, uint64_t name = 0, uint64_t place = 0) {
    GuestPage::store(pages[vcpu].place, place);
    GuestPage::store(pages[vcpu].waits, static_cast<uint64_t>(wait) | name << 8);
  }
  void waits_no_more(uint32_t vcpu) { GuestPage::store(pages[vcpu].waits, 0); }
  bool is_told(uint32_t vcpu, uint64_t what) const {
    return (GuestPage::load(pages[vcpu].told) & what) != 0;
  }

  uint32_t running = 0;  // vCPUs on a worker; kept by the simulator
  Bits spinning;         // executes its wait right now; kept by the simulator
  std::vector<Counters> counters;
  std::unique_ptr<GuestPage[]> pages;
  std::array<uint64_t, kAckBuckets> acks{};
};

class Program {
 public:
  virtual ~Program() = default;

  // This vCPU starts, or its last action is done: what next?
  virtual Action next(uint32_t vcpu, Nanos now) = 0;
  // A spinning vCPU looks at what it waits for, when the wait begins, when the vCPU comes back to it, and
  // when look() was called. True: the wait is over; a lock it was for is taken then.
  virtual bool poll(uint32_t, Nanos) { return true; }
  // Is there still nothing in this vCPU's inbox?
  virtual bool sleeps(uint32_t) { return false; }
  // Is the owner of the lock that it waits for off its CPU, as the host tells? Then the wait is in vain.
  virtual bool waits_in_vain(uint32_t) const { return false; }

  // The interrupt stub of this vCPU counts an interrupt.
  virtual void handled(uint32_t, Nanos) {}
  // Work in the handler, outside the stub, once for any number of interrupts counted so far: 0 for none.
  Nanos handler_work{};
  virtual void handler_begins(uint32_t) {}
  virtual void handler_ends(uint32_t, Nanos) {}
  // Was an interrupt counted after the handler's work began?
  virtual bool handler_wanted(uint32_t) { return false; }

  IrqVector vector{0x40};  // of all IPIs in this VM
};

enum class GuestKind : uint8_t { kLock, kIpi, kMixed, kCompute, kPingpong, kAbuse };
enum class LockKind : uint8_t { kTtas, kTicket, kMcs, kPv };
enum class AbuseKind : uint8_t { kBell, kIpiOne, kIpiAll, kTimer, kHalt, kCpuid };  // guest/abuse_kinds.h

// The parameters of guest/abi.h's struct kvmux_workload, with the same meaning.
struct Workload {
  Nanos think{50'000};
  Nanos hold{20'000};
  LockKind lock = LockKind::kTtas;
  uint32_t locks = 1;
  uint32_t fanout = 1;
  uint32_t senders = 0;
  uint32_t stages = 4;
  uint32_t batch = 16;
  AbuseKind abuse = AbuseKind::kBell;
};

// `port` must outlive the program.
std::unique_ptr<Program> make_program(GuestKind kind, const Workload& workload, uint32_t vcpus, uint64_t seed,
                                      Port& port);

}  // namespace sched::sim
