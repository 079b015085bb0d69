// Destinations: physical, logical flat and cluster, x2APIC logical, broadcast, disabled APICs, arbitration,
// mixed modes.
#include "rig.h"

namespace apic_test {
namespace {

using Indices = Machine::Indices;

constexpr std::uint32_t kFlat = 0xffffffff, kCluster = 0x0fffffff;
constexpr std::uint64_t kBroadcast32 = 0xffffffff;

InterruptMessage narrow(std::uint32_t destination, DestMode mode, unsigned vector = 0x50) {
  return {.destination = destination, .dest_mode = mode, .vector = Vector(vector)};
}
InterruptMessage wide(std::uint32_t destination, DestMode mode, unsigned vector = 0x50) {
  InterruptMessage m = narrow(destination, mode, vector);
  m.width = DestWidth::kWide;
  return m;
}

// Sets every APIC's LDR and DFR.
void set_logical(Machine& machine, std::uint32_t dfr, const std::vector<std::uint32_t>& logical_ids) {
  for (std::size_t i = 0; i < logical_ids.size(); ++i) {
    (void)machine[i].write(Reg::kDfr, dfr);
    (void)machine[i].write(Reg::kLdr, logical_ids[i] << 24);
  }
}

TEST_CASE("physical: exactly the APIC with that id, wherever it stands in the array") {
  for (const auto& ids : {std::vector<std::uint32_t>{0, 1, 2, 3}, {3, 0, 7, 1}, {10, 20, 30, 40}}) {
    Machine machine(ids);
    for (std::uint32_t destination = 0; destination < 0xff; ++destination) {
      Indices expected;
      for (unsigned i = 0; i < ids.size(); ++i) {
        if (ids[i] == destination) expected.push_back(i);
      }
      CHECK(machine.send(narrow(destination, DestMode::kPhysical)) == expected);
      CHECK(machine.send(wide(destination, DestMode::kPhysical)) == expected);
    }
  }
}

TEST_CASE("physical broadcast: FFH from an xAPIC, FFFFFFFFH from an x2APIC, the sender included") {
  Machine machine(3);
  CHECK(machine.icr(1, 0xff, kFixed | kAssert | 0x50) == Indices{0, 1, 2});
  machine.all_to_x2apic();
  CHECK(machine.icr64(1, kBroadcast32, kFixed | kAssert | 0x50) == Indices{0, 1, 2});
  CHECK(machine.icr64(1, 0xff, kFixed | kAssert | 0x50).empty());
}

TEST_CASE("x2APIC physical reaches ids beyond 8 bits, also of APs not yet in x2APIC mode") {
  Machine machine({0, 44, 300, 0x10000});
  machine[0].to_x2apic();
  machine[3].to_x2apic();
  CHECK(machine.icr64(0, 300, kInit | kAssert) == Indices{2});
  CHECK(machine.icr64(0, 0x10000, kFixed | kAssert | 0x50) == Indices{3});
  // 44 is 300's id cut to 8 bits: it must stay 44's alone.
  CHECK(machine.icr64(0, 44, kFixed | kAssert | 0x50) == Indices{1});
  CHECK(machine.icr(1, 44, kFixed | kAssert | 0x50) == Indices{1});
}

TEST_CASE("1024 APICs: each is reached by its id, and by its cluster and bit") {
  Machine machine(1024u);
  machine.all_to_x2apic();
  for (std::uint32_t id = 0; id < 1024; id += 7) {
    CHECK(machine.icr64(0, id, kFixed | kAssert | 0x50) == Indices{id});
    CHECK(machine.icr64(0, (id >> 4) << 16 | 1u << (id & 15), kLogical | kAssert | 0x50) == Indices{id});
  }
  CHECK(machine.icr64(5, 0, kAll | kAssert | 0x50).size() == 1024);
  CHECK(machine.icr64(5, 0, kOthers | kAssert | 0x50).size() == 1023);
}

TEST_CASE("logical flat: every bit set in both MDA and logical id is a match") {
  Machine machine(8);
  set_logical(machine, kFlat, {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0xc0});
  const std::uint32_t logical_ids[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0xc0};
  for (std::uint32_t mda = 0; mda < 0xff; ++mda) {
    Indices expected;
    for (unsigned i = 0; i < 8; ++i) {
      if (mda & logical_ids[i]) expected.push_back(i);
    }
    CHECK(machine.icr(0, mda, kLogical | kAssert | 0x50) == expected);
  }
}

TEST_CASE("logical cluster: the cluster must be equal and a member bit common") {
  const std::uint32_t logical_ids[] = {0x01, 0x02, 0x04, 0x08, 0x11, 0x12, 0x13, 0xe8};
  Machine machine(8);
  set_logical(machine, kCluster, {std::begin(logical_ids), std::end(logical_ids)});
  for (std::uint32_t mda = 0; mda < 0xff; ++mda) {
    Indices expected;
    for (unsigned i = 0; i < 8; ++i) {
      if (mda / 16 == logical_ids[i] / 16 && (mda % 16 & logical_ids[i] % 16)) expected.push_back(i);
    }
    CHECK(machine.icr(0, mda, kLogical | kAssert | 0x50) == expected);
  }
}

TEST_CASE("logical broadcast reaches all, with logical id 0 and under a reserved model too") {
  Machine machine(3);
  set_logical(machine, kFlat, {0, 0x01, 0x02});
  (void)machine[2].write(Reg::kDfr, 0x50000000);
  CHECK(machine.icr(0, 0xff, kLogical | kAssert | 0x50) == Indices{0, 1, 2});
  CHECK(machine.icr(0, 0x02, kLogical | kAssert | 0x50).empty());
}

TEST_CASE("x2APIC logical: cluster in the upper half, members in the lower") {
  Machine machine({0, 1, 15, 16, 17, 31, 0x123});
  machine.all_to_x2apic();
  struct Row {
    std::uint32_t destination;
    Indices reached;
  };
  const Row kRows[] = {
      {0x00000001, {0}}, {0x00000003, {0, 1}}, {0x0000ffff, {0, 1, 2}},
      {0x00008000, {2}}, {0x00010001, {3}},    {0x0001ffff, {3, 4, 5}},
      {0x00010002, {4}}, {0x00120008, {6}},    {0x0012fff7, {}},
      {0x00020001, {}},  {0x00000000, {}},     {0xffffffff, {0, 1, 2, 3, 4, 5, 6}},
      {0xffff0001, {}},  {0x00118000, {}},
  };
  for (const Row& row : kRows) {
    CAPTURE(row.destination);
    CHECK(machine.icr64(0, row.destination, kLogical | kAssert | 0x50) == row.reached);
  }
}

TEST_CASE("an IOAPIC's or MSI's 8-bit logical destination names x2APIC ids 0 to 7") {
  Machine machine({0, 3, 7, 8, 16, 19});
  machine.all_to_x2apic();
  CHECK(machine.send(narrow(0x01, DestMode::kLogical)) == Indices{0});
  CHECK(machine.send(narrow(0x88, DestMode::kLogical)) == Indices{1, 2});
  CHECK(machine.send(narrow(0x06, DestMode::kLogical)).empty());
  CHECK(machine.send(narrow(0xff, DestMode::kLogical)).size() == 6);
  CHECK(machine.send(narrow(0xff, DestMode::kPhysical)).size() == 6);
  CHECK(machine.send(narrow(19, DestMode::kPhysical)) == Indices{5});
}

TEST_CASE("an x2APIC's logical message means nothing to an APIC in xAPIC mode") {
  Machine machine(2);
  set_logical(machine, kFlat, {0x01, 0x02});
  machine[0].to_x2apic();
  CHECK(machine.icr64(0, 0x0003, kLogical | kAssert | 0x50) == Indices{0});
}

TEST_CASE("a software-disabled APIC takes NMI, INIT and SIPI but no fixed or lowest-priority messages") {
  Machine machine(3);
  (void)machine[1].write(Reg::kSvr, 0xff);
  CHECK(machine.icr(0, 1, kFixed | kAssert | 0x50).empty());
  CHECK(machine.accepted == 0);
  CHECK(machine.icr(0, 1, kLowest | kAssert | 0x50).empty());
  CHECK(machine.icr(0, 1, kFixed | kAssert | 5).empty());
  CHECK(machine[1].esr() == 0);
  CHECK(machine.icr(0, 0, kAll | kAssert | 0x50) == Indices{0, 2});
  CHECK(machine.icr(0, 1, kNmi | kAssert) == Indices{1});
  CHECK(machine.icr(0, 1, kInit | kAssert) == Indices{1});
  CHECK(machine.icr(0, 1, kSipi | kAssert | 8) == Indices{1});
}

TEST_CASE("a software-disabled APIC can still send") {
  Machine machine(2);
  (void)machine[0].write(Reg::kSvr, 0xff);
  CHECK(machine.icr(0, 1, kFixed | kAssert | 0x50) == Indices{1});
}

TEST_CASE("a hardware-disabled APIC is not on the bus at all") {
  Machine machine(3);
  machine[1].set_base(kApicDefaultAddress).value();
  for (std::uint32_t mode : {kFixed, kLowest, kNmi, kInit, kSipi}) {
    CHECK(machine.icr(0, 1, mode | kAssert | 0x50).empty());
    CHECK_FALSE(machine[1].lapic.has_event());
  }
  CHECK(machine.icr(0, 0xff, kNmi | kAssert) == Indices{0, 2});
  CHECK(machine.icr(0, 0, kAll | kNmi | kAssert) == Indices{0, 2});
  CHECK(machine.icr(0, 0, kOthers | kInit | kAssert) == Indices{2});
}

TEST_CASE("lowest priority: the lowest PPR among those named, enabled ones only") {
  Machine machine(5);
  set_logical(machine, kFlat, {0x01, 0x02, 0x04, 0x08, 0x10});
  (void)machine[0].write(Reg::kTpr, 0x40);
  (void)machine[1].write(Reg::kTpr, 0x20);
  machine[2].serve(0x35);  // PPR 30H through its ISR
  (void)machine[3].write(Reg::kSvr, 0xff);
  (void)machine[4].write(Reg::kTpr, 0x50);
  CHECK(machine.icr(0, 0x1f, kLogical | kLowest | kAssert | 0x60) == Indices{1});
  CHECK(machine.icr(0, 0x1d, kLogical | kLowest | kAssert | 0x60) == Indices{2});
  CHECK(machine.icr(0, 0x11, kLogical | kLowest | kAssert | 0x60) == Indices{0});
  CHECK(machine.icr(0, 0x08, kLogical | kLowest | kAssert | 0x60).empty());
  CHECK(machine.icr(0, 0xff, kLogical | kLowest | kAssert | 0x61) == Indices{1});
}

TEST_CASE("lowest priority among equals: one for each message, the same for the same vector, all in turn") {
  Machine machine(4);
  set_logical(machine, kFlat, {0x01, 0x02, 0x04, 0x08});
  std::vector<unsigned> hits(4);
  for (unsigned vector = 0x50; vector < 0x60; ++vector) {
    const Indices first = machine.send(InterruptMessage{.destination = 0x0f,
                                                        .dest_mode = DestMode::kLogical,
                                                        .delivery = DeliveryMode::kLowestPriority,
                                                        .vector = Vector(vector)});
    REQUIRE(first.size() == 1);
    ++hits[first[0]];
    CHECK(machine.send(InterruptMessage{.destination = 0x0f,
                                        .dest_mode = DestMode::kLogical,
                                        .delivery = DeliveryMode::kLowestPriority,
                                        .vector = Vector(vector)}) == first);
  }
  CHECK(hits == std::vector<unsigned>{4, 4, 4, 4});
}

TEST_CASE("a level-triggered message sets TMR at its target") {
  Machine machine(2);
  InterruptMessage m = narrow(1, DestMode::kPhysical, 0x71);
  m.trigger = TriggerMode::kLevel;
  CHECK(machine.send(m) == Indices{1});
  CHECK(machine.accepted == 1);
  CHECK(machine[1].trigger_level(0x71));
}

TEST_CASE("a message that merges with one already pending counts as accepted") {
  Machine machine(2);
  CHECK(machine.send(narrow(1, DestMode::kPhysical)) == Indices{1});
  CHECK(machine.send(narrow(1, DestMode::kPhysical)) == Indices{1});
  CHECK(machine.accepted == 1);
}

}  // namespace
}  // namespace apic_test
