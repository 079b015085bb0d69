#include "vmm/run/machine_view.h"

#include <algorithm>

#include "vmm/run/look.h"

namespace vmm {
namespace {

using Doing = WorkerView::Doing;

Doing doing_of(Pulse::Place place, Kicks::Phase phase) {
  switch (place) {
    case Pulse::Place::kBetween:
      return Doing::kSwitching;
    case Pulse::Place::kOn:
      return phase == Kicks::Phase::kGuest ? Doing::kGuest : Doing::kHandling;
    case Pulse::Place::kAsleep:
      return Doing::kAsleep;
    case Pulse::Place::kParked:
      return Doing::kParked;
    case Pulse::Place::kGone:
      break;
  }
  return Doing::kGone;
}

}  // namespace

WorkerView view_of(const Pulse& pulse, Kicks::Phase phase, pid_t thread, Nanos now) {
  const Pulse::Moment moment = pulse.moment();
  WorkerView view{.doing = doing_of(moment.place, phase),
                  .vcpu = {},
                  .since = moment.since,
                  .beats = moment.beats,
                  .busy = moment.busy,
                  .parked = moment.parked,
                  .thread = thread};
  if (moment.vcpu != sched::kNoVcpu) view.vcpu = moment.vcpu;
  const Nanos lasts = std::max(Nanos{}, now - moment.since);
  if (moment.place == Pulse::Place::kOn) view.busy += lasts;
  if (moment.place == Pulse::Place::kParked) view.parked += lasts;
  return view;
}

VcpuView view_of(const Vcpu& vcpu, const sched::StateHistory& history, Nanos now) {
  const sched::StateHistory::Moment moment = history.now();
  VcpuView view{.id = vcpu.id,
                .vm = vcpu.vm,
                .index = vcpu.index,
                .state = moment.state,
                .worker = moment.worker,
                .since = moment.since,
                .times = moment.times};
  const Nanos lasts = std::max(Nanos{}, now - moment.since);
  switch (moment.state) {
    case sched::RunState::kRunning:
      view.times.running += lasts;
      break;
    case sched::RunState::kQueued:
      view.times.waiting += lasts;
      break;
    case sched::RunState::kHalted:
      view.times.halted += lasts;
      break;
    case sched::RunState::kStopped:
      view.times.stopped += lasts;
      break;
    case sched::RunState::kNew:
    case sched::RunState::kMoving:
      break;
  }
  return view;
}

void look_at_lapic(const Vcpu& vcpu, VcpuView& view) {
  view.has_lapic = true;
  view.interrupt = vcpu.lapic.pending();
  view.event = vcpu.lapic.has_event();
  view.extint = vcpu.has_extint() || vcpu.has_lint0_rise();
  view.listens = vcpu.sleep.listens();
}

}  // namespace vmm
