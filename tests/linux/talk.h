// The host's part of a talk with an agent behind a file descriptor (pty, socket of an emulator's serial
// port), with real time: for tests that run an agent. Blocks; one caller.
#pragma once

#include <chrono>
#include <string>

#include "vmm/linux/session.h"

namespace linux_test {

struct Talk {
  std::string failure;  // empty: from hello to ended as it should be
  vmm::linux_guest::Counters first, second;
  std::chrono::duration<double> to_hello{}, to_ready{};
};

// Until ready, then go; a count as soon as one answer says that work is finished (or after `warmup`), another
// one `window` later; stop. `limit` is for everything up to ready, and again for the rest.
[[nodiscard]] Talk talk(int fd, const std::string& load, std::chrono::milliseconds warmup,
                        std::chrono::milliseconds window, std::chrono::seconds limit);

}  // namespace linux_test
