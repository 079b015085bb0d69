#include "vmm/cli/run_json.h"

#include "sched/policy/parse.h"
#include "vmm/cli/guests.h"
#include "vmm/cli/linux_guest.h"
#include "vmm/cli/spec.h"
#include "vmm/run/sections.h"
#include "vmm/run/setup.h"
#include "vmm/stats/detail.h"
#include "vmm/stats/histogram.h"
#include "vmm/stats/metrics.h"
#include "vmm/stats/site_figures.h"

namespace vmm {
namespace {

std::string_view spin_detect_name(SpinDetect detect) {
  constexpr std::array<std::string_view, 4> kNames{"doorbell", "sample", "both", "off"};
  return kNames[static_cast<size_t>(detect)];
}

Json workload_json(const kvmux_workload& w) {
  Json json;
  json["think_ns"] = w.think_ns;
  json["hold_ns"] = w.hold_ns;
  json["lock"] = lock_word(w.lock_kind);
  json["locks"] = w.lock_count;
  json["fanout"] = w.fanout == KVMUX_FANOUT_ALL ? Json("all") : Json(w.fanout);
  json["senders"] = w.senders;
  json["stages"] = w.stages;
  json["batch"] = w.batch;
  return json;
}

Json vm_spec_json(const VmSpec& vm) {
  Json json;
  json["guest"] = vm.guest;
  json["vcpus"] = vm.vcpus;
  json["policy"] = policy_json(vm.policy);
  json["weight"] = vm.weight.value;
  if (!vm.group.empty()) json["group"] = vm.group;
  json["memory_bytes"] = vm.memory_bytes;
  if (vm.linux_guest) {
    const LinuxGuest& guest = *vm.linux_guest;
    json["linux"] = {
        {"kernel", guest.kernel}, {"initrd", guest.initrd}, {"cmdline", guest.cmdline}, {"load", guest.load}};
    if (!guest.symbols.empty()) json["linux"]["symbols"] = guest.symbols;
    if (vm.handicap_percent) json["handicap_percent"] = *vm.handicap_percent;
    return json;
  }
  json["ring"] = vm.ring;
  json["workload"] = workload_json(vm.workload);
  if (!vm.args.empty()) json["args"] = vm.args;
  if (vm.handicap_percent) json["handicap_percent"] = *vm.handicap_percent;
  return json;
}

Json changes_json(const std::vector<PolicyChange>& changes) {
  Json list = Json::array();
  for (const PolicyChange& change : changes) {
    Json& entry = list.emplace_back(Json{{"at_ns", change.at.count()}});
    for (const VmChange& vm : change.vms) entry["policies"].push_back(policy_json(vm.policy));
  }
  return list;
}

Json ledger_json(const Ledger& ledger) {
  Json json;
  for (const LedgerColumn& column : ledger_columns()) {
    json[std::string{column.name} + "_ns"] = (ledger.*column.field).count();
  }
  return json;
}

Json sched_json(const sched::VcpuStats& s) {
  Json json;
  json["running_ns"] = s.times.running.count();
  json["waiting_ns"] = s.times.waiting.count();
  json["halted_ns"] = s.times.halted.count();
  json["stopped_ns"] = s.times.stopped.count();
  json["worst_wait_ns"] = s.worst_wait.count();
  json["switches_in"] = s.switches_in;
  json["preemptions"] = s.preemptions;
  json["migrations"] = s.migrations;
  json["wakeups"] = s.wakeups;
  json["spin_exits"] = s.spin_exits;
  json["yields_tried"] = s.yields_tried;
  Json& done = json["yields_done"];
  for (size_t i = 0; i < sched::kYieldReasons; ++i) {
    // What few policies do is left out where they did not.
    const auto reason = static_cast<sched::YieldReason>(i);
    if (reason >= sched::YieldReason::kOwner && s.yields_done[i] == 0) continue;
    done[std::string{yield_reason_name(reason)}] = s.yields_done[i];
  }
  if (s.right_possible != 0) {
    Json& right = json["yields_right"] = {{"possible", s.right_possible}};
    for (size_t i = 0; i < sched::kYieldReasons; ++i) {
      if (s.yields_right[i] == 0) continue;
      right[std::string{yield_reason_name(static_cast<sched::YieldReason>(i))}] = s.yields_right[i];
    }
  }
  if (s.extensions != 0) json["extensions"] = s.extensions;
  if (s.urged != 0) json["urged"] = s.urged;
  json["yields_local"] = s.yields_local;
  json["yields_remote"] = s.yields_remote;
  json["pulls"] = s.pulls;
  json["penalties"] = s.penalties;
  json["penalty_sum"] = s.penalty_sum.ticks;
  json["credits"] = s.credits;
  json["ipis_sent"] = s.ipis_sent;
  json["eois"] = s.eois;
  json["yield_hits"] = s.yield_hits;
  json["yield_misses"] = s.yield_misses;
  json["yield_harmful"] = s.yield_harmful;
  return json;
}

Json vcpu_json(const VcpuResult& vcpu, bool counts) {
  Json json;
  if (counts) {
    json["operations"] = vcpu.operations;
    json["work_iters"] = vcpu.work_iters;
    json["work_ns"] = vcpu.work_time.count();
    json["spin_pauses"] = vcpu.spin_pauses;
    json["ipis_sent"] = vcpu.ipis_sent;
    json["ipis_acked"] = vcpu.ipis_acked;
    json["wakeups"] = vcpu.wakeups;
    json["guest_errors"] = vcpu.guest_errors;
  }
  json["exits"] = vcpu.exits;
  json["kicks"] = vcpu.kicks;
  json["ledger"] = ledger_json(vcpu.ledger);
  json["sched"] = sched_json(vcpu.sched);
  return json;
}

// Sparse: [bucket, count] pairs.
Json histogram_json(const VmResult& vm, double tsc_khz) {
  Json json;
  json["count"] = histogram_count(vm.ack_hist);
  for (const auto& [name, q] : {std::pair{"p50_ns", 0.5}, {"p99_ns", 0.99}, {"p999_ns", 0.999}}) {
    if (const auto time = histogram_quantile_time(vm.ack_hist, q, tsc_khz)) json[name] = time->count();
  }
  Json& buckets = json["buckets"] = Json::array();
  for (size_t i = 0; i < vm.ack_hist.size(); ++i) {
    if (vm.ack_hist[i] != 0) buckets.push_back({i, vm.ack_hist[i]});
  }
  return json;
}

// Steal as the guest has it; the ledger's is beside it, summed over the vCPUs.
Json linux_json(const VmResult& vm) {
  const LinuxResult& result = *vm.linux_guest;
  Json json;
  json["boot_ns"] = result.boot_time.count();
  if (result.counted) {
    json["operations"] = result.operations;
    json["guest_time_ns"] = result.guest_time.count();
    json["steal_ns"] = result.steal.count();
    json["waiting_ns"] = totals(vm).ledger.waiting.count();
    json["ledger_steal_ns"] = ledger_steal(vm).count();
    for (const auto& [name, time] : result.latencies) json["latency_ns"][name] = time.count();
  }
  json["findings"] = result.findings;
  if (!result.last_lines.empty()) json["last_lines"] = result.last_lines;
  return json;
}

// Absent: no samples were taken.
void add_sites(const VmResult& vm, Json& json) {
  for (const auto& [name, sites] : {std::pair{"spin_sites", &vm.spinning}, {"taken_off_sites", &vm.taken_off}}) {
    if (samples_of(*sites) == 0) continue;
    json[name] = sites_json(*sites);
    if (sites->other > 0) json[std::string{name} + "_other"] = sites->other;
  }
}

Json vm_json(const VmResult& vm, double tsc_khz) {
  Json json;
  json["guest"] = vm.guest;
  json["policy"] = vm.policy;
  json["ops_per_second"] = vm.ops_per_second;
  if (vm.exit_code) json["exit_code"] = *vm.exit_code;
  if (!vm.failure.empty()) json["failure"] = vm.failure;
  if (!vm.note.empty()) json["note"] = vm.note;
  add_sites(vm, json);
  if (vm.linux_guest) {
    json["linux"] = linux_json(vm);
    Json& vcpus = json["vcpus"] = Json::array();
    for (const VcpuResult& vcpu : vm.vcpus) vcpus.push_back(vcpu_json(vcpu, false));
    return json;
  }
  json["ack"] = histogram_json(vm, tsc_khz);
  Json& checks = json["checks"] = Json::array();
  for (const CheckResult& check : vm.checks) {
    checks.push_back({{"vcpu", check.vcpu}, {"name", check.name}, {"value", check.value}, {"ok", check.ok}});
  }
  Json& vcpus = json["vcpus"] = Json::array();
  for (const VcpuResult& vcpu : vm.vcpus) vcpus.push_back(vcpu_json(vcpu, true));
  return json;
}

}  // namespace

std::string_view backend_name(Backend backend) { return backend == Backend::kKvm ? "kvm" : "sim"; }

Json host_json(const HostDescription& host) {
  return {{"kernel", host.kernel},
          {"cpu_model", host.cpu_model},
          {"cpus", host.cpus},
          {"cpus_allowed", host.cpus_allowed}};
}

Json cpus_json(const CpuChoice& choice) { return {{"cpus", choice.cpus}, {"notes", choice.notes}}; }

Json moves_json(const MovesWeighed& moves) {
  Json json{{"cost_ns", moves.cost.count()},
            {"migration_cost_ns", moves.migration_cost.count()},
            {"stay", moves.stay},
            {"given", moves.given}};
  if (moves.carried) {
    json["carriers"] = true;
    json["handover_ns"] = moves.handover.count();
  }
  return json;
}

Json policy_json(const sched::Policy& policy) {
  Json json;
  json["name"] = policy.name;
  json["queue"] = sched::queue_name(policy.features.queue);
  Json& features = json["features"];
  for (const sched::FeatureField& feature : sched::feature_fields()) {
    features[std::string{feature.name}] = sched::feature_word(feature, policy.features);
  }
  Json& tuning = json["tuning"];
  for (const sched::TuningField& field : sched::tuning_fields()) {
    tuning[std::string{field.name} + (field.is_time ? "_ns" : "")] = field.get(policy.tuning);
  }
  return json;
}

Json spec_json(const RunSpec& spec) {
  Json json;
  json["backend"] = backend_name(spec.backend);
  json["workers"] = spec.workers;
  json["duration_ns"] = spec.duration.count();
  json["warmup_ns"] = spec.warmup.count();
  json["seed"] = spec.seed;
  json["spin_detect"] = spin_detect_name(spec.spin_detect);
  json["spin_window_ns"] = spec.spin_window.count();
  json["rotate_ns"] = spec.rotate.count();
  json["irqchip"] = spec.irqchip == Irqchip::kUser ? "user" : "split";
  if (spec.carriers != Carriers::kAuto) json["carriers"] = kCarrierWords[static_cast<size_t>(spec.carriers)];
  if (!spec.cost_profile.empty()) json["cost_profile"] = spec.cost_profile;
  Json& groups = json["groups"] = Json::array();
  for (const GroupSpec& group : spec.groups) {
    groups.push_back({{"path", group.path}, {"weight", group.weight.value}});
  }
  Json& vms = json["vms"] = Json::array();
  for (const VmSpec& vm : spec.vms) vms.push_back(vm_spec_json(vm));
  if (!spec.changes.empty()) json["changes"] = changes_json(spec.changes);
  if (has_linux_guests(spec)) json["paravirt"] = spec.paravirt ? "kvm" : "none";
  return json;
}

Json result_json(const RunSpec& spec, const RunResult& result) {
  Json json;
  json["window_ns"] = result.window.count();
  json["interrupted"] = result.interrupted;
  if (!result.stalls.empty()) {
    json["stalls"] = result.stalls;
    json["stalled_at_end"] = result.stalled;
  }
  json["spin_window_ns"] = result.spin_window.count();
  json["tsc_khz"] = result.tsc_khz;
  json["delay_iters_per_ms"] = result.delay_iters_per_ms;
  json["pauses_per_ms"] = result.pauses_per_ms;
  Json& metrics = json["metrics"];
  for (const auto& [name, value] : measure(spec, result)) metrics[name] = value;
  Json& noise = json["noise"];
  noise["steal_ms"] = result.noise.steal_ms;
  noise["involuntary_switches"] = result.noise.involuntary_switches;
  if (result.noise.mhz) noise["mhz"] = *result.noise.mhz;
  if (!result.noise.cpu_changes.empty()) noise["cpu_changes"] = result.noise.cpu_changes;
  if (result.moves) json["moves"] = moves_json(*result.moves);
  Json& busy = json["worker_busy_ns"] = Json::array();
  for (const Nanos time : result.worker_busy) busy.push_back(time.count());
  if (spec.backend == Backend::kSim) json["sim_events"] = result.sim_events;
  Json& vms = json["vms"] = Json::array();
  for (const VmResult& vm : result.vms) vms.push_back(vm_json(vm, result.tsc_khz));
  const RunSpec base = without_changes(spec);
  for (size_t i = 0; i < result.sections.size(); ++i) {
    const RunResult& section = result.sections[i].result;
    Json entry = result_json(spec_of_section(base, spec.changes, i), section);
    entry["begin_ns"] = (section.window_begin - result.window_begin).count();
    json["sections"].push_back(std::move(entry));
  }
  return json;
}

Json run_document(const std::vector<std::string>& command, const HostDescription& host, const Json& cpus,
                  const std::vector<FinishedRun>& runs) {
  Json json;
  json["schema"] = "kvmux.run";
  json["schema_version"] = kRunSchemaVersion;
  json["kvmux_version"] = kVersion;
  json["command"] = command;
  json["host"] = host_json(host);
  if (!cpus.is_null()) json["cpus"] = cpus;
  Json& list = json["runs"] = Json::array();
  for (const FinishedRun& run : runs) {
    list.push_back({{"spec", spec_json(run.spec)}, {"result", result_json(run.spec, run.result)}});
  }
  return json;
}

}  // namespace vmm
