// --trace-stream: what a run records goes to the file while it runs, so that its length is not bounded by the
// rings.
//
// A thread of its own takes what is new in each ring and writes it as a piece of the section; it sleeps
// between, the shorter the faster the rings fill. Nobody waits for it: a ring that it does not reach in time
// loses its oldest events, which are counted, piece by piece. A run that is one thread itself (the simulator)
// writes when its ring is full, and loses nothing.
//
// One thread starts and finishes it. What it gives up is what writers give up (vmm/sandbox/).
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "vmm/trace/recorder.h"
#include "vmm/trace/trace_file.h"

namespace vmm {

class TraceStream {
 public:
  enum class By : uint8_t { kThread, kRecording };  // who writes

  // Before the run. Recorder and file outlive it. `description`: what is known of the run by now.
  [[nodiscard]] static Result<std::unique_ptr<TraceStream>> start(TraceRecorder& recorder, TraceFile& file,
                                                                  const Trace& description, By by);
  ~TraceStream();
  TraceStream(const TraceStream&) = delete;
  TraceStream& operator=(const TraceStream&) = delete;

  // After the run: the rest, and all that is known now; what was lost is added here. The first error of all
  // that was written.
  [[nodiscard]] Result<void> finish(Trace description);

 private:
  TraceStream(TraceRecorder& recorder, TraceFile& file) : recorder_(recorder), file_(file) {}
  Result<void> start_thread();
  void loop();
  double write_new();

  TraceRecorder& recorder_;
  TraceFile& file_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  // The writer's, until it has been joined.
  std::optional<Error> error_;
  uint64_t lost_ = 0;
  int64_t complete_from_ = INT64_MIN;
  std::vector<bool> gap_;  // by ring: events are missing before its next one
};

}  // namespace vmm
