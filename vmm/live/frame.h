// What the live view shows at one moment: all that is drawn, and nothing else. Made of two looks at a run
// (frame.cc), drawn by draw.h. Plain data, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sched/base/status.h"
#include "vmm/live/sample.h"

namespace vmm {

struct LiveWorker {
  double load = 0;                       // share of its time with vCPUs
  std::string runs = {};                 // "0.2": VM and vCPU; empty: none
  std::string doing = {};                // where it runs none: "sleeps", …
  std::optional<uint32_t> waiting = {};  // vCPUs on its queue besides
};

// Of a vCPU's time, lately. Their sum is at most 1.
struct LiveShares {
  double run = 0;  // on a worker, not busy-waiting
  double spin = 0;
  double wait = 0;
  double halt = 0;
};

struct LiveVcpu {
  std::string name = {};   // "0.2"
  std::string state = {};  // "on w1", "waits", …
  LiveShares shares;
  std::optional<Nanos> ipi_p99 = {};  // send → acknowledge; nothing: none were sent, or nobody measures
  double switches = 0;                // onto a worker, a second
};

// Events a second of the whole machine.
struct LiveRates {
  double yields = 0;
  double hits = 0;
  double misses = 0;
  double harmful = 0;
  double pulls = 0;
  double steals = 0;
  double balances = 0;
  double kicks = 0;
  double switches = 0;
  double exits = 0;
  std::optional<double> operations = {};  // where guests count them
};

struct LiveFeature {
  char key = 0;
  std::string name = {};
  std::string word = {};  // in force: "on", "off", "v2", or "mixed" where VMs differ
  bool is_on = false;     // it does something
};

// A policy of the comparison's cell that is shown, by what has been measured so far.
struct LiveRow {
  std::string policy = {};
  uint64_t runs = 0;
  std::string throughput = {};
  std::string ratio = {};
  std::string interval = {};
  std::string verdict = {};
};

struct LiveComparison {
  std::string title = {};  // of the cell
  size_t cell = 0;
  size_t cells = 0;
  std::vector<LiveRow> rows = {};
};

struct LiveFrame {
  std::string title = {};  // what runs
  std::string clock = {};  // how far it is
  std::vector<LiveWorker> workers = {};
  std::vector<LiveVcpu> vcpus = {};
  std::optional<LiveRates> rates = {};  // nothing: nothing runs
  std::optional<LiveComparison> comparison = {};
  std::vector<std::string> console = {};  // the guest's last lines
  bool has_console = false;
  std::vector<LiveFeature> features = {};
  std::string message = {};
  std::string help = {};
};

// What happened between two looks at the same run, `from` before `to`, into the frame's workers, vCPUs and
// rates.
void show_between(const LiveSample& from, const LiveSample& to, LiveFrame& frame);

}  // namespace vmm
