#include "guest/runtime/work.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "fake_vcpus.h"

TEST_CASE("rng: the same seed and vCPU repeat, others differ") {
  uint64_t a = rng_seed(7, 0);
  uint64_t b = rng_seed(7, 0);
  for (int i = 0; i < 100; ++i) CHECK(rng_next(&a) == rng_next(&b));
  std::set<uint64_t> firsts;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    for (uint64_t stream = 0; stream < 50; ++stream) {
      uint64_t state = rng_seed(seed, stream);
      CHECK(state != 0);
      firsts.insert(rng_next(&state));
    }
  }
  CHECK(firsts.size() == 2500);
}

TEST_CASE("rng: rng_below stays below and reaches every value about equally often") {
  uint64_t state = rng_seed(1, 2);
  uint32_t counts[10] = {};
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t drawn = rng_below(&state, 10);
    REQUIRE(drawn < 10);
    ++counts[drawn];
  }
  for (const uint32_t count : counts) {
    CHECK(count > 850);  // 1000 expected, standard deviation 30
    CHECK(count < 1150);
  }
  CHECK(rng_below(&state, 1) == 0);
}

TEST_CASE("work: nanoseconds become iterations, without overflow and never 0") {
  FakeVcpus vm(1);
  vm.boot.delay_iters_per_ms = 3'500'000;
  CHECK(iters_of_ns(&vm.boot, 0) == 0);
  CHECK(iters_of_ns(&vm.boot, 1) == 3);
  CHECK(iters_of_ns(&vm.boot, 1'000'001) == 3'500'003);
  CHECK(iters_of_ns(&vm.boot, 3'600'000'000'000) == 12'600'000'000'000);
  vm.boot.delay_iters_per_ms = 0;
  CHECK(iters_of_ns(&vm.boot, 1000) == 1);
}

TEST_CASE("work: a turn is the mean within a quarter, and the mean on average") {
  FakeVcpus vm(1);
  vm.at(0).think_iters = 1001;
  uint64_t sum = 0;
  uint64_t least = ~uint64_t{0};
  uint64_t most = 0;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t turn = draw_think(&vm.at(0));
    sum += turn;
    least = std::min(least, turn);
    most = std::max(most, turn);
  }
  CHECK(least == 751);
  CHECK(most == 1251);
  CHECK(sum / 20'000 >= 996);
  CHECK(sum / 20'000 <= 1006);
}

TEST_CASE("work: iterations are counted, no work is no iteration") {
  FakeVcpus vm(1);
  work(&vm.at(0), 10);
  work(&vm.at(0), 0);
  CHECK(vm.at(0).results->work_iters == 10);
  vm.at(0).think_iters = 0;
  CHECK(draw_think(&vm.at(0)) == 0);
}
