// The scheduler's vocabulary: identifiers, weights, host time and virtual time as distinct types.
//
// Value types, any thread. Host time (`Nanos`) is used both for durations and for instants; an instant counts
// from the start of the run. Virtual time is `Vruntime`: service received, scaled by 1024 / weight
// (docs: Linux's EEVDF). Turning one into the other always takes a `Weight`.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>

namespace sched {

using Nanos = std::chrono::nanoseconds;
inline constexpr Nanos kForever = Nanos::max();

enum class VcpuId : uint32_t {};    // dense over all VMs of a run
enum class WorkerId : uint32_t {};  // dense
enum class VmId : uint32_t {};      // dense, in the order of the set-up
enum class GroupId : uint32_t {};   // dense; every VM is a group of its own as well
enum class IrqVector : uint8_t {};  // an interrupt vector, as the IPI tracker sees it

inline constexpr VcpuId kNoVcpu{std::numeric_limits<uint32_t>::max()};
inline constexpr WorkerId kNoWorker{std::numeric_limits<uint32_t>::max()};
inline constexpr GroupId kRootGroup{std::numeric_limits<uint32_t>::max()};

// The number behind an id, for indexing.
template <class Id>
constexpr uint32_t index_of(Id id) {
  return static_cast<uint32_t>(id);
}

// A scheduling weight; 1024 is the default share.
struct Weight {
  int64_t value = 1024;
  friend constexpr auto operator<=>(Weight, Weight) = default;
};
inline constexpr Weight kDefaultWeight{1024};
inline constexpr Weight kMinWeight{2};  // a group's share never falls below (Linux: MIN_SHARES)
inline constexpr Weight kMaxWeight{1 << 20};

// Virtual time, an instant or a difference. Signed 64 bits of nanoseconds at weight 1024: no wrap in
// practice.
struct Vruntime {
  int64_t ticks = 0;
  friend constexpr auto operator<=>(Vruntime, Vruntime) = default;
  constexpr Vruntime& operator+=(Vruntime d) { return ticks += d.ticks, *this; }
  constexpr Vruntime& operator-=(Vruntime d) { return ticks -= d.ticks, *this; }
  friend constexpr Vruntime operator+(Vruntime a, Vruntime b) { return a += b; }
  friend constexpr Vruntime operator-(Vruntime a, Vruntime b) { return a -= b; }
  constexpr Vruntime operator-() const { return {-ticks}; }
};

// Δvruntime = Δexec · 1024 / weight.
constexpr Vruntime to_virtual(Nanos exec, Weight weight) {
  return {weight == kDefaultWeight ? exec.count() : exec.count() * kDefaultWeight.value / weight.value};
}

// The host time in which an entity of this weight receives `service`, rounded up so that a timer set to it
// never fires short of the service.
constexpr Nanos to_real(Vruntime service, Weight weight) {
  if (weight == kDefaultWeight) return Nanos{service.ticks};
  return Nanos{(service.ticks * weight.value + kDefaultWeight.value - 1) / kDefaultWeight.value};
}

// What a busy-waiting guest says of its wait; kUnknown: as most do, nothing.
enum class Wait : uint8_t { kUnknown, kBegins, kGoesOn };

}  // namespace sched
