#include "vmm/cli/grid.h"

#include <fmt/format.h>

#include <algorithm>

#include "sched/policy/parse.h"
#include "vmm/cli/run_json.h"
#include "vmm/run/moves.h"

namespace vmm {
namespace {

// One VM with a vCPU a worker and nothing beside it: every worker has one vCPU, so no policy matters, and
// nobody waits for a preempted vCPU, so spin exits would only cost.
Result<Slot> reference_slot(const Setup& setup) {
  RunSpec spec = setup.spec;
  const VmSpec& model = spec.vms.front();
  const bool alike = std::all_of(spec.vms.begin(), spec.vms.end(), [&model](const VmSpec& vm) {
    return vm.guest == model.guest && vm.linux_guest == model.linux_guest;
  });
  if (!alike) {
    return usage_error("--efficiency",
                       fmt::format("'{}' has no single guest to run alone; accepted are VMs that all "
                                   "run the same guest",
                                   setup.guest));
  }
  VmSpec vm = model;
  const GuestInfo* guest = find_guest(vm.guest);
  vm.vcpus = std::max(spec.workers, guest == nullptr ? 1 : guest->min_vcpus);
  if (vm.workload.fanout != KVMUX_FANOUT_ALL) vm.workload.fanout = std::min(vm.workload.fanout, vm.vcpus - 1);
  vm.workload.senders = std::min(vm.workload.senders, vm.vcpus);
  vm.policy = {"fair", sched::find_preset("fair")->features, {}};
  vm.group.clear();
  spec.groups.clear();
  spec.vms.assign(1, vm);
  spec.spin_detect = SpinDetect::kOff;
  return Slot{"alone", std::move(spec), true};
}

Result<std::vector<Slot>> make_slots(const Request& request, const Setup& setup, const GridOptions& options) {
  std::vector<std::string> names;
  for (const sched::Policy& policy : request.policies) names.push_back(policy.name);
  const std::vector<std::string> labels = unique_labels(names);
  std::vector<Slot> slots;
  for (size_t i = 0; i < request.policies.size(); ++i) {
    auto spec = with_policy(setup, request.policies[i]);
    if (!spec) return tl::unexpected(spec.error());
    if (i < options.handicaps.size() && options.handicaps[i]) {
      for (VmSpec& vm : spec->vms) vm.handicap_percent = options.handicaps[i];
    }
    if (request.carriers[i]) spec->carriers = *request.carriers[i];
    slots.push_back({labels[i], std::move(*spec), false});
  }
  if (!options.with_reference) return slots;
  auto reference = reference_slot(setup);
  if (!reference) return tl::unexpected(reference.error());
  slots.push_back(std::move(*reference));
  return slots;
}

// All that a run of this cell depends on, the seed included.
std::string cell_key(const std::vector<Slot>& slots, const std::vector<int>& cpus) {
  std::string text = cpus.empty() ? "" : "cpus " + cpu_list_text(cpus);
  for (const Slot& slot : slots) text += slot.label + dump(spec_json(slot.spec));
  return hex(fingerprint(text));
}

Cell make_cell(const Setup& setup, std::vector<Slot> slots, const GridOptions& options,
               const std::vector<int>& cpus) {
  Cell cell;
  cell.slots = std::move(slots);
  CellInfo& info = cell.info;
  info.key = cell_key(cell.slots, cpus);
  info.guest = setup.guest;
  info.size = setup.size;
  info.backend = backend_name(setup.spec.backend);
  info.workers = setup.spec.workers;
  info.vms = static_cast<uint32_t>(setup.spec.vms.size());
  info.vcpus_in_all = setup.vcpus_in_all;
  info.seconds = static_cast<double>(setup.spec.duration.count()) / 1e9;
  for (const Slot& slot : cell.slots) info.labels.push_back(slot.label);
  if (options.with_reference) info.reference = static_cast<int>(cell.slots.size()) - 1;
  return cell;
}

RunSpec weighed(RunSpec spec, const MoveCosts& costs) {
  (void)weigh_moves(spec, costs);
  return spec;
}

// Those that take turns with the baseline, and those that cannot, with the baseline once more.
std::vector<Cell> cells_by_design(const Setup& setup, const std::vector<Slot>& slots,
                                  const GridOptions& options, const std::vector<int>& cpus,
                                  std::vector<std::string>& fallen_back) {
  const Slot& baseline = slots[options.baseline];
  std::vector<Slot> turns{baseline};
  std::vector<Slot> blocks{baseline};
  for (const Slot& slot : slots) {
    if (&slot == &baseline) continue;
    const std::string why =
        why_not_in_turns(weighed(baseline.spec, options.move_costs), weighed(slot.spec, options.move_costs));
    (why.empty() ? turns : blocks).push_back(slot);
    if (why.empty()) continue;
    std::string line = fmt::format("'{}' is measured in blocks: {}", slot.label, why);
    if (std::find(fallen_back.begin(), fallen_back.end(), line) == fallen_back.end()) {
      fallen_back.push_back(std::move(line));
    }
  }
  std::vector<Cell> cells;
  if (turns.size() > 1) {
    Cell cell = make_cell(setup, std::move(turns), options, cpus);
    const auto seconds = [](Nanos time) { return static_cast<double>(time.count()) / 1e9; };
    cell.info.switchback = true;
    cell.info.period = seconds(options.turns.period);
    cell.info.washout = seconds(options.turns.washout);
    cell.info.key =
        hex(fingerprint(cell.info.key + fmt::format("switchback {} {}", options.turns.period.count(),
                                                    options.turns.washout.count())));
    cells.push_back(std::move(cell));
  }
  if (blocks.size() > 1) cells.push_back(make_cell(setup, std::move(blocks), options, cpus));
  return cells;
}

}  // namespace

Result<void> parse_handicap(std::string_view text, size_t policies, GridOptions& options) {
  const size_t equals = text.find('=');
  const std::string accepted =
      fmt::format("N=PERCENT with N from 1 to {}, the place in --policies", policies);
  if (equals == std::string_view::npos) return bad_value("--handicap", text, accepted);
  const auto slot = parse_count("--handicap", text.substr(0, equals), {1, static_cast<int64_t>(policies)});
  if (!slot) return tl::unexpected(slot.error());
  const auto share = parse_percent("--handicap", text.substr(equals + 1));
  if (!share) return tl::unexpected(share.error());
  options.handicaps.resize(policies);
  options.handicaps[static_cast<size_t>(*slot - 1)] = static_cast<uint32_t>(*share * 100 + 0.5);
  return {};
}

std::optional<MovesWeighed> moves_of(const std::vector<Cell>& cells, const MoveCosts& costs) {
  std::optional<MovesWeighed> found;
  for (const Cell& cell : cells) {
    for (const Slot& slot : cell.slots) {
      RunSpec spec = slot.spec;
      const auto moves = weigh_moves(spec, costs);
      if (moves && moves->carried) return moves;
      if (moves && !found) found = moves;
    }
  }
  return found;
}

Result<std::vector<Cell>> make_cells(const Request& request, const GridOptions& options,
                                     std::vector<std::string>& fallen_back) {
  std::vector<Cell> cells;
  for (const Setup& setup : request.setups) {
    auto slots = make_slots(request, setup, options);
    if (!slots) return tl::unexpected(slots.error());
    std::vector<Cell> of_setup;
    if (!options.switchback) {
      of_setup.push_back(make_cell(setup, std::move(*slots), options, request.cpus));
    } else {
      of_setup = cells_by_design(setup, *slots, options, request.cpus, fallen_back);
    }
    for (Cell& cell : of_setup) {
      const auto same = [&cell](const Cell& other) { return other.info.key == cell.info.key; };
      if (std::any_of(cells.begin(), cells.end(), same)) {
        return usage_error("--guest, --vms, --vcpus",
                           fmt::format("{} {} is listed twice", cell.info.guest, cell.info.size));
      }
      cells.push_back(std::move(cell));
    }
  }
  return cells;
}

}  // namespace vmm
