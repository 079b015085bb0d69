// The IOAPIC's registers, edge and level pins, remote IRR, EOI, reconfiguration and polarity.
#include "ioapic_rig.h"

namespace apic_test {
namespace {

TEST_CASE("identification registers") {
  Board board;
  CHECK(board.read(0) == 0x02000000);
  CHECK(board.read(1) == 0x00170020);
  CHECK(board.read(2) == 0x02000000);
  board.write(0, 0xffffffff);
  CHECK(board.read(0) == 0x0f000000);
  CHECK(board.read(2) == 0x0f000000);
  board.write(1, 0);
  CHECK(board.read(1) == 0x00170020);
  board.ioapic.reset();
  CHECK(board.read(0) == 0x02000000);
}

TEST_CASE("entries are masked after reset; read-only and reserved bits stay 0") {
  Board board;
  board.sink.accept = false;
  for (unsigned pin = 0; pin < IoApic::kPins; ++pin) {
    const auto high = static_cast<std::uint8_t>(Board::low(pin) + 1);
    CHECK(board.read(Board::low(pin)) == kMasked);
    CHECK(board.read(high) == 0);
    board.write(Board::low(pin), 0xffffffff);
    board.write(high, 0xffffffff);
    CHECK(board.read(Board::low(pin)) == 0x0001afff);
    CHECK(board.read(high) == 0xff000000);
  }
  board.ioapic.reset();
  CHECK(board.read(Board::low(23)) == kMasked);
}

TEST_CASE("unknown indices and offsets read 0 and ignore writes") {
  Board board;
  for (unsigned index = 3; index < 0x10; ++index) {
    board.write(static_cast<std::uint8_t>(index), 0xffffffff);
    CHECK(board.read(static_cast<std::uint8_t>(index)) == 0);
  }
  for (unsigned index = 0x10 + 2 * IoApic::kPins; index < 0x100; ++index) {
    board.write(static_cast<std::uint8_t>(index), 0xffffffff);
    CHECK(board.read(static_cast<std::uint8_t>(index)) == 0);
  }
  for (std::uint32_t offset : {0x04u, 0x08u, 0x20u, 0x30u, 0x40u, 0x44u, 0xff0u})
    CHECK(board.ioapic.read(offset) == 0);
  board.ioapic.write(0x00, 0x17, board.sink);
  CHECK(board.ioapic.read(0x00) == 0x17);
}

TEST_CASE("an entry becomes a message field by field") {
  Board board;
  for (std::uint32_t mode = 0; mode < 8; ++mode) {
    CAPTURE(mode);
    board.program(5, mode << 8 | kLogical | 0x7a, 0xc3);
    board.line(5, true);
    board.line(5, false);
    REQUIRE(board.sink.messages.size() == 1);
    const InterruptMessage expected{.destination = 0xc3,
                                    .width = DestWidth::kNarrow,
                                    .dest_mode = DestMode::kLogical,
                                    .delivery = DeliveryMode(mode),
                                    .trigger = TriggerMode::kEdge,
                                    .assert_level = true,
                                    .vector = Vector(0x7a)};
    CHECK(board.sink.messages[0] == expected);
    board.sink.messages.clear();
  }
}

TEST_CASE("edge: one message for each rise, no remote IRR") {
  Board board;
  board.program(3, 0x41);
  board.line(3, true);
  CHECK(board.sent() == 1);
  CHECK_FALSE(board.remote_irr(3));
  board.line(3, true);
  board.line(3, false);
  CHECK(board.sent() == 0);
  board.line(3, true);
  CHECK(board.sent() == 1);
}

TEST_CASE("edge: a rise on a masked pin is lost") {
  Board board;
  board.program(3, kMasked | 0x41);
  board.line(3, true);
  board.program(3, 0x41);
  CHECK(board.sent() == 0);
  board.line(3, false);
  board.line(3, true);
  CHECK(board.sent() == 1);
}

TEST_CASE("level: one message until EOI, again while the line stays active") {
  Board board;
  board.program(9, kLevel | 0x52);
  board.line(9, true);
  CHECK(board.sent() == 1);
  CHECK(board.remote_irr(9));
  board.line(9, false);
  board.line(9, true);
  CHECK(board.sent() == 0);
  board.ioapic.end_of_interrupt(Vector(0x53), board.sink);
  CHECK(board.remote_irr(9));
  board.ioapic.end_of_interrupt(Vector(0x52), board.sink);
  CHECK(board.sent() == 1);
  CHECK(board.remote_irr(9));
  board.line(9, false);
  CHECK(board.remote_irr(9));
  board.ioapic.end_of_interrupt(Vector(0x52), board.sink);
  CHECK(board.sent() == 0);
  CHECK_FALSE(board.remote_irr(9));
}

TEST_CASE("level: the EOI register does what an EOI message does") {
  Board board;
  board.program(9, kLevel | 0x52);
  board.line(9, true);
  CHECK(board.sent() == 1);
  board.line(9, false);
  board.ioapic.write(0x40, 0x52, board.sink);
  CHECK_FALSE(board.remote_irr(9));
}

TEST_CASE("level: all pins that share a vector get its EOI") {
  Board board;
  board.program(9, kLevel | 0x52);
  board.program(10, kLevel | 0x52);
  board.line(9, true);
  board.line(10, true);
  CHECK(board.sent() == 2);
  board.line(9, false);
  board.ioapic.end_of_interrupt(Vector(0x52), board.sink);
  CHECK(board.sent() == 1);
  CHECK_FALSE(board.remote_irr(9));
  CHECK(board.remote_irr(10));
}

TEST_CASE("level: masked while active, it is sent when unmasked if still active") {
  for (bool still_active : {false, true}) {
    Board board;
    board.program(9, kMasked | kLevel | 0x52);
    board.line(9, true);
    CHECK(board.sent() == 0);
    if (!still_active) board.line(9, false);
    board.program(9, kLevel | 0x52);
    CHECK(board.sent() == (still_active ? 1u : 0u));
    CHECK(board.remote_irr(9) == still_active);
  }
}

TEST_CASE("level: masking keeps remote IRR, an EOI while masked clears it without sending") {
  Board board;
  board.program(9, kLevel | 0x52);
  board.line(9, true);
  board.program(9, kMasked | kLevel | 0x52);
  CHECK(board.remote_irr(9));
  CHECK(board.sent() == 1);
  board.ioapic.end_of_interrupt(Vector(0x52), board.sink);
  CHECK_FALSE(board.remote_irr(9));
  CHECK(board.sent() == 0);
  board.program(9, kLevel | 0x52);
  CHECK(board.sent() == 1);
}

TEST_CASE("level: not accepted means no remote IRR; the next change of line or entry tries again") {
  Board board;
  board.sink.accept = false;
  board.program(9, kLevel | 0x52);
  board.line(9, true);
  CHECK(board.sent() == 1);
  CHECK_FALSE(board.remote_irr(9));
  board.sink.accept = true;
  board.write(Board::low(9), kLevel | 0x52);
  CHECK(board.sent() == 1);
  CHECK(board.remote_irr(9));
}

TEST_CASE("turning an entry to edge and back ends its level interrupt") {
  Board board;
  board.program(9, kLevel | 0x52);
  board.line(9, true);
  CHECK(board.sent() == 1);
  board.write(Board::low(9), kMasked | 0x52);
  CHECK_FALSE(board.remote_irr(9));
  CHECK(board.sent() == 0);
  board.write(Board::low(9), kLevel | 0x52);
  CHECK(board.sent() == 1);
  CHECK(board.remote_irr(9));
}

TEST_CASE("a new vector or destination applies to the next message; the old vector's EOI no longer matches") {
  Board board;
  board.program(9, kLevel | 0x52, 1);
  board.line(9, true);
  board.program(9, kLevel | 0x62, 2);
  CHECK(board.sent() == 1);
  board.ioapic.end_of_interrupt(Vector(0x52), board.sink);
  CHECK(board.remote_irr(9));
  board.ioapic.end_of_interrupt(Vector(0x62), board.sink);
  REQUIRE(board.sink.messages.size() == 1);
  CHECK(board.sink.messages[0].vector == Vector(0x62));
  CHECK(board.sink.messages[0].destination == 2);
}

TEST_CASE("NMI, SMI, INIT and ExtINT act on the edge even when programmed level") {
  for (std::uint32_t mode : {2u, 4u, 5u, 7u}) {
    CAPTURE(mode);
    Board board;
    board.program(9, kLevel | mode << 8 | 0x52);
    board.line(9, true);
    REQUIRE(board.sink.messages.size() == 1);
    CHECK(board.sink.messages[0].trigger == TriggerMode::kEdge);
    CHECK_FALSE(board.remote_irr(9));
    board.line(9, true);
    CHECK(board.sent() == 1);
  }
}

TEST_CASE("polarity, electrical: an active-low entry sees the line inverted") {
  Board board;
  board.line(4, true);
  board.program(4, kLowActive | 0x44);
  CHECK(board.sent() == 0);
  board.line(4, false);
  CHECK(board.sent() == 1);
  board.line(4, true);
  CHECK(board.sent() == 0);
  board.program(9, kLowActive | kLevel | 0x52);  // idles low: active at once
  CHECK(board.sent() == 1);
  board.line(9, true);
  board.ioapic.end_of_interrupt(Vector(0x52), board.sink);
  CHECK(board.sent() == 0);
}

TEST_CASE("polarity, by request: stored and without effect") {
  Board board(LineSense::kRequest);
  board.program(9, kLowActive | kLevel | 0x52);
  CHECK(board.sent() == 0);
  CHECK(board.read(Board::low(9)) == (kLowActive | kLevel | 0x52));
  board.line(9, true);
  CHECK(board.sent() == 1);
}

TEST_CASE("after a reset the lines idle low until they are driven again") {
  Board board;
  board.program(8, 0x51);
  board.line(8, true);
  board.line(9, true);
  board.ioapic.reset();
  board.program(9, kLevel | 0x52);
  board.program(8, 0x51);
  board.sent();
  board.line(8, true);
  board.line(9, true);
  CHECK(board.sent() == 2);
}

}  // namespace
}  // namespace apic_test
