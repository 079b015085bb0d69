#include "vmm/platform/pic.h"

#include <doctest/doctest.h>

using vmm::IsaIrq;
using vmm::PicPair;

namespace {

// Both chips as kernels set them up: vectors 20H and 28H, nothing masked.
PicPair ready(uint8_t icw4 = 0x01) {
  PicPair pic;
  pic.write(0x20, 0x11);
  pic.write(0x21, 0x20);
  pic.write(0x21, 0x04);
  pic.write(0x21, icw4);
  pic.write(0xa0, 0x11);
  pic.write(0xa1, 0x28);
  pic.write(0xa1, 0x02);
  pic.write(0xa1, 0x01);
  return pic;
}

unsigned take(PicPair& pic) { return apic::raw(pic.acknowledge().vector); }

uint8_t in_service(PicPair& pic, uint16_t port) {
  pic.write(port, 0x0b);
  return pic.read(port);
}

}  // namespace

TEST_CASE("an edge is requested once and needs its EOI before the next") {
  PicPair pic = ready();
  CHECK(!pic.intr());
  pic.set_line(IsaIrq{4}, true);
  REQUIRE(pic.intr());
  CHECK(take(pic) == 0x24);
  CHECK(!pic.intr());
  CHECK(in_service(pic, 0x20) == 0x10);
  pic.set_line(IsaIrq{4}, false);
  pic.set_line(IsaIrq{4}, true);
  CHECK(!pic.intr());  // in service still
  pic.write(0x20, 0x20);
  CHECK(pic.intr());
  CHECK(take(pic) == 0x24);
}

TEST_CASE("a higher priority interrupts a lower one, not the other way round") {
  PicPair pic = ready();
  pic.set_line(IsaIrq{4}, true);
  CHECK(take(pic) == 0x24);
  pic.set_line(IsaIrq{5}, true);
  CHECK(!pic.intr());
  pic.set_line(IsaIrq{1}, true);
  CHECK(take(pic) == 0x21);
  pic.write(0x20, 0x20);  // ends the highest
  CHECK(in_service(pic, 0x20) == 0x10);
  CHECK(!pic.intr());
  pic.write(0x20, 0x20);
  CHECK(take(pic) == 0x25);
}

TEST_CASE("the slave's lines come through the cascade and need two EOIs") {
  PicPair pic = ready();
  pic.set_line(IsaIrq{8}, true);
  const auto taken = pic.acknowledge();
  CHECK(apic::raw(taken.vector) == 0x28);
  CHECK(taken.irq == IsaIrq{8});
  CHECK(in_service(pic, 0x20) == 0x04);
  CHECK(in_service(pic, 0xa0) == 0x01);
  pic.set_line(IsaIrq{12}, true);
  CHECK(!pic.intr());
  pic.write(0xa0, 0x20);
  CHECK(!pic.intr());  // the master's is in service
  pic.write(0x20, 0x20);
  CHECK(take(pic) == 0x2c);
}

TEST_CASE("special fully nested mode lets the slave interrupt itself") {
  PicPair pic = ready(0x11);
  pic.set_line(IsaIrq{12}, true);
  CHECK(take(pic) == 0x2c);
  pic.set_line(IsaIrq{8}, true);
  REQUIRE(pic.intr());
  CHECK(take(pic) == 0x28);
}

TEST_CASE("masks hold back, and remember edges") {
  PicPair pic = ready();
  pic.write(0x21, 0x10);
  CHECK(pic.read(0x21) == 0x10);
  CHECK(!pic.is_unmasked(IsaIrq{4}));
  pic.set_line(IsaIrq{4}, true);
  CHECK(!pic.intr());
  pic.write(0x21, 0x00);
  CHECK(pic.intr());
}

TEST_CASE("a request that has gone gives a spurious vector without service") {
  PicPair pic = ready();
  pic.set_line(IsaIrq{3}, true);
  pic.set_line(IsaIrq{3}, false);
  CHECK(!pic.intr());
  const auto taken = pic.acknowledge();
  CHECK(taken.spurious);
  CHECK(apic::raw(taken.vector) == 0x27);
  CHECK(in_service(pic, 0x20) == 0);
}

TEST_CASE("a level is requested as long as it is there") {
  PicPair pic = ready();
  pic.write(0x4d1, 0xff);
  CHECK(pic.read(0x4d1) == 0xde);  // the clock and the coprocessor stay edge-triggered
  pic.set_line(IsaIrq{11}, true);
  CHECK(take(pic) == 0x2b);
  pic.write(0xa0, 0x20);
  pic.write(0x20, 0x20);
  CHECK(pic.intr());
  pic.set_line(IsaIrq{11}, false);
  CHECK(!pic.intr());
}

TEST_CASE("automatic EOI leaves nothing in service") {
  PicPair pic = ready(0x03);
  pic.set_line(IsaIrq{0}, true);
  CHECK(take(pic) == 0x20);
  CHECK(in_service(pic, 0x20) == 0);
  pic.set_line(IsaIrq{0}, false);
  pic.set_line(IsaIrq{0}, true);
  CHECK(pic.intr());
}

TEST_CASE("rotation makes the one that was served the lowest") {
  PicPair pic = ready();
  pic.set_line(IsaIrq{0}, true);
  CHECK(take(pic) == 0x20);
  pic.write(0x20, 0xa0);  // EOI and rotate
  pic.set_line(IsaIrq{0}, false);
  pic.set_line(IsaIrq{0}, true);
  pic.set_line(IsaIrq{7}, true);
  CHECK(take(pic) == 0x27);
  pic.write(0x20, 0x67);  // specific EOI
  CHECK(take(pic) == 0x20);
}

TEST_CASE("special mask mode lets lower ones in while the one in service is masked") {
  PicPair pic = ready();
  pic.set_line(IsaIrq{1}, true);
  CHECK(take(pic) == 0x21);
  pic.set_line(IsaIrq{4}, true);
  CHECK(!pic.intr());
  pic.write(0x21, 0x02);
  pic.write(0x20, 0x68);
  CHECK(pic.intr());
}

TEST_CASE("poll mode acknowledges by reading") {
  PicPair pic = ready();
  pic.write(0x20, 0x0c);
  CHECK(pic.read(0x20) == 0);
  pic.set_line(IsaIrq{6}, true);
  pic.write(0x20, 0x0c);
  CHECK(pic.read(0x20) == 0x86);
  CHECK(!pic.intr());
  CHECK(in_service(pic, 0x20) == 0x40);
}
