#include "vmm/stats/experiment.h"

#include <doctest/doctest.h>

#include <set>

#include "cli_fake.h"
#include "sched/base/rng.h"
#include "vmm/stats/journal.h"

using namespace vmm;

namespace {

Cell simple_cell(const std::string& key, size_t slots) {
  Cell cell;
  cell.info.key = key;
  cell.info.workers = 2;
  for (size_t i = 0; i < slots; ++i) {
    cell.slots.push_back({"p" + std::to_string(i), {}, false});
    cell.info.labels.push_back(cell.slots.back().label);
  }
  return cell;
}

RunRecord record(const RunId& id, double throughput) {
  RunRecord run;
  run.id = id;
  run.seconds = 1;
  run.metrics = {{std::string{kThroughput}, throughput}};
  return run;
}

}  // namespace

TEST_CASE("experiment: blocks are interleaved over cells, complete, and ordered by the seed") {
  Design design;
  design.blocks = 3;
  Experiment experiment({simple_cell("a", 3), simple_cell("b", 2)}, design);
  std::vector<RunId> order;
  while (const auto next = experiment.next(false)) {
    order.push_back(next->id);
    experiment.add(record(next->id, 1));
  }
  REQUIRE(order.size() == 15);
  std::set<std::string> first_orders;
  for (size_t block = 0; block < 3; ++block) {
    std::set<uint32_t> slots;
    for (size_t i = 0; i < 5; ++i) {
      const RunId& id = order[block * 5 + i];
      CHECK(id.block == block);
      CHECK(id.cell == (i < 3 ? "a" : "b"));
      if (i < 3) slots.insert(id.slot);
    }
    CHECK(slots.size() == 3);
  }
  bool varies = false;
  for (uint32_t block = 1; block < 20; ++block) {
    varies = varies || block_order(1, {"a", block, 0, 0}, 3) != block_order(1, {"a", 0, 0, 0}, 3);
    CHECK(block_order(1, {"a", block, 0, 0}, 3) == block_order(1, {"a", block, 0, 0}, 3));
  }
  CHECK(varies);
}

TEST_CASE("experiment: runs of a block share their seed, blocks do not") {
  Design design;
  design.blocks = 2;
  Experiment experiment({simple_cell("a", 2)}, design);
  std::vector<uint64_t> seeds;
  while (const auto next = experiment.next(false)) {
    seeds.push_back(next->seed);
    experiment.add(record(next->id, 1));
  }
  CHECK(seeds[0] == seeds[1]);
  CHECK(seeds[2] == seeds[3]);
  CHECK(seeds[0] != seeds[2]);
}

TEST_CASE("experiment: a disturbed block is measured again, at most so often, and counted") {
  Design design;
  design.blocks = 5;
  design.most_attempts = 3;
  const Cell cell = simple_cell("a", 2);
  const auto drive = [&](auto disturb) {
    Experiment experiment({cell}, design);
    while (const auto next = experiment.next(false)) {
      RunRecord run = record(next->id, 1);
      run.noise.involuntary_switches = 100;
      disturb(run);
      experiment.add(std::move(run));
    }
    return experiment.runs();
  };
  SUBCASE("quiet: none") {
    const RunTable runs = drive([](RunRecord&) {});
    CHECK(runs.size() == 10);
  }
  SUBCASE("stolen time, once") {
    const RunTable runs = drive([](RunRecord& run) {
      if (run.id.block == 1 && run.id.attempt == 0 && run.id.slot == 1) run.noise.steal_ms = 101;  // of 2000
    });
    CHECK(runs.size() == 12);
    CHECK(runs.counting_attempt(cell.info, 1) == 1);
  }
  SUBCASE("time that workers waited for their CPUs counts as well") {
    const RunTable runs = drive([](RunRecord& run) {
      if (run.id.block == 2 && run.id.attempt == 0) run.metrics.emplace_back(kStolen, 0.06);
    });
    CHECK(runs.size() == 12);
  }
  SUBCASE("CPUs that go or come") {
    const RunTable runs = drive([](RunRecord& run) {
      if (run.id.block == 2 && run.id.attempt == 0) run.noise.cpu_changes = {"CPU 1 went offline"};
    });
    CHECK(runs.size() == 12);
  }
  SUBCASE("at the limit: not disturbed") {
    const RunTable runs = drive([](RunRecord& run) { run.noise.steal_ms = 100; });
    CHECK(runs.size() == 10);
  }
  SUBCASE("stolen time always: attempts end") {
    const RunTable runs = drive([](RunRecord& run) { run.noise.steal_ms = 500; });
    CHECK(runs.size() == 30);
    CHECK(is_disturbed(design, cell.info, runs, 0, 2));
  }
  SUBCASE("switches: judged against the slot's earlier blocks") {
    const RunTable runs = drive([](RunRecord& run) {
      if (run.id.block == 4 && run.id.attempt == 0) run.noise.involuntary_switches = 401;
      if (run.id.block == 1) run.noise.involuntary_switches = 401;  // nothing to judge by yet
    });
    CHECK(runs.size() == 12);
  }
}

TEST_CASE("experiment: --until-ci goes on until the ratios are narrow") {
  Design design;
  design.blocks = 5;
  design.until_half_width = 0.02;
  design.most_blocks = 400;
  const auto blocks_needed = [&](double noise) {
    Experiment experiment({simple_cell("a", 2)}, design);
    sched::Rng rng(3);
    while (const auto next = experiment.next(false)) {
      const double jitter = 1 + noise * (static_cast<double>(rng.below(2001)) / 1000 - 1);
      experiment.add(record(next->id, 1000 * jitter));
    }
    return experiment.runs().block_count(experiment.cells().front().info);
  };
  CHECK(blocks_needed(0.001) == 5);
  const uint32_t more = blocks_needed(0.08);
  CHECK(more > 10);
  CHECK(more < 400);
}

TEST_CASE("experiment: when time is up, the block that has begun is finished and none begun") {
  Design design;
  design.blocks = 100;
  design.until_half_width = 0.0001;
  Experiment experiment({simple_cell("a", 3), simple_cell("b", 3)}, design);
  experiment.add(record(experiment.next(false)->id, 1));
  size_t more = 0;
  while (const auto next = experiment.next(true)) {
    CHECK(next->id.cell == "a");
    CHECK(next->id.block == 0);
    experiment.add(record(next->id, 1));
    ++more;
  }
  CHECK(more == 2);
}

TEST_CASE("journal: a broken line in the middle is refused with its number") {
  const Json line = run_line(record({"a", 0, 0, 0}, 5));
  const std::string good = dump(line) + "\n";
  CHECK(parse_journal("f", good + good)->runs.size() == 1);
  CHECK(parse_journal("f", good + "{\"kind\":\"run\"")->dropped_tail);
  CHECK(parse_journal("f", good + "{\"kind\":\"run\"")->whole_bytes == good.size());
  CHECK(parse_journal("f", "{\"kind\":\"later\"}\n" + good)->runs.size() == 1);
  for (const char* bad : {"{\"kind\":\"run\"}\n", "[1]\n", "nonsense\n", "{}\n"}) {
    const auto parsed = parse_journal("f", good + bad + good);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().text().find("f:2") != std::string::npos);
  }
  CHECK(parse_journal("f", "")->runs.empty());
}

TEST_CASE("journal: one program at a time") {
  const TemporaryFile file("lock.jsonl");
  const auto first = Journal::open(file.path());
  REQUIRE(first.has_value());
  const auto second = Journal::open(file.path());
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().text().find("another kvmux") != std::string::npos);
}
