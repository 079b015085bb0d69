// The built-in guests as the command line knows them, and the workload keys they take. Pure, any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/cli/values.h"
#include "vmm/run_types.h"

namespace vmm {

struct GuestInfo {
  std::string_view name;
  std::string_view summary;
  std::string_view stands_for;  // the published benchmark it imitates, or empty
  uint32_t min_vcpus;
  kvmux_workload defaults;
  std::string_view keys;  // workload keys it reads, for help and titles, comma-separated
};

std::span<const GuestInfo> guests();
const GuestInfo* find_guest(std::string_view name);

// The workload parameters a user gave; the rest comes from the guest's defaults.
struct WorkloadFlags {
  std::optional<uint32_t> lock_kind;
  std::optional<uint32_t> locks;
  std::optional<Nanos> think;
  std::optional<Nanos> hold;
  std::optional<uint32_t> fanout;
  std::optional<uint32_t> senders;
  std::optional<uint32_t> stages;
  std::optional<uint32_t> batch;
};

// A key of WorkloadFlags with its flag, help and reader.
struct WorkloadKey {
  std::string_view name;
  std::string_view syntax;
  std::string_view help;
  Result<void> (*set)(WorkloadFlags&, std::string_view flag, std::string_view value);
};
std::span<const WorkloadKey> workload_keys();

// What `upper` says wins over `lower`.
WorkloadFlags merged(const WorkloadFlags& lower, const WorkloadFlags& upper);

// The guest's defaults with the flags on top; a user's own ELF gets the flags over the lock guest's defaults.
kvmux_workload make_workload(std::string_view guest, const WorkloadFlags& flags);

// "ticket", of enum kvmux_lock_kind; "unknown" for what there is not.
std::string_view lock_word(uint32_t kind);

// "lock ticket, think 50us, hold 20us": the parameters that this guest reads.
std::string describe_workload(std::string_view guest, const kvmux_workload& workload);

}  // namespace vmm
