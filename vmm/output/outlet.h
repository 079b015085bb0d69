// A descriptor that is written by a thread of its own: whoever has something to write hands it over and goes
// on, whatever the reader does. Bytes keep their order.
//
// Any thread, all calls; only drain() and flush() wait, and both with a bound. The writer blocks every
// signal, so that write() ends when the reader reads, when the descriptor fails, or with the process.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "vmm/result.h"
#include "vmm/run/clock.h"

namespace vmm {

class Outlet {
 public:
  enum class Owns : bool { kNo, kYes };  // closes the descriptor

  explicit Outlet(int fd, Owns owns = Owns::kNo);
  // A writer that hangs in write() keeps what it needs.
  ~Outlet();
  Outlet(const Outlet&) = delete;
  Outlet& operator=(const Outlet&) = delete;

  // The process has confined itself: the writer does so too, before it writes again.
  void confine();

  // Takes all of it.
  void put(std::string_view bytes);
  // From now on put() holds no more than this; what does not fit is dropped until half of it is free, and
  // counted in its place. For who must neither wait nor grow: messages.
  void cap(size_t bytes);
  [[nodiscard]] uint64_t dropped() const;  // so far
  // Fewer bytes than `limit` are waiting. False: the function of when_ready() is called once that has changed
  // well enough (half of it).
  [[nodiscard]] bool ready(size_t limit);
  // `call` runs on the writer with the outlet locked: it must not wait and not call back. Null: nobody any
  // more; no call is under way when this returns.
  void when_ready(std::function<void()> call);

  // Waits until nothing is waiting, or what is left cannot be written: true. False: `give_up` said so.
  // `give_up` is asked every few milliseconds.
  bool drain(const std::function<bool()>& give_up);
  // A drain() of at most a moment, and of none where the last one was in vain and nothing has moved since: to
  // keep the order with other outlets while readers read.
  void flush();
  // Nothing is written until release(): the terminal shows something else. What comes meanwhile is kept as
  // while a reader does not read, but nobody waits for it. Waits a moment for what is being written.
  void hold();
  void release();
  // After drain(): closes an owned descriptor. The first error of writing or closing.
  [[nodiscard]] Result<void> finish(const std::string& what);

  [[nodiscard]] int error() const;    // the errno that ended it; 0: none
  [[nodiscard]] size_t lost() const;  // bytes given after that, or not written when it came
  [[nodiscard]] size_t waiting() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // the writer's as well
};

}  // namespace vmm
