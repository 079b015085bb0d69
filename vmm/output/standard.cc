#include "vmm/output/standard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "vmm/run/retry.h"

namespace vmm {
namespace {

constexpr int kHostTrouble = 3;
constexpr int kInterrupted = 130;

const std::atomic<bool>* stop_flag = nullptr;
std::optional<Nanos> hurried_at;  // since then the user waits

bool grace_is_over() {
  if (!hurried_at && stop_flag != nullptr && stop_flag->load()) hurry_readers();
  return hurried_at && monotonic_now() - *hurried_at >= kGrace;
}

// Without blocking: a pipe that nobody has opened to read is waited for like a reader that does not read.
int open_to_write(const std::string& path) {
  for (;;) {
    const int fd = uninterrupted(
        [&] { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666); });
    if (fd >= 0 || errno != ENXIO || grace_is_over()) return fd;
    ::poll(nullptr, 0, 10);
  }
}

// Opened the wrong way round, so that using it fails instead of vanishing.
bool open_as(int descriptor, int mode) {
  if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) return true;
  int opened = ::open("/dev/null", mode);
  if (opened < 0) opened = ::open("/", O_RDONLY | O_DIRECTORY);  // where there is no /dev
  return opened == descriptor;
}

}  // namespace

Outlet& standard_output() {
  static Outlet& outlet = *new Outlet(STDOUT_FILENO);
  return outlet;
}

Outlet& standard_error() {
  static Outlet& outlet = []() -> Outlet& {
    auto& made = *new Outlet(STDERR_FILENO);
    made.cap(kMessageBuffer);
    return made;
  }();
  return outlet;
}

void confine_standard_outlets() {
  standard_output().confine();
  standard_error().confine();
}

Result<void> secure_standard_descriptors() {
  const std::array modes{O_WRONLY, O_RDONLY, O_RDONLY};  // by descriptor
  for (int descriptor = 0; descriptor < static_cast<int>(modes.size()); ++descriptor) {
    if (!open_as(descriptor, modes[static_cast<size_t>(descriptor)])) {
      return host_error("standard descriptors", errno, "they are closed and nothing can take their place");
    }
  }
  for (const int number : {SIGPIPE, SIGXFSZ}) {
    if (::signal(number, SIG_IGN) == SIG_ERR) return host_error("signal", errno);
  }
  return {};
}

void wait_for_readers_until(const std::atomic<bool>& stop) { stop_flag = &stop; }

void hurry_readers() {
  if (!hurried_at) hurried_at = monotonic_now();
}

bool wait_for_readers(Outlet& outlet, std::optional<Nanos> deadline) {
  return outlet.drain([&] {
    if (deadline && monotonic_now() >= *deadline) hurry_readers();
    return grace_is_over();
  });
}

Result<void> write_file(const std::string& what, const std::string& path, std::string_view text) {
  const int fd = open_to_write(path);
  if (fd < 0) return host_error(what, errno, "cannot write the file");
  Outlet outlet(fd, Outlet::Owns::kYes);
  outlet.put(text);
  (void)wait_for_readers(outlet);
  return outlet.finish(what);
}

int finish_standard_output(int status) {
  Outlet& out = standard_output();
  const bool all_read = wait_for_readers(out);
  std::string loss;
  if (const size_t lost = out.lost(); lost > 0) {
    const Error error = host_error("standard output", out.error()).value();
    loss = fmt::format("kvmux: {}: {} bytes were not written\n", error.text(), lost);
    if (status != kInterrupted) status = kHostTrouble;
  } else if (!all_read) {
    loss = fmt::format("kvmux: standard output: its reader does not read: {} bytes were not written\n",
                       out.waiting());
  }
  standard_error().put(loss);
  standard_error().flush();  // messages are worth a moment, whoever waits
  return status;
}

}  // namespace vmm
