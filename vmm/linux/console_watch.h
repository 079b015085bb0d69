// The last lines of a Linux guest's console, and what its kernel says there that makes a measurement doubtful
// or ends it.
//
// Bytes come as the guest writes them and are not believed: lines are cut, control characters become dots,
// kinds are few. Pure; not thread-safe, one caller at a time.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vmm::linux_guest {

enum class ConsoleFinding : uint8_t {
  kPanic,  // kernel panic
  kOops,   // Oops, BUG, general protection fault in the kernel
  kOom,    // the OOM killer has killed
  kHardLockup,
  kSoftLockup,
  kRcuStall,
  kHungTask,
  kUnstableClock,  // TSC or another clocksource called unstable
};
inline constexpr size_t kConsoleFindings = 8;

// "kernel panic", "soft lock-up", …
[[nodiscard]] std::string_view name_of(ConsoleFinding kind);

// What a whole console line says, its time stamp included; nothing for most.
[[nodiscard]] std::optional<ConsoleFinding> finding_in(std::string_view line);

class ConsoleWatch {
 public:
  static constexpr size_t kLongestLine = 512;  // what is beyond is cut off
  static constexpr size_t kDefaultLines = 100;

  struct Found {
    ConsoleFinding kind{};
    std::string line;    // the first of its kind
    uint64_t count = 0;  // lines that say so; one event may take two
  };

  explicit ConsoleWatch(size_t lines = kDefaultLines) : most_(lines) {}

  void add(std::span<const uint8_t> bytes);
  // The guest has ended: what it has written of a line is one.
  void finish();

  // Oldest first, whole lines only.
  [[nodiscard]] const std::deque<std::string>& lines() const { return lines_; }
  // In the order of ConsoleFinding; only kinds that were seen.
  [[nodiscard]] std::vector<Found> findings() const;

 private:
  void end_line();

  size_t most_;
  std::string line_;
  std::deque<std::string> lines_;
  std::array<Found, kConsoleFindings> found_{};
};

}  // namespace vmm::linux_guest
