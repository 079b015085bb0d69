// --trace of run, compare, sweep and boot: the file, opened before the sandbox closes, and the recorder of
// the run that goes on. Main thread, one run at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/platform/boot.h"
#include "vmm/run/run.h"
#include "vmm/trace/recorder.h"
#include "vmm/trace/stream.h"
#include "vmm/trace/trace_file.h"

namespace CLI {
class App;
}

namespace vmm {

struct TraceFlags {
  std::string file;
  std::string events = "1000000";
  bool stream = false;
};
void add_trace_flags(CLI::App& app, TraceFlags& flags, const std::string& group = "");

struct Services;
class RunTracer;

// Runs it; with a tracer (else null) it is traced, and its section is written.
[[nodiscard]] Result<RunResult> traced_run(const RunSpec& spec, RunTracer* tracer, const std::string& title,
                                           Services& services);

class RunTracer {
 public:
  // Null if no trace is asked for. To be called once all other flags are found good: it empties the file.
  [[nodiscard]] static Result<std::unique_ptr<RunTracer>> open(const TraceFlags& flags,
                                                               const std::vector<std::string>& command_line);

  // A run begins: where it says what it does.
  [[nodiscard]] Result<TraceRecorder*> begin(const RunSpec& spec);
  [[nodiscard]] Result<TraceRecorder*> begin(const BootSpec& spec);
  // For what watches the run: writes a section of what there is of this time, and says where. Until end(), by one
  // thread at a time that is not the main thread's caller of end().
  [[nodiscard]] std::function<std::string(const std::string& title, Nanos from, Nanos to)> keeper();
  // It has failed: its section ends with what there is of it.
  void give_up();
  // It has ended: its section is written. `title`: which of the command's runs; empty: the only one.
  [[nodiscard]] Result<void> end(const RunSpec& spec, const RunResult& result, const std::string& title);
  [[nodiscard]] Result<void> end(const BootSpec& spec, const BootResult& result);

 private:
  RunTracer(TraceFile file, std::string path, size_t events, bool streams, std::string command)
      : file_(std::move(file)),
        path_(std::move(path)),
        events_(events),
        streams_(streams),
        command_(std::move(command)) {}
  // about_ is known.
  [[nodiscard]] Result<TraceRecorder*> begin(uint32_t threads, size_t events);
  [[nodiscard]] Result<void> add(Trace trace);
  std::string keep(const std::string& title, Nanos from, Nanos to);

  TraceFile file_;
  std::string path_;
  size_t events_;
  bool streams_;
  std::string command_;
  std::optional<TraceRecorder> recorder_;
  std::unique_ptr<TraceStream> stream_;  // of this run; it goes before the recorder
  Trace about_;                          // the run that goes on, as far as it is known before its end
  size_t sections_ = 0;                  // in the file
};

}  // namespace vmm
