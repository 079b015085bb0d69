// Whom a waiting vCPU needs, as its guest publishes it.
#include "sched/yield/needed.h"

#include <doctest/doctest.h>

#include <initializer_list>

#include "guest_says.h"

using namespace sched;
using sched_test::GuestSays;

namespace {

constexpr uint64_t kLock = 7;
constexpr uint64_t kOtherLock = 8;
constexpr uint64_t kBarrier = 9;

VcpuBits those(std::initializer_list<uint32_t> vcpus) {
  VcpuBits bits;
  for (const uint32_t vcpu : vcpus) bits.set(vcpu);
  return bits;
}

}  // namespace

TEST_CASE("needed: the owner of the lock that is waited for") {
  GuestSays guest(4);
  guest.owns(2, kLock);
  guest.owns(1, kOtherLock);
  guest.waits(0, GuestWait::kLock, kLock);
  CHECK(needed_by(guest.all(), 0) == those({2}));
  CHECK(needed_by(guest.all(), 3).none());  // waits for nothing
}

TEST_CASE("needed: where nobody owns a fair lock, who is first in line; the first itself needs nobody") {
  GuestSays guest(4);
  guest.waits(0, GuestWait::kLock, kLock, 12);
  guest.waits(1, GuestWait::kLock, kLock, 11);
  guest.waits(2, GuestWait::kLock, kLock, 10);
  guest.waits(3, GuestWait::kLock, kOtherLock, 1);
  CHECK(needed_by(guest.all(), 0) == those({2}));
  CHECK(needed_by(guest.all(), 2).none());
}

TEST_CASE("needed: a lock without an order that nobody owns is anybody's") {
  GuestSays guest(3);
  guest.waits(0, GuestWait::kLock, kLock);
  guest.waits(1, GuestWait::kLock, kLock);
  CHECK(needed_by(guest.all(), 0).none());
}

TEST_CASE("needed: who has been handed the lock works, though it has not seen that yet") {
  GuestSays guest(3);
  guest.waits(0, GuestWait::kLock, kLock);
  guest.waits(1, GuestWait::kLock, kLock);
  guest.owns(1, kLock);
  CHECK(needed_by(guest.all(), 0) == those({1}));
  CHECK_FALSE(waits(guest[1]));
  CHECK(needed_by(guest.all(), 1).none());
}

TEST_CASE("needed: at a barrier, those who have not arrived in its generation, and behind them whom they wait for") {
  GuestSays guest(6);
  guest.waits(0, GuestWait::kBarrier, kBarrier, 5);
  guest.waits(1, GuestWait::kBarrier, kBarrier, 5);
  guest.waits(2, GuestWait::kBarrier, kBarrier, 4);  // through, and has not seen it
  guest.waits(3, GuestWait::kLock, kLock);
  guest.owns(4, kLock);
  CHECK(needed_by(guest.all(), 0) == those({2, 4, 5}));
}

TEST_CASE("needed: receivers of IPIs, whatever they wait for themselves, beyond 64 as well") {
  GuestSays guest(130);
  guest.awaits(0, 1);
  guest.awaits(0, 129);
  guest.waits(129, GuestWait::kLock, kLock);
  guest.owns(5, kLock);
  CHECK(needed_by(guest.all(), 0) == those({1, 129}));
}

TEST_CASE("needed: for work, all that work, and those who keep others from it") {
  GuestSays guest(5);
  guest.waits(0, GuestWait::kWork);
  guest.waits(1, GuestWait::kWork);
  guest.waits(2, GuestWait::kLock, kLock);
  guest.owns(3, kLock);
  CHECK(needed_by(guest.all(), 0) == those({3, 4}));
}

TEST_CASE("needed: waits in a circle end") {
  GuestSays guest(3);
  guest.owns(0, kLock);
  guest.owns(1, kOtherLock);
  guest.waits(0, GuestWait::kLock, kOtherLock);
  guest.waits(1, GuestWait::kLock, kLock);
  CHECK(needed_by(guest.all(), 0).none());
  guest.waits(2, GuestWait::kBarrier, kBarrier, 1);
  CHECK(needed_by(guest.all(), 2).none());
}

TEST_CASE("needed: a guest that publishes nothing, or nonsense, names nobody") {
  GuestSays guest(2);
  guest.waits(0, GuestWait::kLock, kLock);
  guest.owns(1, kLock);
  GuestPage::store(guest[0].version, 0);
  CHECK(needed_by(guest.all(), 0).none());
  CHECK(needed_by(GuestPages{}, 0).none());
  GuestPage::store(guest[0].version, 2);
  GuestPage::store(guest[0].waits, 0x7fff);
  CHECK(needed_by(guest.all(), 0).none());
  CHECK_FALSE(waits(guest[0]));
}
