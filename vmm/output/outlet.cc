#include "vmm/output/outlet.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "vmm/last_words.h"
#include "vmm/run/retry.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/signal_stack.h"
#include "vmm/thread_signals.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

// What a pipe takes whole: a longer write() would not tell how much of it has gone while it waits.
constexpr size_t kPiece = 4096;
// Bytes that come one by one are gathered this long behind the first.
constexpr auto kPace = 1ms;
constexpr auto kAsk = 5ms;  // give_up()
constexpr auto kFlush = 100ms;

// 0 or an errno; `written` tells how much has gone.
int write_some(int fd, std::string_view bytes, size_t& written) {
  constexpr int kTries = 16;
  constexpr int kFull = 1000;  // times that it was called writable and was not
  for (int failures = 0, full = 0;;) {
    const ssize_t got = ::write(fd, bytes.data(), bytes.size());
    if (got > 0) {
      written = static_cast<size_t>(got);
      return 0;
    }
    if (got == 0) return EIO;  // no descriptor that we know does this
    const int error = errno;
    if (error != EAGAIN) {
      if (!passes(error) || ++failures == kTries) return error;
      continue;
    }
    // Somebody made it non-blocking, and it is theirs as well.
    if (++full > 1) std::this_thread::sleep_for(1ms);
    if (full > kFull) return error;
    pollfd wait{fd, POLLOUT, 0};
    const int polled = retried([&] { return ::poll(&wait, 1, -1); });
    if (polled != 0 && polled != EINTR) return polled;
  }
}

// An unconfined writer would be a hole, and nobody could be told of it by a writer.
void enter_sandbox_or_end() {
  const auto entered = sandbox::enter_sandbox(sandbox::ThreadKind::kWriter);
  if (entered) return;
  last_words("kvmux: " + entered.error().text() + "\n");
  ::_exit(exit_status(ErrorKind::kHost));
}

}  // namespace

struct Outlet::State {
  State(int descriptor, Owns owns) : fd(descriptor), owned(owns == Owns::kYes) {}
  ~State() {
    if (owned) ::close(fd);
  }

  const int fd;
  bool owned;  // closed with the last user, or by finish()
  std::mutex mutex;
  std::condition_variable work;   // for the writer
  std::condition_variable moved;  // for those who wait for it
  std::string queue;
  size_t in_hand = 0;  // taken from the queue by the writer, not yet written
  uint64_t written = 0;
  uint64_t written_at_stall = 0;
  bool stalled = false;  // a flush was in vain
  bool idle = false;     // the writer waits for work
  bool hurried = false;  // somebody waits: no gathering
  bool closing = false;
  bool held = false;
  bool confined = false;  // the writer is in its sandbox
  bool threadless = false;
  int error = 0;
  size_t lost = 0;
  size_t most = 0;  // cap(); 0: none
  uint64_t dropped = 0;
  uint64_t dropped_unsaid = 0;
  size_t ready_below = 0;  // somebody waits for so little; 0: nobody
  std::function<void()> on_ready;

  size_t waiting() const { return queue.size() + in_hand; }
  bool has_work() const { return !queue.empty() && (!held || closing); }

  // False: there is no room for it.
  bool admits(size_t bytes) {
    if (most == 0) return true;
    const bool has_room = dropped_unsaid > 0 ? waiting() <= most / 2 : waiting() + bytes <= most;
    if (!has_room) {
      dropped += bytes;
      dropped_unsaid += bytes;
      return false;
    }
    if (const uint64_t count = std::exchange(dropped_unsaid, 0); count > 0) {
      queue += "\nkvmux: " + std::to_string(count) + " bytes are missing here: nobody read them in time\n";
    }
    return true;
  }

  void fail(int why) {
    if (error == 0) error = why;
    lost += waiting();
    queue.clear();
    in_hand = 0;
  }

  void tell() {
    moved.notify_all();
    if (ready_below == 0 || waiting() >= ready_below) return;
    ready_below = 0;
    if (on_ready) on_ready();
  }

  // Writes what is in hand; the lock is let go of around each write().
  void write_out(const std::string& bytes, std::unique_lock<std::mutex>& lock) {
    for (size_t done = 0; done < bytes.size() && error == 0;) {
      lock.unlock();
      size_t gone = 0;
      const int why = write_some(fd, std::string_view(bytes).substr(done, kPiece), gone);
      lock.lock();
      if (why != 0) {
        fail(why);
      } else {
        done += gone;
        in_hand -= gone;
        written += gone;
      }
      tell();
    }
  }

  // For good, once the process has confined itself, which may be later than the writer's start.
  void confine_writer(std::unique_lock<std::mutex>& lock) {
    if (confined || !sandbox::is_confined()) return;
    lock.unlock();
    use_signal_stack();
    enter_sandbox_or_end();
    lock.lock();
    confined = true;
  }

  void run() {
    ::pthread_setname_np(::pthread_self(), "kvmux-writer");
    std::unique_lock lock(mutex);
    while (true) {
      confine_writer(lock);
      idle = true;
      work.wait(lock, [&] { return has_work() || closing || (!confined && sandbox::is_confined()); });
      idle = false;
      if (!confined && sandbox::is_confined()) continue;
      if (queue.empty()) return;  // closing
      std::string bytes;
      bytes.swap(queue);
      in_hand = bytes.size();
      write_out(bytes, lock);
      work.wait_for(lock, kPace, [&] { return hurried || closing || queue.size() >= kPiece; });
    }
  }
};

Outlet::Outlet(int fd, Owns owns) : state_(std::make_shared<State>(fd, owns)) {
  const ThreadsWithoutSignals begins;
  try {
    std::thread([state = state_] { state->run(); }).detach();
  } catch (const std::system_error&) {
    state_->threadless = true;  // then put() writes, and waits for its reader
  }
}

Outlet::~Outlet() {
  const std::lock_guard lock(state_->mutex);
  state_->closing = true;
  state_->on_ready = nullptr;
  state_->work.notify_all();
}

void Outlet::put(std::string_view bytes) {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  if (s.error != 0) {
    s.lost += bytes.size();
    return;
  }
  if (s.threadless) {
    s.in_hand += bytes.size();
    return s.write_out(std::string(bytes), lock);
  }
  if (!s.admits(bytes.size())) return;
  s.queue += bytes;
  if (s.idle || (s.queue.size() >= kPiece && s.queue.size() - bytes.size() < kPiece)) s.work.notify_one();
}

void Outlet::confine() {
  const std::lock_guard lock(state_->mutex);
  state_->work.notify_all();
}

void Outlet::cap(size_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->most = bytes;
}

uint64_t Outlet::dropped() const {
  const std::lock_guard lock(state_->mutex);
  return state_->dropped;
}

bool Outlet::ready(size_t limit) {
  const std::lock_guard lock(state_->mutex);
  if (state_->waiting() < limit) return true;
  state_->ready_below = limit / 2 + 1;
  return false;
}

void Outlet::when_ready(std::function<void()> call) {
  const std::lock_guard lock(state_->mutex);
  state_->on_ready = std::move(call);
}

bool Outlet::drain(const std::function<bool()>& give_up) {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  s.hurried = true;
  s.work.notify_one();
  while (s.waiting() > 0 && !s.held) {
    lock.unlock();
    const bool enough = give_up();
    lock.lock();
    if (enough && s.waiting() > 0) break;
    s.moved.wait_for(lock, kAsk, [&] { return s.waiting() == 0; });
  }
  s.hurried = false;
  return s.waiting() == 0;
}

void Outlet::flush() {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->held || (state_->stalled && state_->written == state_->written_at_stall)) return;
    state_->stalled = false;
  }
  const auto until = std::chrono::steady_clock::now() + kFlush;
  if (drain([until] { return std::chrono::steady_clock::now() >= until; })) return;
  const std::lock_guard lock(state_->mutex);
  state_->stalled = true;
  state_->written_at_stall = state_->written;
}

void Outlet::hold() {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  s.held = true;
  s.moved.wait_for(lock, kFlush, [&] { return s.in_hand == 0; });
}

void Outlet::release() {
  const std::lock_guard lock(state_->mutex);
  state_->held = false;
  state_->work.notify_all();
}

Result<void> Outlet::finish(const std::string& what) {
  const std::lock_guard lock(state_->mutex);
  if (state_->error != 0) return host_error(what, state_->error, "cannot write it");
  if (state_->waiting() > 0) {
    return host_error(
        what, 0,
        "its reader does not read: " + std::to_string(state_->waiting()) + " bytes were not written");
  }
  // Some file systems tell only now that there was no room.
  const bool close_now = std::exchange(state_->owned, false);
  if (close_now && ::close(state_->fd) != 0 && errno != EINTR) {
    return host_error(what, errno, "cannot write it");
  }
  return {};
}

int Outlet::error() const {
  const std::lock_guard lock(state_->mutex);
  return state_->error;
}

size_t Outlet::lost() const {
  const std::lock_guard lock(state_->mutex);
  return state_->lost;
}

size_t Outlet::waiting() const {
  const std::lock_guard lock(state_->mutex);
  return state_->waiting();
}

}  // namespace vmm
