// Numbers in files of others (vmm/json.h).
#include "vmm/json.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "vmm/stats/journal.h"

using vmm::Json;

namespace {

template <class T>
T read(const char* text) {
  return Json::parse(text).get<T>();
}

}  // namespace

TEST_CASE("JSON: a number that does not fit is refused, whatever way it is read") {
  CHECK(read<uint32_t>("4294967295") == 4294967295u);
  CHECK(read<uint32_t>("3.0") == 3);
  CHECK(read<uint64_t>("18446744073709551615") == UINT64_MAX);
  CHECK(read<int64_t>("-9223372036854775808") == INT64_MIN);
  CHECK(read<int64_t>("-9223372036854775808.0") == INT64_MIN);
  for (const char* text : {"4294967296", "-1", "3.5", "1e300", "-1e300"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(read<uint32_t>(text), vmm::BadNumber);
    uint32_t value = 7;
    CHECK_THROWS_AS(Json::parse(text).get_to(value), vmm::BadNumber);
    CHECK(value == 7);
    CHECK_THROWS_AS(read<std::vector<uint32_t>>((std::string("[1, ") + text + "]").c_str()), vmm::BadNumber);
    CHECK_THROWS_AS(static_cast<void>(Json{{"a", Json::parse(text)}}.value("a", 0U)), vmm::BadNumber);
  }
  CHECK_THROWS_AS(read<uint64_t>("18446744073709551616"), vmm::BadNumber);
  CHECK_THROWS_AS(read<int64_t>("9223372036854775808"), vmm::BadNumber);
  CHECK_THROWS_AS(read<int>("\"3\""), Json::type_error);
  CHECK(read<bool>("true"));
}

TEST_CASE("JSON: a result file with such a number is refused, and the line named") {
  const std::string good =
      R"({"kind":"run","cell":"k","block":1,"attempt":0,"slot":0,"seed":1,"seconds":1.0,"metrics":{},)"
      R"("vm_ops_per_second":[],"noise":{"steal_ms":0.0,"involuntary_switches":1}})"
      "\n";
  REQUIRE(vmm::parse_journal("file", good));
  std::string bad = good;
  bad.replace(bad.find("\"block\":1"), 9, "\"block\":1e300");
  const auto contents = vmm::parse_journal("file", good + bad + good);
  REQUIRE(!contents);
  CHECK(contents.error().kind == vmm::ErrorKind::kUsage);
  CHECK(contents.error().text().find("1e+300 is no whole number from 0 to 4294967295") != std::string::npos);
  CHECK(contents.error().text().find("2") != std::string::npos);
}
