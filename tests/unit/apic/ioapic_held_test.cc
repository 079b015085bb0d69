// What no local APIC accepts: held by the IOAPIC, and sent again (82093AA, Delivery Status).
#include "ioapic_rig.h"

namespace apic_test {
namespace {

TEST_CASE("what nobody accepts is held, level or edge, and sent by a retry") {
  for (const std::uint32_t trigger : {0u, kLevel}) {
    for (const std::uint32_t mode : {kFixed, kLowest}) {
      CAPTURE(trigger);
      Board board;
      board.sink.accept = false;
      board.program(9, trigger | mode | 0x52);
      board.line(9, true);
      CHECK(board.ioapic.holds_messages());
      CHECK((board.read(Board::low(9)) & kSendPending) != 0);
      board.ioapic.retry(board.sink);
      CHECK(board.sent() == 2);
      board.sink.accept = true;
      board.ioapic.retry(board.sink);
      CHECK(board.sent() == 1);
      CHECK(board.remote_irr(9) == (trigger != 0));
      CHECK_FALSE(board.ioapic.holds_messages());
      CHECK((board.read(Board::low(9)) & kSendPending) == 0);
      board.ioapic.retry(board.sink);
      CHECK(board.sent() == 0);
    }
  }
}

TEST_CASE("a held level goes with its line, a held edge does not; both go with a mask") {
  for (const std::uint32_t trigger : {0u, kLevel}) {
    CAPTURE(trigger);
    Board board;
    board.sink.accept = false;
    board.program(9, trigger | 0x52);
    board.line(9, true);
    board.line(9, false);
    CHECK(board.ioapic.holds_messages() == (trigger == 0));
    board.line(9, true);
    CHECK(board.ioapic.holds_messages());
    board.write(Board::low(9), kMasked | trigger | 0x52);
    CHECK_FALSE(board.ioapic.holds_messages());
    board.sent();
    board.sink.accept = true;
    board.ioapic.retry(board.sink);
    CHECK(board.sent() == 0);
    board.write(Board::low(9), trigger | 0x52);
    CHECK(board.sent() == (trigger == 0 ? 0 : 1));
  }
}

TEST_CASE("a held edge follows its entry to another destination") {
  Board board;
  board.sink.accept = false;
  board.program(9, 0x52, 7);
  board.line(9, true);
  board.sent();
  board.sink.accept = true;
  board.write(static_cast<std::uint8_t>(Board::low(9) + 1), 2u << 24);
  REQUIRE(board.sink.messages.size() == 1);
  CHECK(board.sink.messages[0].destination == 2);
  CHECK_FALSE(board.ioapic.holds_messages());
}

TEST_CASE("what no local APIC here ever takes is not held") {
  for (const std::uint32_t mode : {kSmi, 7u << 8}) {
    Board board;
    board.sink.accept = false;
    board.program(9, mode | 0x52);
    board.line(9, true);
    CHECK(board.sent() == 1);
    CHECK_FALSE(board.ioapic.holds_messages());
  }
}

}  // namespace
}  // namespace apic_test
