#include "vmm/trace/stream.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "vmm/sandbox/sandbox.h"
#include "vmm/thread_signals.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds kShortest = 500us;  // sleep
constexpr std::chrono::nanoseconds kLongest = 50ms;
constexpr double kWanted = 0.2;  // of a ring, when it is looked at

}  // namespace

Result<std::unique_ptr<TraceStream>> TraceStream::start(TraceRecorder& recorder, TraceFile& file,
                                                        const Trace& description, By by) {
  auto stream = std::unique_ptr<TraceStream>(new TraceStream(recorder, file));
  if (auto begun = file.begin(description); !begun) return Failure(begun.error());
  if (by == By::kRecording) {
    recorder.when_full([stream = stream.get()] { stream->write_new(); });
    return stream;
  }
  if (auto started = stream->start_thread(); !started) return Failure(started.error());
  return stream;
}

Result<void> TraceStream::start_thread() {
  const ThreadsWithoutSignals begins;
  try {
    thread_ = std::thread([this] { loop(); });
  } catch (const std::system_error& error) {
    return host_error("pthread_create", error.code().value(),
                      "--trace-stream writes by a thread of its own");
  }
  return {};
}

TraceStream::~TraceStream() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void TraceStream::loop() {
  if (const auto entered = sandbox::enter_sandbox(sandbox::ThreadKind::kWriter); !entered) {
    error_ = entered.error();
    return;
  }
  std::chrono::nanoseconds pause = kShortest;
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    const double fullest = write_new();
    lock.lock();
    if (error_) return;  // the rest is in vain; finish() says so
    const double change = std::clamp(kWanted / std::max(fullest, 1e-3), 0.25, 2.0);
    pause = std::clamp(
        std::chrono::nanoseconds(static_cast<int64_t>(static_cast<double>(pause.count()) * change)),
        kShortest, kLongest);
    wake_.wait_for(lock, pause, [this] { return stop_; });
  }
}

// How full the fullest ring was.
double TraceStream::write_new() {
  return recorder_.drain([this](uint32_t ring, uint64_t lost, std::span<const sched::TraceEvent> events) {
    lost_ += lost;
    gap_.resize(std::max<size_t>(gap_.size(), ring + 1));
    gap_[ring] = gap_[ring] || lost > 0;
    if (gap_[ring] && !events.empty()) {
      // A thread's events are nearly, but not always, in order of time.
      complete_from_ = std::max(complete_from_, events.front().at);
      gap_[ring] = false;
    }
    if (error_) return;
    if (auto written = file_.add_piece(ring, lost, events); !written) error_ = written.error();
  });
}

Result<void> TraceStream::finish(Trace description) {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  recorder_.when_full(nullptr);
  if (!error_) write_new();
  if (error_) return Failure(*error_);
  description.lost = lost_;
  description.complete_from = complete_from_;
  return file_.end(description);
}

}  // namespace vmm
