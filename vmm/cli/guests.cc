#include "vmm/cli/guests.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sched/base/text.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 4> kLockWords{"ttas", "ticket", "mcs", "pv"};
constexpr Nanos kMaxWork = 10s;
constexpr uint64_t kThinkFanoutAllNs = 500'000;

constexpr kvmux_workload workload(uint64_t think_us, uint64_t hold_us) {
  kvmux_workload w{};
  w.think_ns = think_us * 1000;
  w.hold_ns = hold_us * 1000;
  w.lock_kind = KVMUX_LOCK_TTAS;
  w.lock_count = 1;
  w.fanout = 1;
  w.stages = 4;
  w.batch = 16;
  return w;
}

// Think and hold times as measured to tell policies apart: a critical section of at least 5 µs and 15 % of
// the cycle (docs/statistics.md).
constexpr std::array kGuests{
    GuestInfo{"lock", "think, take one of the locks, hold it, release it", "dbench", 1, workload(50, 20),
              "lock,locks,think,hold"},
    GuestInfo{"ipi", "think, send an IPI to some vCPUs, spin until all acknowledged: a TLB shootdown",
              "PARSEC dedup", 2, workload(200, 0), "think,hold,fanout,senders"},
    GuestInfo{"mixed", "a pipeline over spin-locked queues, with barriers and wake-up IPIs", "PARSEC vips", 1,
              workload(20, 10), "lock,think,hold,stages,batch"},
    GuestInfo{"compute", "works and never synchronises", "", 1, workload(50, 0), "think"},
    GuestInfo{"pingpong", "pairs of vCPUs wake each other by IPI out of HLT", "", 2, workload(10, 0),
              "think"},
    GuestInfo{"abuse",
              "one costly act in a tight loop; --guest-args bell, ipi-one, ipi-all, timer, halt or cpuid", "",
              1, workload(0, 0), ""},
};

template <auto Member, int64_t kMin, int64_t kMax>
Result<void> set_count(WorkloadFlags& flags, std::string_view flag, std::string_view value) {
  const auto count = parse_count(flag, value, {kMin, kMax});
  if (!count) return tl::unexpected(count.error());
  flags.*Member = static_cast<uint32_t>(*count);
  return {};
}

template <auto Member>
Result<void> set_time(WorkloadFlags& flags, std::string_view flag, std::string_view value) {
  const auto time = parse_time_flag(flag, value, 0ns, kMaxWork);
  if (!time) return tl::unexpected(time.error());
  flags.*Member = *time;
  return {};
}

Result<void> set_lock(WorkloadFlags& flags, std::string_view flag, std::string_view value) {
  const auto kind = parse_word(flag, value, kLockWords);
  if (!kind) return tl::unexpected(kind.error());
  flags.lock_kind = static_cast<uint32_t>(*kind);
  return {};
}

Result<void> set_fanout(WorkloadFlags& flags, std::string_view flag, std::string_view value) {
  if (value == "all") {
    flags.fanout = KVMUX_FANOUT_ALL;
    return {};
  }
  const auto count = sched::parse_integer(value);
  if (!count || *count < 1 || *count > 1023) {
    return bad_value(flag, value, "all, or a whole number from 1 to 1023");
  }
  flags.fanout = static_cast<uint32_t>(*count);
  return {};
}

using W = WorkloadFlags;
constexpr std::array kKeys{
    WorkloadKey{"lock", "ttas|ticket|mcs", "kind of lock", set_lock},
    WorkloadKey{"locks", "N", "number of locks", set_count<&W::locks, 1, 4096>},
    WorkloadKey{"think", "TIME", "work outside the critical section", set_time<&W::think>},
    WorkloadKey{"hold", "TIME", "work under the lock, in the interrupt handler or per stage",
                set_time<&W::hold>},
    WorkloadKey{"fanout", "N|all", "ipi: receivers per send", set_fanout},
    WorkloadKey{"senders", "N", "ipi: so many vCPUs send, the others compute; 0: all send",
                set_count<&W::senders, 0, 1024>},
    WorkloadKey{"stages", "N", "mixed: pipeline stages", set_count<&W::stages, 1, 64>},
    WorkloadKey{"batch", "N", "mixed: items a vCPU handles between two barriers",
                set_count<&W::batch, 1, 65536>},
};

std::string describe_key(std::string_view key, const kvmux_workload& w) {
  const auto time = [](uint64_t ns) { return sched::format_time(Nanos{static_cast<int64_t>(ns)}); };
  if (key == "lock") return std::string{kLockWords[std::min<size_t>(w.lock_kind, kLockWords.size() - 1)]};
  if (key == "locks") return w.lock_count == 1 ? "" : fmt::format("{} locks", w.lock_count);
  if (key == "think") return "think " + time(w.think_ns);
  if (key == "hold") return w.hold_ns == 0 ? "" : "hold " + time(w.hold_ns);
  if (key == "fanout") {
    return w.fanout == KVMUX_FANOUT_ALL ? "fan-out all" : fmt::format("fan-out {}", w.fanout);
  }
  if (key == "senders") return w.senders == 0 ? "" : fmt::format("{} sending", w.senders);
  if (key == "stages") return fmt::format("{} stages", w.stages);
  if (key == "batch") return fmt::format("batch {}", w.batch);
  return {};
}

}  // namespace

std::span<const GuestInfo> guests() { return kGuests; }

const GuestInfo* find_guest(std::string_view name) {
  const auto found =
      std::find_if(kGuests.begin(), kGuests.end(), [name](const GuestInfo& g) { return g.name == name; });
  return found == kGuests.end() ? nullptr : &*found;
}

std::span<const WorkloadKey> workload_keys() { return kKeys; }

WorkloadFlags merged(const WorkloadFlags& lower, const WorkloadFlags& upper) {
  const auto pick = [](const auto& low, const auto& up) { return up ? up : low; };
  return {.lock_kind = pick(lower.lock_kind, upper.lock_kind),
          .locks = pick(lower.locks, upper.locks),
          .think = pick(lower.think, upper.think),
          .hold = pick(lower.hold, upper.hold),
          .fanout = pick(lower.fanout, upper.fanout),
          .senders = pick(lower.senders, upper.senders),
          .stages = pick(lower.stages, upper.stages),
          .batch = pick(lower.batch, upper.batch)};
}

kvmux_workload make_workload(std::string_view guest, const WorkloadFlags& flags) {
  const GuestInfo* info = find_guest(guest);
  kvmux_workload w = info == nullptr ? kGuests.front().defaults : info->defaults;
  w.fanout = flags.fanout.value_or(w.fanout);
  // A broadcast costs its receivers more, so senders think longer between two.
  if (guest == "ipi" && w.fanout == KVMUX_FANOUT_ALL) w.think_ns = kThinkFanoutAllNs;
  if (flags.think) w.think_ns = static_cast<uint64_t>(flags.think->count());
  if (flags.hold) w.hold_ns = static_cast<uint64_t>(flags.hold->count());
  w.lock_kind = flags.lock_kind.value_or(w.lock_kind);
  w.lock_count = flags.locks.value_or(w.lock_count);
  w.senders = flags.senders.value_or(w.senders);
  w.stages = flags.stages.value_or(w.stages);
  w.batch = flags.batch.value_or(w.batch);
  return w;
}

std::string_view lock_word(uint32_t kind) { return kind < kLockWords.size() ? kLockWords[kind] : "unknown"; }

std::string describe_workload(std::string_view guest, const kvmux_workload& workload) {
  const GuestInfo* info = find_guest(guest);
  std::string text;
  if (info == nullptr) return text;
  for (const std::string_view key : sched::split(info->keys, ",")) {
    const std::string part = describe_key(key, workload);
    if (part.empty()) continue;
    if (!text.empty()) text += ", ";
    text += part;
  }
  return text;
}

}  // namespace vmm
