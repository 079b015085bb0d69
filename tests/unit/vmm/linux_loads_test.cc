// Loads of a Linux guest, as flags name them.
#include <doctest/doctest.h>

#include "vmm/linux/loads.h"

using namespace vmm::linux_guest;

TEST_CASE("linux loads: what is accepted is what the agent is told") {
  for (const std::string_view text :
       {"idle", "busy", "busy:3", "dbench:8", "hackbench:2", "cyclictest", "sysbench-mutex:4", "pigz:2",
        "zstd", "vips:1", "compile:4", "stress-ng", "stress-ng:switch", "stress-ng:cpu:2"}) {
    CAPTURE(text);
    const auto load = parse_load("--load", text);
    REQUIRE(load);
    CHECK(load->text() == text);
  }
  CHECK(parse_loads("--load", "dbench:8,zstd")->size() == 2);
}

TEST_CASE("linux loads: what is refused is named with what is accepted") {
  const auto refusal = [](std::string_view text) {
    const auto load = parse_load("--load", text);
    REQUIRE_FALSE(load);
    CHECK(load.error().kind == vmm::ErrorKind::kUsage);
    return load.error().text();
  };
  CHECK(refusal("dbnech:8").find("did you mean dbench?") != std::string::npos);
  CHECK(refusal("dbench:0").find("accepted is dbench or dbench:[CLIENTS], numbers from 1") !=
        std::string::npos);
  CHECK(refusal("idle:2").find("accepted is idle alone") != std::string::npos);
  for (const std::string_view text :
       {"", "dbench:", "dbench:8 x", "dbench:5000", "stress-ng:", "stress-ng:--exec",
        "stress-ng:cpu:", "stress-ng:cpu:2:3", "stress-ng:CPU"}) {
    CAPTURE(text);
    (void)refusal(text);
  }
  CHECK_FALSE(parse_loads("--load", "dbench,"));
}
