#include "vmm/live/view.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "vmm/last_words.h"
#include "vmm/output/standard.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/thread_signals.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

// Opened anew, so that not to block is this descriptor's alone, and not the shell's.
Result<UniqueFd> open_terminal() {
  std::array<char, 256> name{};
  if (::isatty(STDIN_FILENO) == 0) {
    return usage_error("--live",
                       "the standard input is no terminal; accepted is one to draw on and to read keys from");
  }
  constexpr int kMode = O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  if (::ttyname_r(STDIN_FILENO, name.data(), name.size()) == 0) {
    if (UniqueFd fd(::open(name.data(), kMode)); fd.get() >= 0) return fd;
  }
  UniqueFd fd(::open("/dev/tty", kMode));
  if (fd.get() < 0)
    return host_error("open /dev/tty", errno, "--live draws on the terminal of the standard input");
  return fd;
}

bool is_same_terminal(int fd, int terminal) {
  struct stat a {};
  struct stat b {};
  return ::isatty(fd) != 0 && ::fstat(fd, &a) == 0 && ::fstat(terminal, &b) == 0 && a.st_rdev == b.st_rdev;
}

}  // namespace

void LiveView::Held::hold(int terminal) {
  output = is_same_terminal(STDOUT_FILENO, terminal);
  error = is_same_terminal(STDERR_FILENO, terminal);
  if (output) standard_output().hold();
  if (error) standard_error().hold();
}

void LiveView::Held::release() {
  if (std::exchange(output, false)) standard_output().release();
  if (std::exchange(error, false)) standard_error().release();
}

LiveView::LiveView(Of of, std::atomic<bool>& stop, std::unique_ptr<CursesScreen> screen, UniqueFd terminal)
    : of_(of), stop_(stop), screen_(std::move(screen)), terminal_(std::move(terminal)) {}

Result<std::unique_ptr<LiveView>> LiveView::open(Of of, std::atomic<bool>& stop) {
  auto terminal = open_terminal();
  if (!terminal) return Failure(terminal.error());
  auto screen = CursesScreen::open();
  if (!screen) return Failure(screen.error());
  return std::unique_ptr<LiveView>(new LiveView(of, stop, std::move(*screen), std::move(*terminal)));
}

Result<void> LiveView::start() {
  held_.hold(terminal_.get());
  raw_.emplace(STDIN_FILENO, TerminalUse{.signals = of_ != Of::kBoot,
                                         .screen = terminal_.get(),
                                         .enter = screen_->enter(),
                                         .leave = screen_->leave()});
  const ThreadsWithoutSignals begins;
  try {
    thread_ = std::thread([this] { loop(); });
  } catch (const std::system_error& error) {
    return host_error("pthread_create", error.code().value(), "--live draws on a thread of its own");
  }
  return {};
}

LiveView::~LiveView() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  const bool printed_here = held_.output;
  raw_.reset();
  held_.release();
  if (of_ != Of::kBoot || !printed_here) return;
  if (const uint64_t before = console_.before_tail(); before > 0) {
    standard_output().put(fmt::format("kvmux: {} bytes of console came before this\n", before));
  }
  standard_output().put(console_.tail());
}

void LiveView::set_title(const std::string& title, const std::string& clock) {
  const std::lock_guard lock(mutex_);
  title_ = title;
  clock_ = clock;
}

void LiveView::set_cells(std::vector<LiveComparison> cells, size_t current) {
  const std::lock_guard lock(mutex_);
  cells_ = std::move(cells);
  current_cell_ = current;
}

void LiveView::type(uint8_t key) {
  LiveKeys keys;
  const std::lock_guard lock(mutex_);
  for (const LiveAction& action : keys.read({&key, 1})) act(action);
}

void LiveView::print(std::span<const uint8_t> bytes) {
  const std::lock_guard lock(console_mutex_);
  console_.add(bytes);
}

void LiveView::begins(const ObservedRun& run) {
  const std::lock_guard lock(mutex_);
  run_.emplace(run);
  began_ = monotonic_now();
  samples_.clear();
  if (of_ != Of::kCompare) features_ = LiveFeatures(run.policies);
  wanted_.reset();
  message_.clear();
}

void LiveView::ends() {
  const std::lock_guard lock(mutex_);
  run_.reset();
}

// A key that nobody has taken up yet meant the policies before.
void LiveView::changed(std::span<const VmChange> vms) {
  const std::lock_guard lock(mutex_);
  if (of_ == Of::kCompare) return;
  features_.go_on_with({vms.begin(), vms.end()});
  wanted_.reset();
}

std::optional<std::vector<VmChange>> LiveView::take_change() {
  const std::lock_guard lock(mutex_);
  return std::exchange(wanted_, std::nullopt);
}

}  // namespace vmm
