#include "vmm/watch/dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "vmm/watch/words.h"

namespace vmm::watch {
namespace {

// Beyond so many only those that a finding names are told in full.
constexpr size_t kTold = 16;
constexpr size_t kListed = 256;

// "0x40, 0x41": the vectors of eight registers; "-": none.
std::string vectors(const std::array<uint32_t, 8>& registers) {
  std::string text;
  for (unsigned i = 0; i < registers.size(); ++i) {
    for (uint32_t bits = registers[i]; bits != 0; bits &= bits - 1) {
      text += fmt::format("{}{:#x}", text.empty() ? "" : " ",
                          i * 32 + static_cast<unsigned>(std::countr_zero(bits)));
    }
  }
  return text.empty() ? "-" : text;
}

class Dump {
 public:
  Dump(const Dossier& dossier, std::span<const Finding> findings) : dossier_(dossier), findings_(findings) {}

  std::string text(const std::string& title) {
    line("{}", title);
    for (const Finding& finding : findings_) line("stall: {}", finding.text);
    line("the machine {} after its start:", seconds(dossier_.since_start));
    for (size_t i = 0; i < std::min(kListed, view().workers.size()); ++i) worker(i);
    for (size_t i = 0; i < std::min(kListed, dossier_.queues.size()); ++i) queue(i);
    if (!dossier_.why_no_registers.empty()) line("  registers are not known: {}", dossier_.why_no_registers);
    for (size_t i = 0; i < std::min(kListed, view().vcpus.size()); ++i) vcpu(i);
    if (view().vcpus.size() > kListed) line("  and {} other vCPUs", view().vcpus.size() - kListed);
    awaited();
    return std::move(text_);
  }

 private:
  const MachineView& view() const { return dossier_.view; }
  Nanos ago(Nanos at) const { return std::max(Nanos{}, view().at - at); }

  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    text_ += "kvmux: ";
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }

  bool is_named(sched::VcpuId vcpu) const {
    return std::any_of(findings_.begin(), findings_.end(), [&](const Finding& f) { return f.vcpu == vcpu; });
  }

  void worker(size_t i) {
    const WorkerView& worker = view().workers[i];
    const ThreadHost host = i < dossier_.threads.size() ? dossier_.threads[i] : ThreadHost{};
    std::string text =
        fmt::format("  {} {}: {}", dossier_.has_own_queues ? "worker" : "thread", i, name_of(worker.doing));
    if (worker.vcpu) text += " with " + name_of(view(), *worker.vcpu);
    text += fmt::format(", since {}", seconds(ago(worker.since)));
    if (dossier_.has_own_queues) text += fmt::format(", {} runnable", worker.runnable);
    text += fmt::format("; thread {} {}", worker.thread, words_of(host.state));
    if (host.known)
      text += fmt::format(", {} of CPU, {} without one", seconds(host.ran), seconds(host.waited));
    line("{}", text);
  }

  void queue(size_t i) {
    const auto& queue = dossier_.queues[i];
    if (!queue) {
      line(
          "  queue {}: locked by a thread that is in the scheduler: see the workers that are between two "
          "vCPUs",
          i);
      return;
    }
    std::string tick = queue->armed == sched::kForever ? "no tick" : "tick ";
    if (queue->armed != sched::kForever) {
      const Nanos in = queue->armed - view().at;
      tick += in >= Nanos{} ? "in " + seconds(in) : "due " + seconds(-in) + " ago";
    }
    line("  queue {}: {} runnable, {}{}", i, queue->runnable, tick, queue->idle ? ", marked idle" : "");
    for (size_t q = 0; q < std::min(kListed, queue->vcpus.size()); ++q) queued(*queue, queue->vcpus[q]);
  }

  void queued(const sched::QueueLook& queue, const sched::QueuedVcpu& vcpu) {
    const std::string who = name_of(view(), vcpu.vcpu) + (vcpu.is_current ? ", current" : "");
    if (!queue.is_eevdf) {
      line("    {}", who);
      return;
    }
    const auto ms = [](sched::Vruntime v) { return static_cast<double>(v.ticks) / 1e6; };
    line("    {}: vruntime {:.3f} ms, deadline {:.3f}, lag {:+.3f}{}, of its group {:+.3f}", who,
         ms(vcpu.vruntime), ms(vcpu.deadline), ms(vcpu.lag), vcpu.eligible ? " (eligible)" : "",
         ms(vcpu.group_lag));
  }

  void vcpu(size_t i) {
    const VcpuView& vcpu = view().vcpus[i];
    std::string text =
        fmt::format("  {}: {} for {}", name_of(vcpu), name_of(vcpu.state), seconds(ago(vcpu.since)));
    if (vcpu.worker != sched::kNoWorker) text += fmt::format(", worker {}", index_of(vcpu.worker));
    if (vcpu.state == sched::RunState::kQueued && vcpu.spinning) text += ", spins";
    text += fmt::format("; ran {}, waited {}, halted {}", seconds(vcpu.times.running),
                        seconds(vcpu.times.waiting), seconds(vcpu.times.halted));
    line("{}", text);
    const bool told = view().vcpus.size() <= kTold || is_named(vcpu.id);
    if (i < dossier_.registers.size()) {
      registers(dossier_.registers[i]);
    } else if (vcpu.has_lapic && vcpu.is_called()) {
      line("    LAPIC: {} pending", pending_of(vcpu));
    }
    if (told && i < dossier_.histories.size()) history(dossier_.histories[i]);
  }

  void registers(const Registers& r) {
    line("    RIP {:#x}{}, CPL {}, interrupts {}", r.rip, r.symbol.empty() ? "" : " (" + r.symbol + ")",
         r.cpl, r.interrupts ? "on" : "off");
    if (!r.lapic) return;
    std::string timer = "off";
    if (r.timer_in)
      timer = *r.timer_in >= Nanos{} ? "in " + seconds(*r.timer_in) : "overdue by " + seconds(-*r.timer_in);
    line("    LAPIC{}: IRR {}, ISR {}, TPR {:#x}, PPR {:#x}, timer {}", r.lapic->enabled ? "" : " (disabled)",
         vectors(r.lapic->irr), vectors(r.lapic->isr), r.lapic->tpr, r.lapic->ppr, timer);
  }

  void history(const std::vector<sched::StateHistory::Entry>& entries) {
    if (entries.empty()) return;
    std::string text;
    for (auto at = entries.rbegin(); at != entries.rend(); ++at) {
      text += fmt::format("{}{}", text.empty() ? "" : ", ", name_of(at->state));
      if (at->worker != sched::kNoWorker) text += fmt::format("@{}", index_of(at->worker));
      text += fmt::format(" -{}", seconds(ago(at->at)));
    }
    line("    latest first: {}", text);
  }

  void awaited() {
    if (dossier_.awaited.empty()) return;
    std::string text;
    for (const auto& [sender, receiver] : dossier_.awaited) {
      text += fmt::format("{}{} for {}", text.empty() ? "" : "; ", name_of(view(), sender),
                          name_of(view(), receiver));
    }
    line("  waits for acknowledgements of IPIs: {}", text);
  }

  const Dossier& dossier_;
  const std::span<const Finding> findings_;
  std::string text_;
};

}  // namespace

std::string dump(const Dossier& dossier, const std::string& title, std::span<const Finding> findings) {
  return Dump(dossier, findings).text(title);
}

}  // namespace vmm::watch
