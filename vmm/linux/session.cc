#include "vmm/linux/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "guest/linux/protocol.h"
#include "vmm/device/console.h"
#include "vmm/linux/counters_line.h"

namespace vmm::linux_guest {
namespace {

// For messages: printable, and not long.
std::string shown(std::string_view text) {
  std::string cut = printable(text.substr(0, KVMUX_LINUX_TEXT_MAX));
  if (text.size() > KVMUX_LINUX_TEXT_MAX) cut += "…";
  return cut;
}

bool is_text(std::string_view line) {
  return std::ranges::all_of(line, [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

std::string_view name_of(SessionState state) {
  switch (state) {
    case SessionState::kBooting:
      return "booting";
    case SessionState::kReady:
      return "ready";
    case SessionState::kRunning:
      return "running";
    case SessionState::kStopped:
      return "stopped";
    case SessionState::kFailed:
      return "failed";
  }
  return "";
}

Nanos Counters::steal_sum() const {
  Nanos sum{};
  for (const Nanos one : steal) sum += one;
  return sum;
}

void Session::receive(std::span<const uint8_t> bytes) {
  for (const uint8_t byte : bytes) {
    if (state_ == SessionState::kFailed || state_ == SessionState::kStopped) return;
    if (byte == '\n') {
      std::string line;
      line.swap(line_);
      if (line.ends_with('\r')) line.pop_back();
      take_line(line);
    } else if (line_.size() > KVMUX_LINUX_LINE_MAX) {
      fail(fmt::format("the agent wrote a line of more than {} bytes: {}", KVMUX_LINUX_LINE_MAX,
                       shown(line_)));
    } else {
      line_ += static_cast<char>(byte);
    }
  }
}

std::vector<uint8_t> Session::take_output() {
  std::vector<uint8_t> output;
  output.swap(output_);
  return output;
}

void Session::go() {
  if (state_ != SessionState::kReady || stopping_) return;
  state_ = SessionState::kRunning;
  say("go");
}

uint64_t Session::ask_counters() {
  const uint64_t number = ++last_number_;
  if (state_ != SessionState::kRunning || stopping_ || asked_.size() == kMaxAsked) return number;
  asked_.push_back(number);
  say(fmt::format("count {}", number));
  return number;
}

std::optional<Counters> Session::counters(uint64_t number) const {
  const auto answer = std::ranges::find(answers_, number, &Counters::number);
  if (answer == answers_.end()) return std::nullopt;
  return *answer;
}

void Session::stop() {
  if (stopping_ || state_ == SessionState::kFailed) return;
  stopping_ = true;
  if (greeted_) say("stop");
}

void Session::take_line(std::string_view line) {
  if (!is_text(line)) return fail(fmt::format("the agent wrote what is no text: {}", shown(line)));
  const size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  const std::string_view rest = space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
  if (word == "error") return fail(fmt::format("the agent reports: {}", shown(rest)));
  if (word == "hello") return take_hello(rest);
  if (!greeted_)
    return fail(fmt::format("the guest wrote '{}' where the agent's hello was expected", shown(line)));
  if (word == "counters") return take_counters(rest);
  if (line == "ready") return take_ready();
  if (line == "ended") return take_ended();
  fail(fmt::format("the agent wrote a line that is none of the protocol's: {}", shown(line)));
}

void Session::take_hello(std::string_view rest) {
  if (greeted_) return fail("the agent said hello twice: the guest has booted again");
  const size_t space = rest.find(' ');
  const auto version = natural(rest.substr(0, space));
  if (!version || space == std::string_view::npos) {
    return fail(fmt::format("the agent's hello is none: {}", shown(rest)));
  }
  if (*version != KVMUX_LINUX_VERSION) {
    return fail(
        fmt::format("the image's agent speaks version {} of the protocol and this kvmux {}: build the image "
                    "again (kvmux linux-image)",
                    *version, KVMUX_LINUX_VERSION));
  }
  if (rest.substr(space + 1) != load_) {
    return fail(
        fmt::format("the agent runs '{}' where '{}' was asked for", shown(rest.substr(space + 1)), load_));
  }
  greeted_ = true;
  if (stopping_) say("stop");
}

void Session::take_ready() {
  if (state_ != SessionState::kBooting) return fail("the agent said ready twice");
  state_ = SessionState::kReady;
}

void Session::take_counters(std::string_view rest) {
  auto read = read_counters(rest);
  if (!read) return fail(fmt::format("the agent answered {}", shown(read.error())));
  if (asked_.empty() || asked_.front() != read->number) {
    return fail(fmt::format("the agent answered question {}, which was not next", read->number));
  }
  if (!answers_.empty()) {
    const std::string wrong = what_contradicts(answers_.back(), *read);
    if (!wrong.empty()) return fail(fmt::format("the agent's counters cannot be: {}", wrong));
  }
  asked_.pop_front();
  answers_.push_back(std::move(*read));
  if (answers_.size() > kMaxAsked) answers_.pop_front();
}

void Session::take_ended() {
  if (!stopping_) return fail("the agent ended the load although nobody asked");
  state_ = SessionState::kStopped;
}

void Session::say(std::string_view line) {
  output_.insert(output_.end(), line.begin(), line.end());
  output_.push_back('\n');
}

void Session::fail(std::string why) {
  state_ = SessionState::kFailed;
  why_ = std::move(why);
  line_.clear();
  output_.clear();
}

}  // namespace vmm::linux_guest
