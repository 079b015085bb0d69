// What --live costs guests on KVM (overhead.h): the view draws on a terminal whose other end is read and
// thrown away, as a terminal emulator does that is not slow.
//   bench_live_overhead [PAIRS [SECONDS [GUEST…]]]      21 pairs of 1 s; lock and ipi
// Target: below 1 % lost.
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "tests/bench/overhead.h"
#include "vmm/live/view.h"

namespace {

std::atomic<uint64_t> drawn{0};

// The standard input becomes a terminal of this size.
void take_a_terminal() {
  int other_end = -1;
  int terminal = -1;
  winsize size{};
  size.ws_row = 50;
  size.ws_col = 160;
  if (::openpty(&other_end, &terminal, nullptr, nullptr, &size) != 0 || ::dup2(terminal, STDIN_FILENO) < 0) {
    fmt::print(stderr, "no pseudoterminal\n");
    std::exit(3);
  }
  ::setenv("TERM", "xterm", 1);
  std::thread([other_end] {
    std::array<char, 65536> bytes;
    for (ssize_t got = 0; (got = ::read(other_end, bytes.data(), bytes.size())) > 0;) {
      drawn += static_cast<uint64_t>(got);
    }
  }).detach();
}

}  // namespace

int main(int argc, char** argv) {
  const overhead::Arguments arguments = overhead::arguments(argc, argv);
  take_a_terminal();
  for (const std::string& guest : arguments.guests) {
    drawn = 0;
    const auto with = [](const vmm::RunSpec& spec) {
      vmm::RunControl control;
      auto view = vmm::LiveView::open(vmm::LiveView::Of::kRun, control.stop);
      if (!view || !(*view)->start()) {
        fmt::print(stderr, "no view\n");
        std::exit(3);
      }
      control.observer = view->get();
      return overhead::throughput(spec, control);
    };
    overhead::compare("watched : unwatched", guest, arguments, with, [&] {
      return fmt::format(", {:.0f} bytes/s",
                         static_cast<double>(drawn) / (arguments.pairs * arguments.seconds));
    });
  }
  return 0;
}
