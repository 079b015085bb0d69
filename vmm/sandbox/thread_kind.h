// The kinds of thread that a process of kvmux has, by what they are allowed to ask of the kernel. Plain data,
// any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace vmm::sandbox {

enum class ThreadKind : uint8_t {
  kMain,        // parses, creates VMs and threads, measures, writes results; never handles an exit
  kWorker,      // runs vCPUs and handles their exits: a worker of ours
  kHostThread,  // … or the thread of one vCPU that the host schedules
  kDevice,      // serves a booted image's board: its timers, what is typed; creates nothing any more
  kWriter,      // writes what an outlet holds to its descriptor (vmm/output)
  kLoader,      // parses an image of somebody else
  kWatch,  // looks on (vmm/watch): reads what the host says of the other threads, from files that are open
  kView,   // draws what goes on, and reads the keys that it is asked with (vmm/live)
};
inline constexpr std::array kThreadKinds{ThreadKind::kMain,   ThreadKind::kWorker, ThreadKind::kHostThread,
                                         ThreadKind::kDevice, ThreadKind::kWriter, ThreadKind::kLoader,
                                         ThreadKind::kWatch,  ThreadKind::kView};

constexpr std::string_view name_of(ThreadKind kind) {
  constexpr std::array<std::string_view, kThreadKinds.size()> kNames{
      "main", "worker", "vCPU thread", "device", "writer", "loader", "watcher", "view"};
  return kNames[static_cast<size_t>(kind)];
}

// A set of kinds, as the policy's table writes it.
using Kinds = uint8_t;
constexpr Kinds only(ThreadKind kind) { return static_cast<Kinds>(1u << static_cast<unsigned>(kind)); }
constexpr bool holds(Kinds kinds, ThreadKind kind) { return (kinds & only(kind)) != 0; }

}  // namespace vmm::sandbox
