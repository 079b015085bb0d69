// Names of the past: flags, keys of policies and result files that have them go on working, and what is
// printed says what they are called now.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "cli_fake.h"
#include "sched/policy/parse.h"

using namespace vmm;

namespace {

constexpr std::pair<const char*, const char*> kRenamed[] = {
    {"loan", "donate"},         {"loan-windows", "donate-windows"},
    {"whole", "affinity"},      {"patience", "quantum-multiplier"},
    {"eager", "yield-on-send"}, {"resume", "switch-back"},
    {"hint", "running-hint"}};

std::string line_for(const std::string& where, const std::string& was, const std::string& is) {
  return "kvmux: " + where + "'" + was + "' is called '" + is + "' now; the old name goes on working\n";
}

std::string value_of(const std::string& is) {
  return is.ends_with("windows") || is.ends_with("multiplier") ? "3" : "off";
}

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

// The policy of the only run that was asked for.
sched::Policy asked_for(FakeProgram& program, std::vector<std::string> words) {
  program.asked.clear();
  REQUIRE(program.run(std::move(words)) == 0);
  REQUIRE(program.asked.size() == 1);
  return program.asked.front().vms.front().policy;
}

}  // namespace

TEST_CASE("renamed: a flag and a policy's key by the old name do what the new one does, and say so once") {
  FakeProgram program;
  for (const auto& [was, is] : kRenamed) {
    CAPTURE(was);
    const std::string value = value_of(is);
    const std::string set = "=" + value;
    const auto plain = canonical_policy(asked_for(program, {"run", "--policy", "kvmux", "--seconds", "1"}));
    CHECK(count(program.err.str(), "is called") == 0);

    const auto by_new =
        asked_for(program, {"run", "--policy", std::string("kvmux,") + is + set, "--seconds", "1"});
    CHECK(count(program.err.str(), "is called") == 0);
    CHECK(canonical_policy(by_new) != plain);

    const auto by_old =
        asked_for(program, {"run", "--policy", std::string("kvmux,") + was + set, "--seconds", "1"});
    CHECK(program.err.str() == line_for("", was, is));
    CHECK(canonical_policy(by_old) == canonical_policy(by_new));

    for (const bool joined : {false, true}) {
      std::vector<std::string> words{"run", "--policy", "kvmux", "--seconds", "1"};
      if (joined) {
        words.push_back(std::string("--") + was + set);
      } else {
        words.push_back(std::string("--") + was);
        words.push_back(value);
      }
      const auto by_flag = asked_for(program, words);
      CHECK(program.err.str() == line_for("", was, is));
      CHECK(canonical_policy(by_flag) == canonical_policy(by_new));
    }
  }
  asked_for(program, {"run", "--policy", "kvmux,loan=off,hint=off", "--loan", "off", "--seconds", "1"});
  CHECK(program.err.str() == line_for("", "loan", "donate") + line_for("", "hint", "running-hint"));
}

TEST_CASE("renamed: policies in a result file of the past are met by their present names") {
  const TemporaryFile before("renamed-before.jsonl");
  const TemporaryFile after("renamed-after.jsonl");
  FakeProgram program;
  const auto measure = [&program](const char* policies, const std::string& path) {
    program.backend = [](const RunSpec& spec) {
      return fake_result(spec, 1000 + static_cast<double>(spec.seed % 7));
    };
    REQUIRE(program.run(
                {"compare", "--policies", policies, "--repeat", "6", "--guest", "lock", "--out", path}) == 0);
  };
  measure("kvmux,loan=off;yield", before.path());
  measure("kvmux,donate=off;yield", after.path());
  const std::string line = line_for(before.path() + ": ", "loan", "donate");

  CHECK(program.run({"gate", "--from", after.path(), "--against", before.path()}) == 0);
  CHECK(program.err.str() == line);
  CHECK(count(program.out.str(), "Not judged") == 0);
  CHECK(program.run({"gate", "--from", before.path(), "--against", after.path()}) == 0);
  CHECK(program.err.str() == line);
  CHECK(count(program.out.str(), "Not judged") == 0);

  for (const char* baseline : {"kvmux,loan=off", "kvmux,donate=off"}) {
    CAPTURE(baseline);
    CHECK(program.run({"compare", "--from", before.path(), "--baseline", baseline}) == 0);
    CHECK(count(program.err.str(), line) == 1);
  }
  CHECK(program.run({"compare", "--from", after.path()}) == 0);
  CHECK(count(program.err.str(), "is called") == 0);
}
