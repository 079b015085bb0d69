// The switchback design behind the command line, on the simulator: policies take turns in one boot, equal
// ones are found equal, planted handicaps are found. KVMUX_LONG_STATISTICS=1: 100 comparisons each instead of
// a few.
#include "vmm/cli/switchback.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "cli_sim.h"
#include "vmm/stats/journal.h"

using namespace vmm;
using namespace std::chrono_literals;

namespace {

// A flag that is there already gets the new value.
std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  for (const std::string& word : more) {
    const auto old = std::find(words.begin(), words.end(), word);
    if (word.starts_with("--") && old != words.end()) words.erase(old, old + 2);
  }
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const std::vector<std::string> kCompare = {"sim",      "compare", "--design",  "switchback",
                                           "--guest",  "lock",    "--seconds", "0.2",
                                           "--repeat", "5",       "--warmup",  "0.05"};

// How often a verdict other than "equivalent" and "inconclusive" comes out, and the sum of the ratios.
struct Outcome {
  int different = 0;
  int covered = 0;
};
Outcome outcomes(const std::vector<std::string>& words, int sets, double truth) {
  Outcome outcome;
  for (int i = 0; i < sets; ++i) {
    SimProgram program;
    REQUIRE(program.run(with(words, {"--seed", std::to_string(i + 1), "--json", "-"})) == 0);
    const Json json = Json::parse(program.out.str());
    const Json& finding = json["cells"][0]["policies"][1]["metrics"]["throughput"];
    const auto verdict = finding["verdict"].get<std::string>();
    outcome.different += verdict == "better" || verdict == "worse" ? 1 : 0;
    outcome.covered +=
        finding["low"].get<double>() <= truth && truth <= finding["high"].get<double>() ? 1 : 0;
  }
  return outcome;
}

int sets(int few) { return std::getenv("KVMUX_LONG_STATISTICS") != nullptr ? 100 : few; }

}  // namespace

TEST_CASE(
    "switchback: one boot after the pilots, turns of all policies in drawn orders, a file that goes on") {
  SimProgram program;
  const TemporaryFile file("switchback.jsonl");
  const auto words = with(kCompare, {"--policies", "yield,v2,fair", "--out", file.path()});
  REQUIRE(program.run(words) == 0);
  const RunSpec& last = program.asked.back();
  CHECK(last.washout > Nanos{});
  CHECK(last.changes.size() >= 3 * 5 - 1);
  CHECK(contains(program.out.str(), "in turns"));
  CHECK(contains(program.out.str(), "ratio in their first half over that in the second"));
  const auto contents = read_journal(file.path());
  REQUIRE(contents);
  REQUIRE(contents->cells.size() == 1);
  CHECK(contents->cells[0].switchback);
  CHECK(contents->cells[0].period > 0);
  CHECK(contents->runs.size() == last.changes.size() + 1);
  bool orders[3] = {};
  for (const RunRecord& run : contents->runs) {
    REQUIRE(run.place);
    if (run.id.slot == 0) orders[*run.place] = true;
  }
  CHECK((orders[0] && orders[1] && orders[2]));
  const std::string before = program.out.str();
  const size_t asked = program.asked.size();
  REQUIRE(program.run(words) == 0);  // all is there
  CHECK(program.asked.size() == asked);
  CHECK(program.out.str() == before);
  REQUIRE(program.run({"compare", "--from", file.path()}) == 0);
  CHECK(program.out.str() == before);
}

TEST_CASE("switchback: what cannot take turns is said by name and measured in blocks") {
  SimProgram program;
  REQUIRE(program.run(with(kCompare, {"--policies", "yield,rr,v2", "--repeat", "2"})) == 0);
  CHECK(contains(program.err.str(), "'rr' is measured in blocks: 'yield' cannot become 'rr'"));
  CHECK(contains(program.err.str(), "(eevdf and rr)"));
  CHECK(contains(program.out.str(), "in turns"));
  REQUIRE(program.run(
              with(kCompare, {"--policies", "yield,host-yield,yield,slice-jitter=0", "--repeat", "2"})) == 0);
  CHECK(contains(program.err.str(), "'host-yield' is measured in blocks"));
  CHECK(contains(program.err.str(), "slice-jitter"));
  CHECK_FALSE(contains(program.out.str(), "in turns"));
}

TEST_CASE("switchback: equal policies are seldom told apart, planted handicaps are found") {
  const auto same = with(kCompare, {"--policies", "yield,yield"});
  const Outcome equal = outcomes(same, sets(8), 1);
  MESSAGE("A/A: different " << equal.different << ", covered " << equal.covered << " of " << sets(8));
  CHECK(equal.different <= std::max(1, sets(8) * 8 / 100));
  CHECK(equal.covered >= sets(8) * (sets(8) < 100 ? 75 : 90) / 100);
  const Outcome tenth = outcomes(with(same, {"--handicap", "2=10%"}), sets(4), 0.9);
  MESSAGE("10 %: different " << tenth.different << " of " << sets(4));
  CHECK(tenth.different >= sets(4) * 95 / 100);
  const Outcome three =
      outcomes(with(same, {"--handicap", "2=3%", "--repeat", "20", "--margin", "1%"}), sets(3), 0.97);
  MESSAGE("3 %: different " << three.different << " of " << sets(3));
  CHECK(three.different >= sets(3) * 2 / 3);
}

TEST_CASE("switchback: turns and blocks find the same ratio") {
  const auto ratio_of = [](const std::vector<std::string>& words) {
    SimProgram program;
    REQUIRE(program.run(with(words, {"--policies", "yield,kvmux", "--json", "-"})) == 0);
    const Json json = Json::parse(program.out.str());
    return json["cells"][0]["policies"][1]["metrics"]["throughput"];
  };
  auto blocks = kCompare;
  blocks[3] = "blocks";
  const Json a = ratio_of(with(kCompare, {"--lock", "ticket"}));
  const Json b = ratio_of(with(blocks, {"--lock", "ticket"}));
  MESSAGE("turns " << a["ratio"].get<double>() << " (" << a["low"].get<double>() << " … "
                   << a["high"].get<double>() << "), blocks " << b["ratio"].get<double>() << " ("
                   << b["low"].get<double>() << " … " << b["high"].get<double>() << ")");
  CHECK(a["ratio"].get<double>() == doctest::Approx(b["ratio"].get<double>()).epsilon(0.2));
  CHECK(a["verdict"] == b["verdict"]);
}

TEST_CASE("switchback: flags that do not fit are refused by name") {
  const auto refusal = [](std::initializer_list<std::string> more) {
    SimProgram program;
    CHECK(program.run(with({"sim", "compare", "--policies", "yield,v2"}, more)) == 2);
    CHECK(program.asked.empty());
    return program.err.str();
  };
  CHECK(contains(refusal({"--design", "swichback"}), "--design"));
  CHECK(contains(refusal({"--period", "50ms"}), "--design switchback"));
  CHECK(contains(refusal({"--design", "switchback", "--washout", "5ms"}), "--period"));
  CHECK(contains(refusal({"--design", "switchback", "--period", "50ms", "--washout", "40ms"}), "--washout"));
  CHECK(contains(refusal({"--design", "switchback", "--metrics", "spin_exits"}), "spin_exits"));
  CHECK(contains(refusal({"--design", "switchback", "--efficiency"}), "--efficiency"));
  CHECK(contains(refusal({"--processes", "0"}), "--processes"));
  CHECK(contains(refusal({"--processes", "6"}), "--repeat 5"));
  CHECK(contains(refusal({"--processes", "2", "--until-settled"}), "--until-settled"));
}

TEST_CASE("switchback: an interrupted session keeps its whole blocks") {
  SimProgram program;
  Session session;
  session.spec.vms.resize(1);
  session.spec.washout = 1ms;
  session.spec.duration = 60ms;
  RunResult result;
  for (uint32_t turn = 0; turn < 6; ++turn) {
    session.turns.push_back({"cell", turn / 2, 0, turn % 2});
    if (turn > 0) session.spec.changes.push_back({.at = 10ms * turn, .vms = {{}}});
    Section section;
    section.counted = fake_result(session.spec, 1000);
    if (turn < 4) result.sections.push_back(section);
  }
  result.interrupted = true;  // in the fourth turn
  const auto records = records_of(session, result, 60ms);
  REQUIRE(records.size() == 2);
  CHECK(records[1].id.block == 0);
  CHECK(*records[1].place == 1);
  CHECK(records[0].took == doctest::Approx(0.01));
}
