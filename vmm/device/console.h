// The guests' console lines: bytes come in per vCPU, whole lines go out, each with its prefix "vm0/vcpu1| "
// and each by one call of the sink, so lines of different vCPUs and VMs never mix. Control characters other
// than tab are shown as '.', so that no guest can drive the user's terminal.
//
// Any thread. The sink is called with the console's lock held: one line at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "sched/base/mutex.h"
#include "vmm/ids.h"

namespace vmm {

// With a dot for each byte that could move a terminal's cursor or change its state.
[[nodiscard]] std::string printable(std::string_view text);

class Console {
 public:
  using Sink = std::function<void(std::string_view line)>;
  // A longer line goes out in pieces of this size.
  static constexpr size_t kMaxLine = 1024;

  // `sink` gets finished lines, newline included.
  explicit Console(Sink sink) : sink_(std::move(sink)) {}

  // Some bytes of a stream, as a serial port delivers them.
  void put(VmId vm, VcpuIndex vcpu, std::string_view bytes);
  // One message: ends the line that the vCPU may have begun.
  void line(VmId vm, VcpuIndex vcpu, std::string_view text);
  // Unfinished lines of one VM go out as they are and are forgotten: when the VM ends.
  void finish(VmId vm);

 private:
  using Key = std::pair<VmId, VcpuIndex>;
  void add(const Key& key, std::string& pending, std::string_view bytes) SCHED_REQUIRES(mutex_);
  void emit(const Key& key, std::string& pending) SCHED_REQUIRES(mutex_);

  sched::Mutex mutex_;
  Sink sink_ SCHED_GUARDED_BY(mutex_);
  std::map<Key, std::string> pending_ SCHED_GUARDED_BY(mutex_);
};

// A sink that writes each line to `fd` by one write(), restarting after signals; for stdout.
[[nodiscard]] Console::Sink write_lines_to(int fd);

}  // namespace vmm
