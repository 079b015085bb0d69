// What a Linux kernel says on its console when it is not well. The lines are as Linux 6.1 to 7.3 print them.
#include "vmm/linux/console_watch.h"

#include <doctest/doctest.h>

using namespace vmm::linux_guest;
using Kind = ConsoleFinding;

namespace {

void write(ConsoleWatch& watch, std::string_view text) {
  watch.add({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

}  // namespace

TEST_CASE("console watch: each kind of finding is known by its line") {
  const std::pair<Kind, std::string_view> kLines[] = {
      {Kind::kPanic,
       "[    3.1] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"},
      {Kind::kPanic, "[    3.1] ---[ end Kernel panic - not syncing: Attempted to kill init! ]---"},
      {Kind::kOops, "[    1.0] BUG: unable to handle page fault for address: ffffffff00000000"},
      {Kind::kOops, "[    1.0] BUG: kernel NULL pointer dereference, address: 0000000000000000"},
      {Kind::kOops, "[    1.0] Oops: 0002 [#1] PREEMPT SMP NOPTI"},
      {Kind::kOops, "[    1.0][    T1] kernel BUG at mm/slub.c:4200!"},
      {Kind::kOops,
       "[    1.0] [   T12] general protection fault, probably for non-canonical address 0x1: 0000 [#1]"},
      {Kind::kOom, "[   40.0] Out of memory: Killed process 123 (vips) total-vm:1kB, anon-rss:1kB"},
      {Kind::kOom, "[   40.0] Memory cgroup out of memory: Killed process 9 (a)"},
      {Kind::kHardLockup, "[   40.0] NMI watchdog: Watchdog detected hard LOCKUP on cpu 1"},
      {Kind::kHardLockup, "[   40.0] watchdog: Watchdog detected hard LOCKUP on cpu 1"},
      {Kind::kSoftLockup, "[   40.0] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [dbench:99]"},
      {Kind::kRcuStall, "[   40.0] rcu: INFO: rcu_preempt self-detected stall on CPU"},
      {Kind::kRcuStall, "[   40.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"},
      {Kind::kRcuStall,
       "[   40.0] rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-... } 60"},
      {Kind::kHungTask, "[  240.0] INFO: task dbench:99 blocked for more than 120 seconds."},
      {Kind::kUnstableClock,
       "[    2.0] clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable"},
      {Kind::kUnstableClock, "[    2.0] tsc: Marking TSC unstable due to clocksource watchdog"},
      {Kind::kUnstableClock,
       "[    2.0] TSC found unstable after boot, most likely due to broken BIOS. Use 'tsc=unstable'."},
  };
  for (const auto& [kind, line] : kLines) {
    CAPTURE(line);
    const auto found = finding_in(line);
    REQUIRE(found);
    CHECK(name_of(*found) == name_of(kind));
  }
}

TEST_CASE("console watch: what is like a finding and is none") {
  for (const std::string_view line :
       {"[    0.0] Linux version 6.1.0-50-cloud-amd64", "[    0.1] rcu: Hierarchical RCU implementation.",
        "[    1.0] traps: vips[12] general protection fault ip:4010 sp:7ffe error:0 in vips",
        "[    1.0] clocksource: Switched to clocksource tsc", "[    0.2] NMI watchdog: Enabled.", "[", "[]",
        "", "[    0.0] Command line: panic=-1 oops=panic softlockup_panic=1", "debug: BUG: said a program"}) {
    CAPTURE(line);
    CHECK_FALSE(finding_in(line));
  }
}

TEST_CASE("console watch: the first line of a kind is kept, the others are counted") {
  ConsoleWatch watch;
  CHECK(watch.findings().empty());
  write(watch, "[ 40.0] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [a:1]\r\n[ 41.0] Oops: 0");
  write(watch,
        "000 [#1]\r\n[ 68.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [a:1]\r\nKernel panic - not "
        "syncing");
  auto found = watch.findings();
  REQUIRE(found.size() == 2);
  CHECK(found[0].kind == Kind::kOops);
  CHECK(found[0].line == "[ 41.0] Oops: 0000 [#1]");
  CHECK(found[1].kind == Kind::kSoftLockup);
  CHECK(found[1].count == 2);
  CHECK(found[1].line.starts_with("[ 40.0]"));
  watch.finish();  // the VM has ended within a line
  CHECK(watch.findings().front().kind == Kind::kPanic);
  watch.finish();
  CHECK(watch.lines().size() == 4);
}

TEST_CASE("console watch: lines are bounded in number and length, and printable") {
  ConsoleWatch watch(3);
  for (int i = 0; i < 10; ++i) write(watch, "line " + std::to_string(i) + "\n");
  REQUIRE(watch.lines().size() == 3);
  CHECK(watch.lines().front() == "line 7");
  write(watch, "\x1b[2J\x07 cleared\n");
  CHECK(watch.lines().back() == ".[2J. cleared");
  write(watch, std::string(100'000, 'x'));
  write(watch, "\n");
  CHECK(watch.lines().back().size() == ConsoleWatch::kLongestLine);
}
