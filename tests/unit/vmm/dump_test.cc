#include "vmm/watch/dump.h"

#include <doctest/doctest.h>

#include "vmm/load/symbols.h"
#include "vmm/watch/thread_files.h"
#include "vmm/watch/words.h"

using namespace vmm;
using namespace vmm::watch;
using namespace std::chrono_literals;

namespace {

Dossier small_machine() {
  Dossier d;
  d.since_start = 3400ms;
  d.has_own_queues = true;
  d.view.at = 10s;
  WorkerView worker;
  worker.doing = WorkerView::Doing::kGuest;
  worker.vcpu = sched::VcpuId{0};
  worker.since = 10s - 1200us;
  worker.thread = 4711;
  worker.runnable = 1;
  d.view.workers = {worker, WorkerView{}};
  d.view.workers[1].doing = WorkerView::Doing::kAsleep;
  d.view.workers[1].since = 8s;
  d.threads = {{.known = true, .state = 'R', .ran = 3300ms, .waited = 12ms}, {}};
  VcpuView vcpu;
  vcpu.state = sched::RunState::kRunning;
  vcpu.worker = sched::WorkerId{0};
  vcpu.since = 9s;
  d.view.vcpus = {vcpu, vcpu};
  d.view.vcpus[1].id = sched::VcpuId{1};
  d.view.vcpus[1].index = VcpuIndex{1};
  d.view.vcpus[1].state = sched::RunState::kHalted;
  d.view.vcpus[1].has_lapic = true;
  d.view.vcpus[1].interrupt = apic::Vector{0x40};
  sched::QueueLook queue{.is_eevdf = true, .runnable = 1, .vcpus = {}};
  queue.vcpus.push_back({.vcpu = sched::VcpuId{0},
                         .is_current = true,
                         .vruntime = {812'204'000},
                         .deadline = {815'004'000},
                         .lag = {-100'000},
                         .group_lag = {},
                         .eligible = false});
  d.queues = {queue, std::nullopt};
  d.histories = {{},
                 {{sched::RunState::kRunning, sched::WorkerId{1}, 8s},
                  {sched::RunState::kHalted, sched::WorkerId{1}, 9s}}};
  return d;
}

bool has(const std::string& text, const char* line) { return text.find(line) != std::string::npos; }

}  // namespace

TEST_CASE("a dump tells of workers, queues, vCPUs and their histories, a line each") {
  Dossier dossier = small_machine();
  const Finding finding{.kind = Finding::Kind::kLostWakeup,
                        .worker = {},
                        .vcpu = sched::VcpuId{1},
                        .lasts = 2s,
                        .text = "who and what"};
  std::string text = dump(dossier, "something gets nowhere", std::span(&finding, 1));
  CAPTURE(text);
  CHECK(text.starts_with(
      "kvmux: something gets nowhere\nkvmux: stall: who and what\nkvmux: the machine 3.4 s after"));
  CHECK(has(text,
            "kvmux:   worker 0: in KVM_RUN with vCPU 0.0, since 1.2 ms, 1 runnable; thread 4711 running or "
            "runnable, 3.3 s of CPU, 12 ms without one\n"));
  CHECK(has(text, "kvmux:   worker 1: asleep, since 2.0 s, 0 runnable; thread 0 in an unknown state\n"));
  CHECK(has(text, "kvmux:   queue 0: 1 runnable, no tick\n"));
  CHECK(has(
      text,
      "kvmux:     vCPU 0.0, current: vruntime 812.204 ms, deadline 815.004, lag -0.100, of its group +0.000\n"));
  CHECK(has(text, "kvmux:   queue 1: locked by"));
  CHECK(has(text, "kvmux:   vCPU 0.1: halted for 1.0 s, worker 0; ran "));
  CHECK(has(text, "kvmux:     LAPIC: vector 0x40 pending\n"));
  CHECK(has(text, "kvmux:     latest first: halted@1 -1.0 s, running@1 -2.0 s\n"));
  // With what a pause adds.
  apic::Lapic::Summary lapic;
  lapic.irr[2] = 1;
  lapic.isr[7] = 1u << 31;
  lapic.tpr = 0x20;
  lapic.enabled = true;
  dossier.registers.resize(2);
  dossier.registers[1] = {.rip = 0x100a2c,
                          .cpl = 3,
                          .interrupts = true,
                          .symbol = "wait+0x14",
                          .sleep = {},
                          .lapic = lapic,
                          .timer_in = -1500ms};
  dossier.awaited = {{sched::VcpuId{0}, sched::VcpuId{1}}};
  text = dump(dossier, "SIGUSR1", {});
  CAPTURE(text);
  CHECK(has(text, "kvmux:     RIP 0x100a2c (wait+0x14), CPL 3, interrupts on\n"));
  CHECK(has(text, "kvmux:     LAPIC: IRR 0x40, ISR 0xff, TPR 0x20, PPR 0x0, timer overdue by 1.5 s\n"));
  CHECK(has(text, "kvmux:   waits for acknowledgements of IPIs: vCPU 0.0 for vCPU 0.1\n"));
}

TEST_CASE("of many vCPUs a dump tells the histories of those that are named") {
  Dossier dossier = small_machine();
  for (uint32_t i = 2; i < 600; ++i) {
    dossier.view.vcpus.push_back(dossier.view.vcpus[1]);
    dossier.view.vcpus.back().id = sched::VcpuId{i};
    dossier.view.vcpus.back().index = VcpuIndex{i};
    dossier.histories.push_back(dossier.histories[1]);
  }
  const Finding finding{
      .kind = Finding::Kind::kLostWakeup, .worker = {}, .vcpu = sched::VcpuId{7}, .lasts = 2s, .text = "x"};
  const std::string text = dump(dossier, "t", std::span(&finding, 1));
  CHECK(has(text, "and 344 other vCPUs"));
  size_t histories = 0;
  for (size_t at = text.find("latest first"); at != std::string::npos; at = text.find("latest first", at + 1))
    ++histories;
  CHECK(histories == 1);
}

TEST_CASE("the state letter of /proc/PID/stat, whatever the thread is called") {
  CHECK(state_letter("12 (kvmux-w0) S 1 12") == 'S');
  CHECK(state_letter("12 (a) R (b) t 1 12") == 't');
  CHECK(state_letter("12 (kvmux") == '?');
  CHECK(state_letter("") == '?');
  CHECK(state_letter("12 (x) ") == '?');
}

TEST_CASE("times in words") {
  CHECK(seconds(2'149ms) == "2.1 s");
  CHECK(seconds(999'900us) == "1.0 s");
  CHECK(seconds(35ms) == "35 ms");
  CHECK(seconds(0ns) == "0 us");
}
