// A Linux guest of a run: a PC (vmm/platform/pc_vm.h), the host's side of its agent's protocol on COM2, and
// its console on COM1, which is read for trouble and kept for whoever asks why it failed.
//
// The thread that drives the engine, which serves the board as well. The board's outlets are called by any
// lease holder: what they bring waits behind a lock until that thread comes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sched/base/mutex.h"
#include "vmm/linux/console_watch.h"
#include "vmm/linux/session.h"
#include "vmm/platform/pc_vm.h"
#include "vmm/platform/wakeup.h"
#include "vmm/run/pc_guests.h"

namespace vmm {

// What both serial ports bring.
class LinuxInbox {
 public:
  // Rings where the serving thread has something to look at. `wakeup` outlives it.
  explicit LinuxInbox(Wakeup& wakeup) : wakeup_(wakeup) {}
  [[nodiscard]] Outlets outlets();

  // The serving thread.
  [[nodiscard]] std::vector<uint8_t> take();
  [[nodiscard]] std::vector<std::string> findings() const;
  [[nodiscard]] std::vector<std::string> last_lines() const;

 private:
  Wakeup& wakeup_;
  mutable sched::Mutex mutex_;
  std::vector<uint8_t> from_agent_ SCHED_GUARDED_BY(mutex_);
  linux_guest::ConsoleWatch console_ SCHED_GUARDED_BY(mutex_);
};

class LinuxVm final : public RunVm {
 public:
  // `inbox`'s outlets are the PC's.
  LinuxVm(std::unique_ptr<LinuxInbox> inbox, PcVm pc, const RunSpec& run, const VmSpec& spec);

  [[nodiscard]] Vm& vm() const override { return *pc_.vm; }
  [[nodiscard]] RunningVm running() const override { return pc_.running(); }
  [[nodiscard]] std::optional<GuestReport> report() const override;
  [[nodiscard]] std::optional<LinuxResult> outcome() const override;
  [[nodiscard]] std::string complaint() const override;

  // Runs the board's timers and carries bytes to and fro. True: something has changed that who drives the run
  // asks for.
  bool serve(Nanos now);
  [[nodiscard]] std::optional<Nanos> next_deadline() { return pc_.board->next_deadline(); }

  [[nodiscard]] PcGuests::Standing standing() const;
  [[nodiscard]] std::string why_not_ready(Nanos limit) const;
  [[nodiscard]] std::vector<std::string> last_lines() const { return inbox_->last_lines(); }
  void go() { session_.go(); }
  void ask() { asked_ = session_.ask_counters(); }
  // It has answered the last question, or never will.
  [[nodiscard]] bool answered() const;

 private:
  // Everything that serve() tells the change of.
  struct Seen {
    PcGuests::Standing standing = PcGuests::Standing::kBooting;
    bool answered = false;
    bool ended = false;
    bool operator==(const Seen&) const = default;
  };
  [[nodiscard]] std::string trouble() const;

  const bool findings_fail_;
  std::unique_ptr<LinuxInbox> inbox_;  // outlives the board, whose outlets lead there
  PcVm pc_;
  linux_guest::Session session_;
  std::vector<uint8_t> to_agent_;  // what the board has had no room for yet
  std::optional<uint64_t> asked_;
  std::optional<Nanos> began_;  // first served
  std::optional<Nanos> ready_at_;
  Seen seen_;
};

}  // namespace vmm
