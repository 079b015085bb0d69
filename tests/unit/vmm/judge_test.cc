// What the watchdog concludes, from looks that are made up: time, machine and host are the test's.
#include "vmm/watch/judge.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace vmm;
using namespace vmm::watch;
using namespace std::chrono_literals;
using Doing = WorkerView::Doing;
using Kind = Finding::Kind;
using sched::RunState;

namespace {

constexpr Nanos kLook = 250ms;

// A machine of two workers and one VM; each step is a look 250 ms later.
class Rig {
 public:
  explicit Rig(uint32_t vcpus = 4, bool own_queues = true, Nanos promised = 100ms)
      : judge_(Limits{.stall = 2s,
                      .longest_wait = own_queues ? [promised](uint32_t) { return promised; }
                                                 : std::function<Nanos(uint32_t)>{},
                      .cpus = 2}) {
    view.at = 10s;
    const size_t workers = own_queues ? 2 : vcpus;
    for (size_t i = 0; i < workers; ++i) {
      WorkerView worker;
      worker.doing = Doing::kGuest;
      worker.vcpu = sched::VcpuId{static_cast<uint32_t>(i)};
      worker.since = view.at;
      worker.thread = static_cast<pid_t>(100 + i);
      worker.runnable = own_queues ? vcpus / 2 : 0;
      view.workers.push_back(worker);
      hosts.push_back({.known = true, .state = 'R', .ran = {}, .waited = {}});
    }
    for (uint32_t i = 0; i < vcpus; ++i) {
      VcpuView vcpu;
      vcpu.id = sched::VcpuId{i};
      vcpu.index = VcpuIndex{i};
      vcpu.state = RunState::kRunning;
      vcpu.worker = own_queues ? sched::WorkerId{i % 2} : sched::kNoWorker;
      vcpu.since = view.at;
      vcpu.has_lapic = true;
      view.vcpus.push_back(vcpu);
    }
    alive.resize(workers, true);
  }

  // All get on unless `alive` says otherwise.
  std::vector<Finding> look(Nanos late = {}, bool stopped = false) {
    const Nanos stretch = kLook + late;
    view.at += stretch;
    for (size_t i = 0; i < view.workers.size(); ++i) {
      if (!alive[i]) continue;
      ++view.workers[i].beats;
      if (!stopped) hosts[i].ran += stretch;
    }
    return judge_.look(view, hosts, late, stopped);
  }
  // What is found within this time.
  std::vector<Finding> watch(Nanos time) {
    std::vector<Finding> all;
    for (Nanos passed{}; passed < time; passed += kLook) {
      for (Finding& finding : look()) all.push_back(std::move(finding));
    }
    return all;
  }
  VcpuView& vcpu(size_t i) { return view.vcpus[i]; }
  void becomes(size_t i, RunState state) {
    view.vcpus[i].state = state;
    view.vcpus[i].since = view.at;
  }
  const std::vector<Finding>& standing() const { return judge_.standing(); }

  MachineView view;
  std::vector<ThreadHost> hosts;
  std::vector<bool> alive;

 private:
  Judge judge_;
};

bool says(const Finding& finding, const char* part) { return finding.text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("watchdog: a machine that gets on is left alone, whatever sleeps, pauses and waits") {
  Rig rig;
  rig.becomes(2, RunState::kHalted);  // with nothing to wake it
  rig.becomes(3, RunState::kHalted);
  rig.vcpu(3).listens = Listens::kToEvents;  // interrupts off: the vector is not for it
  rig.vcpu(3).interrupt = apic::Vector{0x40};
  CHECK(rig.watch(60s).empty());
  // Waits that end.
  for (int i = 0; i < 40; ++i) {
    rig.becomes(2, i % 2 == 0 ? RunState::kQueued : RunState::kRunning);
    CHECK(rig.watch(1500ms).empty());
  }
  // A long run of one vCPU is no stall while nobody waits.
  rig.becomes(2, RunState::kStopped);
  rig.alive = {false, false};
  for (int i = 0; i < 40; ++i) {
    for (ThreadHost& host : rig.hosts) host.ran += kLook;
    CHECK(rig.look().empty());
  }
}

TEST_CASE("watchdog: a lost wake-up is named, once, and stands until it is over") {
  Rig rig;
  rig.becomes(3, RunState::kHalted);
  rig.vcpu(3).interrupt = apic::Vector{0x40};
  const auto found = rig.watch(10s);
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == Kind::kLostWakeup);
  CHECK(found[0].vcpu == sched::VcpuId{3});
  CHECK(!found[0].is_hosts_doing());
  CHECK(found[0].text ==
        "vCPU 0.3 has been halted with vector 0x40 pending for 2.0 s: the scheduler lost a wake-up");
  REQUIRE(rig.standing().size() == 1);
  CHECK(rig.standing()[0].lasts > 9s);
  rig.becomes(3, RunState::kRunning);
  CHECK(rig.look().empty());
  CHECK(rig.standing().empty());
  // Halts with something pending at each look are other halts.
  for (int i = 0; i < 40; ++i) {
    rig.becomes(3, RunState::kHalted);
    CHECK(rig.look().empty());
  }
  // An NMI wakes one whose interrupts are off.
  rig.vcpu(3).listens = Listens::kToEvents;
  rig.vcpu(3).event = true;
  const auto nmi = rig.watch(3s);
  REQUIRE(nmi.size() == 1);
  CHECK(says(nmi[0], "an NMI, INIT or SIPI pending"));
}

TEST_CASE("watchdog: a vCPU that never arrives at a queue") {
  Rig rig;
  rig.becomes(2, RunState::kMoving);
  const auto found = rig.watch(3s);
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == Kind::kLostOnItsWay);
  CHECK(says(found[0], "vCPU 0.2 has been on its way to a queue for 2.0 s"));
}

TEST_CASE("watchdog: a runnable vCPU without a turn, by what its worker does meanwhile") {
  const auto waits = [](bool turns, auto change) {
    Rig rig;
    rig.becomes(2, RunState::kQueued);
    change(rig);
    std::vector<Finding> found;
    for (int i = 0; i < 12 && found.empty(); ++i) {
      if (turns) rig.view.workers[0].since = rig.view.at + 1ns;
      found = rig.look();
    }
    REQUIRE(found.size() == 1);
    CHECK(found[0].worker == sched::WorkerId{0});
    CHECK(found[0].lasts >= 2s);
    CHECK(found[0].lasts < 2600ms);
    return found[0];
  };
  const Finding passed = waits(true, [](Rig&) {});
  CHECK(passed.kind == Kind::kPassedOver);
  CHECK(says(passed, "vCPU 0.2 has waited 2.2 s for worker 0, which runs others meanwhile"));
  const Finding endless = waits(false, [](Rig&) {});
  CHECK(endless.kind == Kind::kEndlessTurn);
  CHECK(says(endless, "which has run vCPU 0.0 all the while"));
  const Finding kick = waits(true, [](Rig& rig) {
    rig.view.workers[0].doing = Doing::kAsleep;
    rig.view.workers[0].vcpu.reset();
  });
  CHECK(kick.kind == Kind::kLostKick);
  CHECK(says(kick, "worker 0, which sleeps: the scheduler did not wake it up"));
}

TEST_CASE("watchdog: what the policy lets a vCPU wait is allowed twice") {
  Rig rig(4, true, 3s);
  rig.becomes(2, RunState::kQueued);
  CHECK(rig.watch(6s).empty());
  rig.view.workers[0].since = rig.view.at;
  const auto found = rig.watch(1s);
  REQUIRE(found.size() == 1);
  CHECK(says(found[0], "the policy promises 3.0 s"));
}

TEST_CASE("watchdog: pauses of kvmux's own are nobody's fault") {
  Rig rig;
  rig.becomes(2, RunState::kQueued);
  rig.becomes(3, RunState::kHalted);
  rig.vcpu(3).interrupt = apic::Vector{0x40};
  for (int i = 0; i < 40; ++i) {
    for (WorkerView& worker : rig.view.workers) {
      worker.doing = Doing::kParked;
      worker.vcpu.reset();
      worker.parked += kLook;
    }
    for (ThreadHost& host : rig.hosts) host.state = 'S';
    rig.alive = {false, false};
    CHECK(rig.look().empty());
  }
  for (WorkerView& worker : rig.view.workers) worker.doing = Doing::kSwitching;
  for (ThreadHost& host : rig.hosts) host.state = 'R';
  rig.alive = {true, true};
  CHECK(rig.watch(1s).empty());
  CHECK(rig.watch(2s).size() == 2);
}

TEST_CASE("watchdog: a worker that the host stopped is the host's doing, and nobody else's") {
  Rig rig;
  rig.becomes(2, RunState::kQueued);  // waits for worker 0
  rig.becomes(3, RunState::kHalted);  // and worker 0 may have been about to wake it
  rig.vcpu(3).interrupt = apic::Vector{0x40};
  rig.alive[0] = false;
  rig.hosts[0].state = 't';
  const auto found = rig.watch(10s);
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == Kind::kThreadStopped);
  CHECK(found[0].is_hosts_doing());
  CHECK(says(found[0], "the host stopped worker 0 (thread 100, stopped by a tracer) for "));
  CHECK(says(found[0], " with vCPU 0.0: the host's doing, not the scheduler's"));
  // It goes on; what waited gets its time.
  rig.alive[0] = true;
  rig.hosts[0].state = 'R';
  CHECK(rig.watch(1s).empty());
  rig.becomes(2, RunState::kRunning);
  rig.becomes(3, RunState::kRunning);
  CHECK(rig.watch(10s).empty());
}

TEST_CASE("watchdog: a worker that the host starves, and one that has half of its CPU") {
  Rig rig;
  rig.becomes(2, RunState::kQueued);
  for (int i = 0; i < 16; ++i) {
    // Every other look it had none; its vCPUs take turns all the same.
    rig.hosts[0].ran -= kLook / 2;
    rig.hosts[0].waited += kLook / 2;
    if (i % 8 == 7) rig.becomes(2, RunState::kQueued);
    CHECK(rig.look().empty());
  }
  rig.alive[0] = false;
  const auto found = rig.watch(4s);
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == Kind::kStarved);
  CHECK(found[0].is_hosts_doing());
  CHECK(says(found[0], "the host gave worker 0 (thread 100) "));
}

TEST_CASE(
    "watchdog: a worker that goes from thread to thread is not excused by what the host took from each") {
  Rig rig;
  rig.becomes(2, RunState::kQueued);
  std::vector<Finding> found;
  for (int i = 1; i <= 80 && found.empty(); ++i) {
    rig.view.workers[0].thread = 100 + i % 2;
    rig.hosts[0].waited = i * Nanos{30s};  // of this thread, before it had the worker
    found = rig.look();
  }
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == Kind::kEndlessTurn);
}

TEST_CASE("watchdog: a wait that the host makes endless is told as the host's doing in the end") {
  Rig rig;
  rig.becomes(2, RunState::kQueued);
  std::vector<Finding> found;
  for (int i = 0; i < 80 && found.empty(); ++i) {  // a tenth of a CPU
    rig.hosts[0].ran -= kLook * 9 / 10;
    rig.hosts[0].waited += kLook * 9 / 10;
    found = rig.look();
  }
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == Kind::kStarved);
  CHECK(found[0].lasts > 8s);
  CHECK(says(found[0], "vCPU 0.2 has waited 8.2 s for worker 0, to which the host gave no CPU for 7."));
}

TEST_CASE("watchdog: a worker outside KVM_RUN, with what it does there") {
  Rig rig;
  rig.becomes(2, RunState::kQueued);
  rig.alive[1] = false;
  rig.view.workers[1].doing = Doing::kHandling;
  rig.hosts[1].state = 'D';
  rig.becomes(2, RunState::kRunning);
  const auto found = rig.watch(6s);
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == Kind::kOutsideGuest);
  CHECK(!found[0].is_hosts_doing());
  CHECK(says(found[0], "worker 1 has been outside KVM_RUN with vCPU 0.1 for 2.0 s, blocked in the kernel"));
}

TEST_CASE("watchdog: a process that was stopped says so, and blames no scheduler") {
  Rig rig;
  rig.becomes(2, RunState::kQueued);
  rig.becomes(3, RunState::kHalted);
  rig.vcpu(3).interrupt = apic::Vector{0x40};
  CHECK(rig.watch(1s).empty());
  rig.alive = {false, false};
  const auto found = rig.look(7s, true);
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == Kind::kProcessStopped);
  CHECK(found[0].is_hosts_doing());
  CHECK(says(found[0], "the host stopped kvmux for 7.0 s"));
  rig.alive = {true, true};
  CHECK(rig.look().empty());
  rig.becomes(2, RunState::kRunning);
  rig.becomes(3, RunState::kRunning);
  CHECK(rig.watch(5s).empty());
  // A watcher that was late because it had no CPU: nothing is said, nothing is held against anybody.
  rig.becomes(2, RunState::kQueued);
  CHECK(rig.look(7s, false).empty());
}

TEST_CASE("watchdog: threads that the host schedules may wait for each other") {
  Rig rig(8, false);
  for (int i = 0; i < 80; ++i) {  // two CPUs for eight threads
    for (ThreadHost& host : rig.hosts) {
      host.ran -= kLook * 3 / 4;
      host.waited += kLook * 3 / 4;
    }
    CHECK(rig.look().empty());
  }
  // A thread that sleeps although its vCPU has something to take.
  rig.becomes(5, RunState::kHalted);
  rig.vcpu(5).interrupt = apic::Vector{0x31};
  rig.view.workers[5].doing = Doing::kAsleep;
  rig.view.workers[5].vcpu.reset();
  rig.hosts[5].state = 'S';
  const auto found = rig.watch(3s);
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == Kind::kLostWakeup);
  CHECK(says(found[0], "vCPU 0.5 has been halted with vector 0x31 pending for 2.0 s: kvmux lost a wake-up"));
}
