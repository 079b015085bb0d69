// All that a dump says of a machine, gathered: by the watcher what can be seen while vCPUs run, by the thread
// that drives the engine, in a short pause, what only the holder of a vCPU may touch. Plain data.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apic/lapic.h"
#include "sched/workers/look.h"
#include "vmm/run/engine.h"
#include "vmm/run/sleep_state.h"
#include "vmm/watch/judge.h"

namespace vmm::watch {

// Of a vCPU, while the engine is paused.
struct Registers {
  uint64_t rip = 0;
  unsigned cpl = 0;
  bool interrupts = false;  // RFLAGS.IF
  std::string symbol;       // "spin_until+0x1c"; empty: the image has none there
  SleepState sleep;
  std::optional<apic::Lapic::Summary> lapic;  // of LAPICs of ours
  std::optional<Nanos> timer_in;              // until its LAPIC timer is due
};

struct Dossier {
  Nanos since_start{};
  MachineView view;
  bool has_own_queues = false;
  std::vector<ThreadHost> threads;                                 // by worker
  std::vector<std::optional<sched::QueueLook>> queues;             // by worker; nothing: its lock was held
  std::vector<std::vector<sched::StateHistory::Entry>> histories;  // by VcpuId
  std::vector<Registers> registers;                                // by VcpuId; empty: `why_no_registers`
  std::string why_no_registers;
  std::vector<std::pair<sched::VcpuId, sched::VcpuId>> awaited;  // who waits for whose acknowledgement
};

// Finds the name of a guest's address.
using Symbolize = std::function<std::string(VmId, uint64_t)>;

// The watcher's part.
void look_on(const Engine& engine, Dossier& dossier);
// The driver's part; the engine is paused.
void look_inside(const Engine& engine, const Symbolize& symbolize, Nanos now, Dossier& dossier);

}  // namespace vmm::watch
