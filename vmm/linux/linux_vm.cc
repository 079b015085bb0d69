#include "vmm/linux/linux_vm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace vmm {

using linux_guest::SessionState;

namespace {

constexpr size_t kShownLines = 20;  // of a console, where a guest failed

Nanos from_us(double us) { return Nanos{std::llround(std::min(us, 1e12) * 1000)}; }

}  // namespace

// ---- What the serial ports bring ------------------------------------------------------------------------

Outlets LinuxInbox::outlets() {
  return {.console =
              [this](std::span<const uint8_t> bytes) {
                const sched::MutexLock lock(mutex_);
                console_.add(bytes);
              },
          .look_again = [this] { wakeup_.ring(); },
          .second =
              [this](std::span<const uint8_t> bytes) {
                const sched::MutexLock lock(mutex_);
                from_agent_.insert(from_agent_.end(), bytes.begin(), bytes.end());
                const bool line_is_whole = std::find(bytes.begin(), bytes.end(), '\n') != bytes.end();
                if (line_is_whole) wakeup_.ring();
              }};
}

std::vector<uint8_t> LinuxInbox::take() {
  const sched::MutexLock lock(mutex_);
  return std::exchange(from_agent_, {});
}

std::vector<std::string> LinuxInbox::findings() const {
  const sched::MutexLock lock(mutex_);
  std::vector<std::string> texts;
  for (const auto& found : console_.findings()) {
    texts.push_back(fmt::format("{}: {}", name_of(found.kind), found.line));
    if (found.count > 1) texts.back() += fmt::format(" (and {} lines like it)", found.count - 1);
  }
  return texts;
}

std::vector<std::string> LinuxInbox::last_lines() const {
  const sched::MutexLock lock(mutex_);
  const auto& lines = console_.lines();
  const auto count = static_cast<std::ptrdiff_t>(std::min(lines.size(), kShownLines));
  return {lines.end() - count, lines.end()};
}

// ---- The guest ------------------------------------------------------------------------------------------

LinuxVm::LinuxVm(std::unique_ptr<LinuxInbox> inbox, PcVm pc, const RunSpec& run, const VmSpec& spec)
    : findings_fail_(run.findings_fail),
      inbox_(std::move(inbox)),
      pc_(std::move(pc)),
      session_(spec.linux_guest->load) {}

PcGuests::Standing LinuxVm::standing() const {
  if (!trouble().empty()) return PcGuests::Standing::kFailed;
  return session_.state() == SessionState::kBooting ? PcGuests::Standing::kBooting
                                                    : PcGuests::Standing::kReady;
}

// Empty: all is well so far.
std::string LinuxVm::trouble() const {
  if (session_.state() == SessionState::kFailed) return session_.why();
  if (!pc_.vm->ended()) return {};
  if (const std::string why = pc_.vm->failure(); !why.empty()) return why;
  return pc_.board->was_reset() ? "it reset its machine" : "it switched its machine off";
}

std::string LinuxVm::why_not_ready(Nanos limit) const {
  const std::string why = trouble();
  if (why.empty()) {
    const std::chrono::duration<double> seconds = limit;
    return fmt::format("{} after {:.3g} s (--boot-limit)",
                       session_.has_agent() ? "its load was not prepared" : "its agent was not heard",
                       seconds.count());
  }
  return why + (ready_at_ ? "" : ", before its agent was ready");
}

bool LinuxVm::answered() const {
  return !asked_ || session_.counters(*asked_).has_value() || !trouble().empty();
}

std::optional<GuestReport> LinuxVm::report() const {
  if (!asked_) return std::nullopt;
  const auto counters = session_.counters(*asked_);
  if (!counters) return std::nullopt;
  GuestReport report{.at = counters->at,
                     .operations = counters->operations,
                     .steal = counters->steal_sum(),
                     .latencies = {}};
  for (const linux_guest::Latency& latency : counters->latencies) {
    report.latencies.emplace_back(latency.name, from_us(latency.us));
  }
  return report;
}

std::optional<LinuxResult> LinuxVm::outcome() const {
  LinuxResult result;
  result.boot_time = ready_at_ ? *ready_at_ - *began_ : Nanos{};
  result.findings = inbox_->findings();
  result.last_lines = inbox_->last_lines();
  return result;
}

std::string LinuxVm::complaint() const {
  if (const std::string why = trouble(); !why.empty()) return why + ", before the measured window ended";
  const auto findings = inbox_->findings();
  if (findings_fail_ && !findings.empty()) return "finding: " + findings.front();
  return {};
}

bool LinuxVm::serve(Nanos now) {
  if (!began_) began_ = now;
  if (!pc_.vm->ended()) pc_.board->run_timers(now);
  if (const auto bytes = inbox_->take(); !bytes.empty()) session_.receive(bytes);
  const auto output = session_.take_output();
  to_agent_.insert(to_agent_.end(), output.begin(), output.end());
  if (!to_agent_.empty()) {
    const size_t count = std::min(to_agent_.size(), pc_.board->typed_room(Com::k2));
    pc_.board->receive(std::span(to_agent_).first(count), Com::k2);
    to_agent_.erase(to_agent_.begin(), to_agent_.begin() + static_cast<std::ptrdiff_t>(count));
  }
  const Seen seen{.standing = standing(), .answered = answered(), .ended = pc_.vm->ended()};
  if (!ready_at_ && seen.standing == PcGuests::Standing::kReady) ready_at_ = now;
  const bool changed = !(seen == seen_);
  seen_ = seen;
  return changed;
}

}  // namespace vmm
