// Calls that fail again and again (vmm/run/retry.h, vmm/run/refusals.h): with a bound.
#include "vmm/run/retry.h"

#include <doctest/doctest.h>

#include "vmm/run/refusals.h"

using namespace std::chrono_literals;
using vmm::Nanos;
using vmm::Refusals;

namespace {

// Fails `times` with `error`, then returns 7.
auto failing(int times, int error, int& calls) {
  return [=, &calls] {
    if (++calls > times) return 7;
    errno = error;
    return -1;
  };
}

}  // namespace

TEST_CASE("a call that a signal interrupts is made again, but not for ever") {
  int calls = 0;
  CHECK(vmm::uninterrupted(failing(3, EINTR, calls)) == 7);
  CHECK(calls == 4);
  calls = 0;
  CHECK(vmm::uninterrupted(failing(1'000'000, EINTR, calls)) == -1);
  CHECK(errno == EINTR);
  CHECK(calls == 1000);
  calls = 0;
  CHECK(vmm::uninterrupted(failing(1'000'000, EPERM, calls)) == -1);
  CHECK(calls == 1);
}

TEST_CASE("what may pass is tried again, what will not is told at once") {
  int calls = 0;
  CHECK(vmm::retried(failing(15, ENOMEM, calls)) == 0);
  calls = 0;
  CHECK(vmm::retried(failing(16, ENOMEM, calls)) == ENOMEM);
  calls = 0;
  CHECK(vmm::retried(failing(16, EPERM, calls)) == EPERM);
  CHECK(calls == 1);
}

TEST_CASE("entries refused in a row end the guest; kicks, exits and stray signals do not") {
  Refusals refusals;
  Nanos now = 1s;
  const auto often = [&](Nanos apart, bool by_us, uint32_t times) {
    bool given_up = false;
    for (uint32_t i = 0; i < times; ++i) given_up = refusals.interrupted(now += apart, by_us);
    return given_up;
  };
  CHECK_FALSE(often(10us, true, 2 * Refusals::kMost));
  CHECK_FALSE(often(10ms, false, 2 * Refusals::kMost));
  CHECK_FALSE(often(10us, false, Refusals::kMost - 2));
  refusals.exited();
  CHECK_FALSE(often(10us, false, Refusals::kMost - 2));
  CHECK_FALSE(often(10us, true, 1));  // its own kicks are no sign that the guest runs
  CHECK(often(10us, false, 2));
}
