// The three IPI models, each promise and each known fault.
#include <doctest/doctest.h>

#include "sched/ipi/kvmux.h"
#include "sched/ipi/pair.h"
#include "support.h"

using namespace sched_test;

namespace {

constexpr Nanos kWindow = 50ms;
constexpr IrqVector kCall{0xfb};
constexpr IrqVector kTimer{0xec};

VcpuSet set_of(std::initializer_list<uint32_t> receivers, uint32_t capacity = 8) {
  VcpuSet set(capacity);
  for (const uint32_t receiver : receivers) set.insert(receiver);
  return set;
}

struct Send {
  uint32_t from;
  std::initializer_list<uint32_t> to;
  IrqVector vector = kCall;
  bool shorthand = false;
  Nanos at{};
};
void send(IpiModel& model, const Send& s) {
  const VcpuSet receivers = set_of(s.to);
  model.sent({s.from, s.vector, s.shorthand, receivers}, s.at);
}

// What every model promises for a plain unicast.
template <class Model>
void check_unicast() {
  Model model(8, {kWindow});
  CHECK_FALSE(model.awaits(0, 1, 0ns));
  CHECK(model.next_awaited(0, 0, 0ns) == std::nullopt);
  send(model, {.from = 0, .to = {1}, .at = 1ms});
  CHECK(model.awaits(0, 1, 1ms));
  CHECK_FALSE(model.awaits(1, 0, 1ms));
  CHECK_FALSE(model.awaits(0, 2, 1ms));
  CHECK(model.next_awaited(0, 0, 2ms) == 1u);
  CHECK(model.next_awaited(0, 1, 2ms) == 1u);  // wrapping round to and including it
  model.eoi(1, kCall, 2ms);
  CHECK_FALSE(model.awaits(0, 1, 2ms));
  CHECK(model.next_awaited(0, 0, 2ms) == std::nullopt);
  // An IPI to oneself is not waited for.
  send(model, {.from = 3, .to = {3}, .at = 3ms});
  CHECK_FALSE(model.awaits(3, 3, 3ms));
}

template <class Model>
void check_window() {
  Model model(8, {kWindow});
  send(model, {.from = 0, .to = {1}, .at = 1ms});
  CHECK(model.awaits(0, 1, 51ms));  // that instant included
  CHECK_FALSE(model.awaits(0, 1, 51ms + 1ns));
  CHECK(model.next_awaited(0, 0, 51ms + 1ns) == std::nullopt);
}

}  // namespace

TEST_CASE("ipi models: a unicast is awaited from its send to its EOI") {
  check_unicast<V2IpiModel>();
  check_unicast<V3IpiModel>();
  check_unicast<KvmuxIpiModel>();
}

TEST_CASE("ipi v2, v3: a send counts for its window") {
  check_window<V2IpiModel>();
  check_window<V3IpiModel>();
}

TEST_CASE("ipi v2, v3: what is not a unicast by destination is not seen") {
  V2IpiModel v2(8, kWindow);
  V3IpiModel v3(8, kWindow);
  for (IpiModel* model : {static_cast<IpiModel*>(&v2), static_cast<IpiModel*>(&v3)}) {
    send(*model, {.from = 0, .to = {1, 2}});
    CHECK_FALSE(model->awaits(0, 1, 0ns));
    send(*model, {.from = 0, .to = {1}, .shorthand = true});  // all but self, of two vCPUs
    CHECK_FALSE(model->awaits(0, 1, 0ns));
    send(*model, {.from = 0, .to = {}});  // nobody accepted it
    CHECK(model->next_awaited(0, 0, 0ns) == std::nullopt);
  }
}

TEST_CASE("ipi v2 fault: an EOI of an unrelated vector drops the receiver's own pending send") {
  V2IpiModel model(8, {kWindow});
  send(model, {.from = 1, .to = {2}});
  model.eoi(1, kTimer, 1ms);  // vCPU 1 acknowledged its timer: nothing to do with its send
  CHECK_FALSE(model.awaits(1, 2, 1ms));
}

TEST_CASE("ipi v2 fault: an EOI of any vector ends the sender's wait") {
  V2IpiModel model(8, {kWindow});
  send(model, {.from = 0, .to = {1}});
  model.eoi(1, kTimer, 1ms);
  CHECK_FALSE(model.awaits(0, 1, 1ms));
}

TEST_CASE("ipi v2 fault: a second sender to one receiver hides the first") {
  V2IpiModel model(8, {kWindow});
  send(model, {.from = 0, .to = {2}});
  send(model, {.from = 1, .to = {2}, .at = 1ms});
  model.eoi(2, kCall, 2ms);
  CHECK_FALSE(model.awaits(1, 2, 2ms));
  CHECK(model.awaits(0, 2, 2ms));  // for ever, until the window closes: its EOI was taken for the other's
  model.eoi(2, kCall, 3ms);
  CHECK(model.awaits(0, 2, 3ms));
}

TEST_CASE("ipi v2: an EOI after the window leaves the sender's flag, which does not count any more") {
  V2IpiModel model(8, {kWindow});
  send(model, {.from = 0, .to = {1}});
  model.eoi(1, kCall, 60ms);
  CHECK_FALSE(model.awaits(0, 1, 60ms));
}

TEST_CASE("ipi v2: a sender that meanwhile sent elsewhere keeps that wait") {
  V2IpiModel model(8, {kWindow});
  send(model, {.from = 0, .to = {1}});
  send(model, {.from = 0, .to = {2}, .at = 1ms});  // remembers its last receiver alone
  CHECK_FALSE(model.awaits(0, 1, 1ms));
  model.eoi(1, kCall, 2ms);
  CHECK(model.awaits(0, 2, 2ms));
}

TEST_CASE("ipi v3: only the EOI of the vector sent ends the wait, and one's own wait survives it") {
  V3IpiModel model(8, {kWindow});
  send(model, {.from = 0, .to = {1}});
  send(model, {.from = 1, .to = {2}});
  model.eoi(1, kTimer, 1ms);
  CHECK(model.awaits(0, 1, 1ms));
  CHECK(model.awaits(1, 2, 1ms));
  model.eoi(1, kCall, 2ms);
  CHECK_FALSE(model.awaits(0, 1, 2ms));
  CHECK(model.awaits(1, 2, 2ms));
}

TEST_CASE("ipi v3: an EOI that is no answer to the last send of that sender leaves its wait") {
  V3IpiModel model(8, {kWindow});
  send(model, {.from = 0, .to = {1}, .vector = kCall});
  send(model, {.from = 0, .to = {1}, .vector = kTimer, .at = 1ms});  // remembers the last vector
  model.eoi(1, kCall, 2ms);
  CHECK(model.awaits(0, 1, 2ms));
  model.eoi(1, kTimer, 3ms);
  CHECK_FALSE(model.awaits(0, 1, 3ms));
}

TEST_CASE("ipi kvmux: multicast and broadcast: each receiver is awaited until its own EOI") {
  KvmuxIpiModel model(8, {kWindow});
  send(model, {.from = 2, .to = {0, 1, 5}});
  CHECK(model.next_awaited(2, 2, 0ns) == 5u);
  CHECK(model.next_awaited(2, 5, 0ns) == 0u);
  CHECK(model.next_awaited(2, 0, 0ns) == 1u);
  model.eoi(0, kCall, 1ms);
  CHECK_FALSE(model.awaits(2, 0, 1ms));
  CHECK(model.awaits(2, 1, 1ms));
  CHECK(model.awaits(2, 5, 1ms));
  model.eoi(5, kCall, 1ms);
  model.eoi(1, kCall, 1ms);
  CHECK(model.next_awaited(2, 2, 1ms) == std::nullopt);
  send(model, {.from = 0, .to = {0, 1, 2, 3, 4, 5, 6, 7}, .shorthand = true, .at = 2ms});
  CHECK_FALSE(model.awaits(0, 0, 2ms));
  for (uint32_t receiver = 1; receiver < 8; ++receiver) CHECK(model.awaits(0, receiver, 2ms));
}

TEST_CASE("ipi kvmux: vCPUs beyond the first 64 and 128") {
  KvmuxIpiModel model(200, {kWindow});
  const VcpuSet receivers = set_of({3, 70, 199}, 200);
  model.sent({150, kCall, false, receivers}, 0ns);
  CHECK(model.next_awaited(150, 150, 1ms) == 199u);
  CHECK(model.next_awaited(150, 199, 1ms) == 3u);
  CHECK(model.next_awaited(150, 3, 1ms) == 70u);
  model.eoi(70, kCall, 1ms);
  CHECK_FALSE(model.awaits(150, 70, 1ms));
  CHECK(model.awaits(150, 199, 1ms));
}

TEST_CASE("ipi kvmux: two senders to one receiver do not hide each other; one EOI answers both") {
  KvmuxIpiModel model(8, {kWindow});
  send(model, {.from = 0, .to = {2}});
  send(model, {.from = 1, .to = {2}});
  CHECK(model.awaits(0, 2, 1ms));
  CHECK(model.awaits(1, 2, 1ms));
  model.eoi(2, kCall, 1ms);  // one IRR bit: the handler runs once for both
  CHECK_FALSE(model.awaits(0, 2, 1ms));
  CHECK_FALSE(model.awaits(1, 2, 1ms));
}

TEST_CASE("ipi kvmux: vectors do not answer for each other") {
  KvmuxIpiModel model(8, {kWindow});
  const IrqVector other{0xf0};
  send(model, {.from = 0, .to = {1}, .vector = kCall});
  send(model, {.from = 0, .to = {1}, .vector = other});
  model.eoi(1, kTimer, 1ms);
  CHECK(model.awaits(0, 1, 1ms));
  model.eoi(1, kCall, 1ms);
  CHECK(model.awaits(0, 1, 1ms));
  model.eoi(1, other, 1ms);
  CHECK_FALSE(model.awaits(0, 1, 1ms));
}

TEST_CASE("ipi kvmux: a fifth vector takes the place of the oldest") {
  KvmuxIpiModel model(8, {kWindow});
  for (uint8_t i = 0; i < 5; ++i) {
    send(model, {.from = 0,
                 .to = {i + 1u},
                 .vector = IrqVector{static_cast<uint8_t>(0x40 + i)},
                 .at = 1ms * (i + 1)});
  }
  CHECK_FALSE(model.awaits(0, 1, 6ms));
  for (uint32_t receiver = 2; receiver <= 5; ++receiver) CHECK(model.awaits(0, receiver, 6ms));
  model.eoi(1, IrqVector{0x40}, 6ms);  // too late, and no harm
  for (uint32_t receiver = 2; receiver <= 5; ++receiver) CHECK(model.awaits(0, receiver, 6ms));
}

TEST_CASE("ipi kvmux: the window follows eight times the mean of send → EOI, from 1 ms to the longest") {
  KvmuxIpiModel model(8, {kWindow});
  CHECK(model.window() <= kWindow);
  CHECK(model.window() >= kWindow - 8ns);  // nothing known yet: as long as allowed
  Nanos now{};
  const auto answer_after = [&](Nanos time, int times) {
    for (int i = 0; i < times; ++i) {
      send(model, {.from = 0, .to = {1}, .at = now});
      now += time;
      model.eoi(1, kCall, now);
    }
  };
  answer_after(500us, 300);
  CHECK(std::abs((model.window() - 4ms).count()) <= 1000);
  answer_after(10us, 300);
  CHECK(model.window() == 1ms);
  answer_after(1s, 300);
  CHECK(model.window() == kWindow);
  answer_after(500us, 300);
  send(model, {.from = 0, .to = {1}, .at = now});
  CHECK(model.awaits(0, 1, now + 3900us));
  CHECK_FALSE(model.awaits(0, 1, now + 4100us));
}

TEST_CASE("ipi kvmux: a longest window below 1 ms holds") {
  KvmuxIpiModel model(8, {100us});
  CHECK(model.window() <= 100us);
  send(model, {.from = 0, .to = {1}});
  CHECK_FALSE(model.awaits(0, 1, 101us));
}

TEST_CASE("ipi kvmux: sending a vector again renews the wait") {
  KvmuxIpiModel model(8, {kWindow});
  send(model, {.from = 0, .to = {1}});
  send(model, {.from = 0, .to = {2}, .at = 40ms});
  CHECK(model.awaits(0, 1, 60ms));  // both are outstanding on this vector, as of the last send
  CHECK(model.awaits(0, 2, 60ms));
}

TEST_CASE("make_ipi_model: the model of each kind") {
  CHECK(make_ipi_model(IpiModelKind::kNone, 4, {kWindow}) == nullptr);
  CHECK(dynamic_cast<V2IpiModel*>(make_ipi_model(IpiModelKind::kV2, 4, {kWindow}).get()) != nullptr);
  CHECK(dynamic_cast<V3IpiModel*>(make_ipi_model(IpiModelKind::kV3, 4, {kWindow}).get()) != nullptr);
  CHECK(dynamic_cast<KvmuxIpiModel*>(make_ipi_model(IpiModelKind::kKvmux, 4, {kWindow}).get()) != nullptr);
}

TEST_CASE("a set of vCPUs: members, words, size") {
  VcpuSet set(130);
  set.insert(0);
  set.insert(64);
  set.insert(129);
  CHECK(set.size() == 3);
  CHECK(set.words() == 3);
  CHECK(set.word(2) == 2);
  std::vector<uint32_t> seen;
  set.for_each([&](uint32_t index) { seen.push_back(index); });
  CHECK(seen == std::vector<uint32_t>{0, 64, 129});
  set.clear();
  CHECK(set.size() == 0);
}
