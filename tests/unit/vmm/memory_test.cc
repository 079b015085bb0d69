#include "vmm/kvm/memory.h"

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <limits>

using vmm::Gpa;
using vmm::GuestMemory;
using vmm::Prefault;

namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kTop = std::numeric_limits<uint64_t>::max();

GuestMemory one_page() { return GuestMemory::allocate(kPage, Prefault::kYes).value(); }

}  // namespace

TEST_CASE("guest ranges are checked at both ends without overflow") {
  const GuestMemory memory = one_page();
  struct Range {
    uint64_t start;
    uint64_t bytes;
    bool inside;
  };
  const Range ranges[] = {{0, 0, true},          {0, kPage, true},
                          {0, kPage + 1, false}, {kPage, 0, true},
                          {kPage, 1, false},     {kPage - 1, 1, true},
                          {kPage - 1, 2, false}, {kPage + 1, 0, false},
                          {kTop, 1, false},      {kTop, kTop, false},
                          {1, kTop, false},      {kTop - 3, 8, false},
                          {0, kTop, false},      {kPage / 2, kPage / 2, true}};
  for (const Range& r : ranges) {
    CAPTURE(r.start);
    CAPTURE(r.bytes);
    CHECK(memory.contains(Gpa{r.start}, r.bytes) == r.inside);
    CHECK(memory.span(Gpa{r.start}, r.bytes).has_value() == r.inside);
    if (!r.inside) CHECK(!memory.fill_zero(Gpa{r.start}, r.bytes));
  }
}

TEST_CASE("a range outside is a guest error that names it") {
  const auto bad = one_page().span(Gpa{0xfff}, 2);
  REQUIRE(!bad);
  CHECK(bad.error().kind == vmm::ErrorKind::kGuest);
  CHECK(bad.error().text() == "access guest memory: 2 bytes at 0xfff are not inside its 0x1000 bytes");
}

TEST_CASE("what is stored is loaded, also across a cache line") {
  const GuestMemory memory = one_page();
  REQUIRE(memory.store(Gpa{61}, uint64_t{0x1122334455667788}));
  CHECK(*memory.load<uint64_t>(Gpa{61}) == 0x1122334455667788);
  CHECK(*memory.load<uint8_t>(Gpa{68}) == 0x11);
  CHECK(!memory.store(Gpa{kPage - 7}, uint64_t{0}));
  CHECK(!memory.load<uint64_t>(Gpa{kPage - 7}));
  std::array<std::byte, 4> out{};
  REQUIRE(memory.read(Gpa{61}, out));
  CHECK(out[0] == std::byte{0x88});
}

TEST_CASE("large memory starts on a huge-page boundary, and all of it is there") {
  constexpr uint64_t kHuge = uint64_t{2} << 20;
  const auto memory = GuestMemory::allocate(2 * kHuge, Prefault::kYes);
  REQUIRE(memory);
  CHECK(reinterpret_cast<uintptr_t>(memory->host_base()) % kHuge == 0);
  CHECK(memory->size() == 2 * kHuge);
  CHECK(*memory->load<uint64_t>(Gpa{2 * kHuge - 8}) == 0);
}

TEST_CASE("memory that the host cannot give is a host error") {
  const auto huge = GuestMemory::allocate(uint64_t{1} << 50, Prefault::kNo);
  REQUIRE(!huge);
  CHECK(huge.error().kind == vmm::ErrorKind::kHost);
  CHECK(huge.error().errno_value == ENOMEM);
}
