// A virtual CPU of a model guest: what it executes, on up to three layers, and its interrupt state.
//
//   stub    an interrupt handler's stub at CPL 0, interrupts off: counts, writes EOI, returns
//   work    the handler's work outside the stub, like a signal handler
//   base    the program's current action: work, wait, IPI or halt
//
// The topmost layer executes. The simulator moves time: enter() → run(time) … → leave(), and calls advance()
// whenever left() has come down to zero. Belongs to the simulator, no thread safety.
#pragma once

#include <optional>

#include "sched/base/types.h"
#include "sched/sim/program.h"

namespace sched::sim {

// Why a vCPU leaves the guest.
enum class Exit : uint8_t {
  kSpin,    // rang the bell: busy-waiting for a whole window
  kIpi,     // wrote the ICR
  kArm,     // set its timer
  kEoi,     // wrote the EOI register
  kHalt,    // HLT
  kWindow,  // can take the interrupt now for which the VMM waited
  kKick,    // a signal from another worker
  kTimer,   // the worker's own tick
};

// How long things take inside this guest.
struct GuestTiming {
  Nanos stub{};             // each half of an interrupt stub, at CPL 0
  Nanos stub_back{};        // on top of the second half: the way back to CPL 3
  Nanos trap{};             // each way between CPL 3 and 0 for a HLT
  Nanos window = kForever;  // busy-waiting until the bell rings; kForever: there is none
  int64_t slowdown = 1;     // of all other code
  bool kernel = false;      // the program runs at CPL 0
  bool told = false;        // how many of the VM's vCPUs run
};

class ModelVcpu {
 public:
  ModelVcpu(uint32_t index, Program& program, Port& port, const GuestTiming& timing)
      : index_(index), program_(program), port_(port), timing_(timing) {}

  uint32_t index() const { return index_; }

  // --- inside the guest ---
  void enter(Nanos now);
  void leave();
  // The topmost layer executes for this long, at most left().
  void run(Nanos elapsed);
  // Until the topmost layer needs advance(); kForever: it waits for others.
  Nanos left() const;
  // Goes from layer to layer and from action to action while that takes no time; the exit, if it comes to
  // one.
  std::optional<Exit> advance(Nanos now);
  // Something it waits for may have changed. True if it is executing its wait and the wait is over.
  bool look(Nanos now);
  bool spinning() const { return top() == Layer::kBase && base_ == Base::kSpin; }
  bool in_kernel() const {
    return timing_.kernel || top() == Layer::kStub || (top() == Layer::kBase && base_ == Base::kTrap);
  }

  // --- on the VMM's side, between leave() and enter() ---
  // The IPI of an Exit::kIpi is on its way: its receiver.
  uint32_t take_receiver();
  // What the bell of an Exit::kSpin says.
  Wait wait() const { return wait_; }
  void end_of_interrupt();
  // Goes on behind the HLT if it stands there.
  void wake();
  // The interrupt is in IRR; posting it again before it is taken changes nothing.
  void post() { requested_ = true; }
  bool has_interrupt() const { return requested_; }
  // Before each entry. True: an interrupt goes in. Pending but not to be taken yet: asks for the window.
  bool inject();

 private:
  enum class Layer : uint8_t { kStub, kWork, kBase };
  enum class Stub : uint8_t { kNone, kInjected, kHead, kTail };
  enum class Base : uint8_t {
    kReady,  // the action is done
    kWork,
    kSpin,
    kSend,
    kRing,
    kArm,
    kIdle,
    kTrap,  // on its way to HLT, interrupts off
    kHalted,
    kBack,  // from HLT
  };

  Layer top() const {
    if (stub_ != Stub::kNone) return Layer::kStub;
    return in_work_ ? Layer::kWork : Layer::kBase;
  }
  Nanos& layer_left() {
    if (stub_ != Stub::kNone) return stub_left_;
    if (in_work_) return work_left_;
    return base_ == Base::kSpin ? window_left_ : base_left_;
  }
  std::optional<Exit> finish_stub();
  void finish_work(Nanos now);
  std::optional<Exit> finish_base(Nanos now);
  void begin_action(Nanos now);
  void begin_halt();
  void begin_work();
  // The wait is on top: looks at it, and is listed among those who look all the time if it goes on.
  void watch(Nanos now);
  void end_wait();
  void start_window();

  const uint32_t index_;
  Program& program_;
  Port& port_;
  const GuestTiming& timing_;

  Action action_{};
  Base base_ = Base::kReady;
  Stub stub_ = Stub::kNone;
  bool in_work_ = false;
  bool requested_ = false;   // IRR
  bool in_service_ = false;  // ISR
  bool wants_window_ = false;
  Nanos base_left_{};
  Nanos window_left_{};  // of the current wait, until the bell rings
  Wait wait_{};          // what the last bell of the wait said; kUnknown: none so far
  Nanos work_left_{};
  Nanos stub_left_{};
};

}  // namespace sched::sim
