#include "vmm/linux/console_watch.h"

#include <algorithm>

#include "vmm/device/console.h"

namespace vmm::linux_guest {
namespace {

struct Sign {
  ConsoleFinding kind;
  std::string_view text;  // as printk writes it
  bool at_start;          // of the message: elsewhere programs may write it
};

// The first that fits: what is special stands before what is general ("BUG: soft lockup").
constexpr std::array kSigns{
    Sign{ConsoleFinding::kPanic, "Kernel panic - not syncing", false},
    Sign{ConsoleFinding::kSoftLockup, "soft lockup - CPU#", false},
    Sign{ConsoleFinding::kHardLockup, "hard LOCKUP on cpu", false},
    Sign{ConsoleFinding::kRcuStall, "self-detected stall on CPU", false},
    Sign{ConsoleFinding::kRcuStall, "detected stalls on CPUs", false},
    Sign{ConsoleFinding::kRcuStall, "detected expedited stalls on CPUs", false},
    Sign{ConsoleFinding::kOom, "ut of memory: Kill", false},  // "Out of", "Memory cgroup out of"
    Sign{ConsoleFinding::kOom, "ut of memory and no killable", false},
    Sign{ConsoleFinding::kUnstableClock, "Marking TSC unstable", false},
    Sign{ConsoleFinding::kUnstableClock, "TSC found unstable", false},
    Sign{ConsoleFinding::kUnstableClock, "timekeeping watchdog", false},
    Sign{ConsoleFinding::kOops, "BUG: ", true},
    Sign{ConsoleFinding::kOops, "kernel BUG at ", true},
    Sign{ConsoleFinding::kOops, "Oops: ", true},
    Sign{ConsoleFinding::kOops, "general protection fault", true},
    Sign{ConsoleFinding::kOops, "invalid opcode: ", true},
    Sign{ConsoleFinding::kOops, "double fault: ", true},
};

// Without "[   12.345678] ", and "[    T1] " where the kernel says who prints.
std::string_view message_of(std::string_view line) {
  while (line.starts_with('[')) {
    const size_t end = line.find("] ");
    if (end == std::string_view::npos) break;
    line.remove_prefix(end + 2);
  }
  return line;
}

bool is_hung_task(std::string_view message) {
  return message.starts_with("INFO: task ") &&
         message.find(" blocked for more than ") != std::string_view::npos;
}

}  // namespace

std::string_view name_of(ConsoleFinding kind) {
  switch (kind) {
    case ConsoleFinding::kPanic:
      return "kernel panic";
    case ConsoleFinding::kOops:
      return "kernel oops";
    case ConsoleFinding::kOom:
      return "out of memory";
    case ConsoleFinding::kHardLockup:
      return "hard lock-up";
    case ConsoleFinding::kSoftLockup:
      return "soft lock-up";
    case ConsoleFinding::kRcuStall:
      return "RCU stall";
    case ConsoleFinding::kHungTask:
      return "hung task";
    case ConsoleFinding::kUnstableClock:
      return "unstable clock";
  }
  return "";
}

std::optional<ConsoleFinding> finding_in(std::string_view line) {
  const std::string_view message = message_of(line);
  if (is_hung_task(message)) return ConsoleFinding::kHungTask;
  const auto fits = [&](const Sign& sign) {
    return sign.at_start ? message.starts_with(sign.text) : message.find(sign.text) != std::string_view::npos;
  };
  const auto sign = std::ranges::find_if(kSigns, fits);
  if (sign == kSigns.end()) return std::nullopt;
  return sign->kind;
}

void ConsoleWatch::add(std::span<const uint8_t> bytes) {
  for (const uint8_t byte : bytes) {
    if (byte == '\n') {
      end_line();
    } else if (byte != '\r' && line_.size() < kLongestLine) {
      line_ += static_cast<char>(byte);
    }
  }
}

void ConsoleWatch::finish() {
  if (!line_.empty()) end_line();
}

void ConsoleWatch::end_line() {
  std::string line = printable(line_);
  line_.clear();
  if (const auto kind = finding_in(line)) {
    Found& found = found_[static_cast<size_t>(*kind)];
    if (found.count++ == 0) found = {*kind, line, 1};
  }
  lines_.push_back(std::move(line));
  if (lines_.size() > most_) lines_.pop_front();
}

std::vector<ConsoleWatch::Found> ConsoleWatch::findings() const {
  std::vector<Found> findings;
  std::ranges::copy_if(found_, std::back_inserter(findings),
                       [](const Found& found) { return found.count > 0; });
  return findings;
}

}  // namespace vmm::linux_guest
