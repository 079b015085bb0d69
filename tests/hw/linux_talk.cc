// linux_talk SOCKET LOAD WINDOW_SECONDS LIMIT_SECONDS: talks with the agent of a Linux guest as kvmux does,
// behind the UNIX socket of an emulator's second serial port, and prints what the load did. For
// linux_loads.sh.
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/linux/talk.h"

namespace {

int connected(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  for (int tries = 0; tries < 100; ++tries) {  // the emulator may be about to make it
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    ::close(fd);
    ::usleep(100'000);
  }
  return -1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const int fd = connected(argv[1]);
  if (fd < 0) return 3;
  const std::string load = argv[2];
  const std::chrono::seconds window(std::atoi(argv[3]));
  const std::chrono::seconds limit(std::atoi(argv[4]));
  const auto warmup = load == "idle" ? std::chrono::seconds(0) : limit;
  const auto talk = linux_test::talk(fd, load, warmup, window, limit);
  if (!talk.failure.empty()) {
    fmt::print("{}: FAILED: {}\n", load, talk.failure);
    return 1;
  }
  const auto operations = talk.second.operations - talk.first.operations;
  const std::chrono::duration<double> time = talk.second.at - talk.first.at;
  fmt::print(
      "{}: agent after {:.1f} s, ready after {:.1f} s; {} operations in {:.3f} s of the guest: {:.1f}/s, "
      "steal {:.2f} s",
      load, talk.to_hello.count(), talk.to_ready.count(), operations, time.count(),
      time.count() > 0 ? static_cast<double>(operations) / time.count() : 0.0,
      std::chrono::duration<double>(talk.second.steal_sum() - talk.first.steal_sum()).count());
  for (const auto& latency : talk.second.latencies) fmt::print(", {} {} µs", latency.name, latency.us);
  fmt::print("\n");
  return operations > 0 || load == "idle" ? 0 : 1;
}
