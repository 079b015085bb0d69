#include "vmm/device/serial.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using vmm::Uart16550;

namespace {

// Register offsets as the data sheet names them.
enum : uint8_t { kRbrThr = 0, kIer = 1, kIirFcr = 2, kLcr = 3, kMcr = 4, kLsr = 5, kMsr = 6, kScr = 7 };

struct Port {
  std::string sent;
  Uart16550 uart{[this](uint8_t byte) { sent.push_back(static_cast<char>(byte)); }};

  uint8_t in(uint8_t offset) { return uart.read(offset); }
  void out(uint8_t offset, int value) { uart.write(offset, static_cast<uint8_t>(value)); }
  void type(const std::string& text) { uart.receive(std::vector<uint8_t>(text.begin(), text.end())); }
};

}  // namespace

TEST_CASE("after reset the transmitter is ready and nothing interrupts") {
  Port p;
  CHECK(p.in(kLsr) == 0x60);
  CHECK(p.in(kIirFcr) == 0x01);
  CHECK(p.in(kIer) == 0);
  CHECK(p.in(kMsr) == 0xb0);
  CHECK(!p.uart.interrupt_line());
}

TEST_CASE("bytes written are sent at once") {
  Port p;
  p.out(kRbrThr, 'h');
  p.out(kRbrThr, 'i');
  CHECK(p.sent == "hi");
  CHECK((p.in(kLsr)&0x60) == 0x60);
}

TEST_CASE("with DLAB set the divisor is there instead of data") {
  Port p;
  p.out(kLcr, 0x83);
  p.out(kRbrThr, 0x34);
  p.out(kIer, 0x12);
  CHECK(p.in(kRbrThr) == 0x34);
  CHECK(p.in(kIer) == 0x12);
  CHECK(p.sent.empty());
  p.out(kLcr, 0x03);
  CHECK(p.in(kLcr) == 0x03);
  CHECK(p.in(kIer) == 0);
  p.out(kRbrThr, 'x');
  CHECK(p.sent == "x");
}

TEST_CASE("the scratch register keeps what it is given") {
  Port p;
  for (const int value : {0x00, 0x5a, 0xff}) {
    p.out(kScr, value);
    CHECK(p.in(kScr) == value);
  }
}

TEST_CASE("reserved bits of IER and MCR read as zero, LSR and MSR cannot be written") {
  Port p;
  p.out(kIer, 0xf0);
  CHECK(p.in(kIer) == 0);
  p.out(kMcr, 0xe3);
  CHECK(p.in(kMcr) == 0x03);
  p.out(kLsr, 0);
  CHECK(p.in(kLsr) == 0x60);
  p.out(kMsr, 0);
  CHECK((p.in(kMsr)&0xf0) == 0xb0);
}

TEST_CASE("received bytes come out in order and raise the line while any waits") {
  Port p;
  p.out(kIirFcr, 0x01);
  p.out(kIer, 0x01);
  p.type("ab");
  CHECK(p.uart.interrupt_line());
  CHECK(p.in(kIirFcr) == 0xc4);
  CHECK((p.in(kLsr)&1) == 1);
  CHECK(p.in(kRbrThr) == 'a');
  CHECK(p.uart.interrupt_line());
  CHECK(p.in(kRbrThr) == 'b');
  CHECK(!p.uart.interrupt_line());
  CHECK((p.in(kLsr)&1) == 0);
  CHECK(p.in(kRbrThr) == 0);
}

TEST_CASE("the receiver holds one byte, or sixteen with FIFOs, and tells what it lost") {
  Port p;
  CHECK(p.uart.receive_room() == 1);
  p.type("ab");
  CHECK(p.uart.receive_room() == 0);
  CHECK(p.in(kLsr) == 0x63);
  CHECK(p.in(kLsr) == 0x61);  // reading cleared the overrun
  CHECK(p.in(kRbrThr) == 'b');  // without FIFOs the new byte destroys the old one
  p.out(kIirFcr, 0x01);
  CHECK(p.uart.receive_room() == 16);
  p.type("0123456789abcdef");
  CHECK((p.in(kLsr)&2) == 0);
  p.type("g");
  CHECK((p.in(kLsr)&2) == 2);
  for (const char byte : std::string("0123456789abcdef")) CHECK(p.in(kRbrThr) == byte);
  CHECK((p.in(kLsr)&1) == 0);
}

TEST_CASE("a break in loopback arrives once, as a zero with break and framing error") {
  Port p;
  p.out(kIer, 0x04);
  p.out(kLcr, 0x43);  // outside of loopback nothing comes back
  CHECK(p.in(kLsr) == 0x60);
  p.out(kMcr, 0x10);
  CHECK(p.in(kIirFcr) == 0x06);
  CHECK(p.in(kLsr) == 0x79);
  CHECK(p.in(kLsr) == 0x61);  // told once
  CHECK(p.in(kRbrThr) == 0);
  p.out(kRbrThr, 'x');  // lost: the line is held
  CHECK(p.in(kLsr) == 0x60);
  p.out(kLcr, 0x03);
  p.out(kRbrThr, 'y');
  CHECK(p.in(kRbrThr) == 'y');
  p.out(kIirFcr, 0x01);
  p.out(kRbrThr, 'z');
  p.out(kLcr, 0x43);
  CHECK(p.in(kLsr) == 0xe1);  // an error waits in the FIFO, behind z
  CHECK(p.in(kIirFcr) == 0xc1);
  CHECK(p.in(kRbrThr) == 'z');
  CHECK(p.in(kLsr) == 0xf9);
}

TEST_CASE("an overrun is the most urgent interrupt") {
  Port p;
  p.out(kIer, 0x05);
  p.type("ab");
  CHECK(p.in(kIirFcr) == 0x06);
  CHECK((p.in(kLsr)&2) == 2);
  CHECK(p.in(kIirFcr) == 0x04);
}

TEST_CASE("clearing or switching the FIFO drops what waits") {
  Port p;
  p.out(kIirFcr, 0x01);
  p.type("abc");
  p.out(kIirFcr, 0x03);
  CHECK((p.in(kLsr)&1) == 0);
  p.type("abc");
  p.out(kIirFcr, 0x01);  // no change, nothing lost
  CHECK((p.in(kLsr)&1) == 1);
  p.out(kIirFcr, 0x00);
  CHECK((p.in(kLsr)&1) == 0);
  CHECK(p.in(kIirFcr) == 0x01);
}

TEST_CASE("the transmitter's interrupt comes when enabled and after each byte, reading IIR ends it") {
  Port p;
  p.out(kIer, 0x02);
  CHECK(p.uart.interrupt_line());
  CHECK(p.in(kIirFcr) == 0x02);
  CHECK(!p.uart.interrupt_line());
  p.out(kRbrThr, 'x');
  CHECK(p.uart.interrupt_line());
  CHECK(p.in(kIirFcr) == 0x02);
  p.out(kIer, 0x02);  // enabled already: no new edge
  CHECK(!p.uart.interrupt_line());
  p.out(kIer, 0x00);
  p.out(kIer, 0x02);
  CHECK(p.uart.interrupt_line());
}

TEST_CASE("reading IIR for a more urgent cause keeps the transmitter's interrupt") {
  Port p;
  p.out(kIer, 0x03);
  p.type("a");
  CHECK(p.in(kIirFcr) == 0x04);
  CHECK(p.in(kRbrThr) == 'a');
  CHECK(p.in(kIirFcr) == 0x02);
  CHECK(p.in(kIirFcr) == 0x01);
}

TEST_CASE("loopback feeds the receiver and keeps the outside out") {
  Port p;
  p.out(kMcr, 0x10);
  p.out(kRbrThr, 'z');
  CHECK(p.sent.empty());
  CHECK(p.in(kRbrThr) == 'z');
  p.type("a");
  CHECK((p.in(kLsr)&1) == 0);
  CHECK(p.uart.receive_room() == 0);
}

TEST_CASE("in loopback the modem outputs are the modem inputs") {
  struct Row {
    int mcr;
    int msr;
  };
  for (const Row row :
       {Row{0x10, 0x00}, {0x11, 0x20}, {0x12, 0x10}, {0x14, 0x40}, {0x18, 0x80}, {0x1a, 0x90}}) {
    CAPTURE(row.mcr);
    Port p;
    p.out(kMcr, row.mcr);
    CHECK((p.in(kMsr)&0xf0) == row.msr);
  }
}

TEST_CASE("changes of modem inputs are kept until MSR is read, and interrupt") {
  Port p;
  p.out(kIer, 0x08);
  p.out(kMcr, 0x10);  // CTS, DSR, DCD fall
  CHECK(p.uart.interrupt_line());
  CHECK(p.in(kIirFcr) == 0x00);
  CHECK(p.in(kMsr) == 0x0b);
  CHECK(!p.uart.interrupt_line());
  CHECK(p.in(kMsr) == 0x00);
  p.out(kMcr, 0x14);  // ring begins: no change is told
  CHECK(p.in(kMsr) == 0x40);
  p.out(kMcr, 0x10);  // and ends
  CHECK(p.in(kMsr) == 0x04);
}

namespace {

// A port whose line takes so many bytes.
struct SlowPort {
  std::string sent;
  size_t room = 0;
  Uart16550 uart{[this](uint8_t byte) {
                   sent += static_cast<char>(byte);
                   --room;
                 },
                 [this] { return room > 0; }};

  void print(std::string_view text) {
    for (const char c : text) uart.write(kRbrThr, static_cast<uint8_t>(c));
  }
  void let(size_t bytes) {
    room = bytes;
    uart.line_clear();
  }
  bool is_free() { return (uart.read(kLsr) & 0x60) == 0x60; }
};

}  // namespace

TEST_CASE("the transmitter is busy while the line takes nothing, and loses what comes on top") {
  SlowPort p;
  CHECK(p.is_free());
  p.print("a");  // waits
  CHECK_FALSE(p.is_free());
  p.print("bc");  // the guest did not look
  CHECK(p.uart.lost() == 2);
  p.let(1);
  CHECK(p.sent == "a");
  CHECK(p.is_free());
}

TEST_CASE("with FIFOs sixteen bytes wait for the line, in order") {
  SlowPort p;
  p.uart.write(kIirFcr, 1);
  p.print("0123456789abcdef");
  CHECK(p.uart.lost() == 0);
  CHECK_FALSE(p.is_free());
  p.let(10);
  CHECK(p.sent == "0123456789");
  CHECK_FALSE(p.is_free());  // busy until all have gone
  p.let(10);
  CHECK(p.sent == "0123456789abcdef");
  CHECK(p.is_free());
  p.print("gh");
  CHECK(p.sent == "0123456789abcdefgh");
}

TEST_CASE("the transmitter's interrupt comes when the line has taken everything") {
  SlowPort p;
  p.uart.write(kIer, 2);
  CHECK(p.uart.interrupt_line());       // empty already
  CHECK(p.uart.read(kIirFcr) == 0x02);  // which reading ends
  p.print("a");
  CHECK_FALSE(p.uart.interrupt_line());
  p.uart.write(kIer, 0);
  p.uart.write(kIer, 2);  // enabled while busy: not yet
  CHECK_FALSE(p.uart.interrupt_line());
  p.let(1);
  CHECK(p.uart.interrupt_line());
}

TEST_CASE("a driver that clears the transmitter's FIFO loses what waits there") {
  SlowPort p;
  p.uart.write(kIirFcr, 1);
  p.print("abc");
  p.uart.write(kIirFcr, 5);
  CHECK(p.is_free());
  CHECK(p.uart.lost() == 3);
  p.let(5);
  CHECK(p.sent.empty());
}

TEST_CASE("a guest listens once it has looked for a byte or wants the interrupt") {
  Port looks;
  looks.out(kIirFcr, 7);
  CHECK_FALSE(looks.uart.listened_to());
  looks.in(kLsr);
  CHECK(looks.uart.listened_to());
  Port interrupts;
  interrupts.out(kIer, 2);
  CHECK_FALSE(interrupts.uart.listened_to());
  interrupts.out(kIer, 1);
  CHECK(interrupts.uart.listened_to());
}
