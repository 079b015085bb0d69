// `kvmux heatmap`: ratios to the best of the others, the cells that are lost, and a picture that is
// well-formed.
#include <doctest/doctest.h>

#include <string_view>
#include <vector>

#include "cli_fake.h"
#include "vmm/stats/journal.h"

using namespace vmm;

namespace {

size_t count(const std::string& text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

const std::vector<std::string> kPolicies{"yield", "gang", "kvmux"};

CellInfo cell(const std::string& guest, const std::string& size, uint32_t workers) {
  CellInfo info;
  info.key = hex(fingerprint(guest + size + std::to_string(workers)));
  info.guest = guest;
  info.size = size;
  info.backend = "sim";
  info.workers = workers;
  info.vms = 2;
  info.vcpus_in_all = 8;
  info.seconds = 1;
  info.labels = kPolicies;
  return info;
}

// A line of a result file for each policy's run of a block, in the order of kPolicies.
std::string block_lines(const CellInfo& info, uint32_t block, const std::vector<double>& throughputs) {
  std::string lines;
  for (uint32_t slot = 0; slot < throughputs.size(); ++slot) {
    RunRecord run;
    run.id = {info.key, block, 0, slot};
    run.seconds = 1;
    run.metrics = {{"throughput", throughputs[slot]}, {"fairness", 0.97}};
    if (throughputs[slot] > 0) run.metrics.emplace_back("worst_wait", 1e9 / throughputs[slot]);
    lines += dump(run_line(run)) + "\n";
  }
  return lines;
}

const std::string kSession = R"({"kind":"session","kvmux_version":"0.1.0"})"
                             "\n";

// kvmux wins the first cell by 10 % and loses the second by 5 % to gang, in the median of three blocks; by 1
// %, within the margin, it loses the third.
std::string three_cells() {
  const CellInfo won = cell("lock (ttas, think 50us)", "2 × 4", 16);
  const CellInfo lost = cell("a < b & c", "2 × 4", 4);
  const CellInfo close = cell("lock (ttas, think 50us)", "3 × 5", 4);
  std::string text = kSession;
  for (const CellInfo& info : {won, lost, close}) text += dump(cell_line(info)) + "\n";
  text += block_lines(won, 0, {1000, 900, 1100});
  text += block_lines(lost, 0, {500, 1000, 950}) + block_lines(lost, 1, {500, 2000, 1000}) +
          block_lines(lost, 2, {500, 100, 99});
  text += block_lines(close, 0, {1000, 900, 990});
  return text;
}

struct Drawn {
  int status = 0;
  std::string out;
  std::string err;
  std::string svg;
};

Drawn draw(const std::string& results, std::initializer_list<std::string> more = {}) {
  const TemporaryFile file("cells.jsonl");
  const TemporaryFile picture("heat.svg");
  file.write(results);
  std::vector<std::string> words{"heatmap", file.path(), "-o", picture.path()};
  words.insert(words.end(), more);
  FakeProgram program;
  const int status = program.run(words);
  return {status, program.out.str(), program.err.str(), picture.read()};
}

// Every element that is opened is closed in order, and no bare & or < is in text.
bool well_formed(const std::string& xml) {
  std::vector<std::string> open;
  for (size_t at = 0; at < xml.size(); ++at) {
    if (xml[at] == '&') {
      const std::string_view rest = std::string_view{xml}.substr(at);
      if (!rest.starts_with("&amp;") && !rest.starts_with("&lt;") && !rest.starts_with("&gt;")) return false;
    }
    if (xml[at] != '<') continue;
    const size_t end = xml.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = xml.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag.starts_with('/')) {
      if (open.empty() || "/" + open.back() != tag) return false;
      open.pop_back();
    } else if (!tag.ends_with('/')) {
      open.push_back(name);
    }
    at = end;
  }
  return open.empty();
}

}  // namespace

TEST_CASE("heatmap: the ratio is the median of pairs to the best of the others, and losses are named") {
  const Drawn drawn = draw(three_cells());
  REQUIRE(drawn.status == 0);
  CHECK(contains(drawn.out,
                 "throughput: kvmux against the best of the other policies: 3 cells, 1 lost by more"));
  CHECK(contains(drawn.out, "4  2 × 4        a < b & c  0.950  gang\n"));
  CHECK(!contains(drawn.out, "lock"));
  CHECK(contains(drawn.svg, ">1.100</text>"));
  CHECK(contains(drawn.svg, ">0.950</text>"));
  CHECK(contains(drawn.svg, ">0.990</text>"));
  CHECK(contains(drawn.svg, "lock (ttas, think 50us), 2 × 4 on 16 workers: 1.100 of yield"));
}

TEST_CASE("heatmap: a wider margin loses nothing, a narrower one more") {
  CHECK(contains(draw(three_cells(), {"--margin", "6%"}).out, "3 cells, 0 lost by more than 6 %.\n"));
  const std::string all = draw(three_cells(), {"--margin", "0.5%"}).out;
  CHECK(contains(all, "2 lost"));
  CHECK(all.find("0.950") < all.find("0.990"));  // worst first
}

TEST_CASE("heatmap: a metric of which less is better is turned round; another may stand beside") {
  const Drawn drawn = draw(three_cells(), {"--metric", "worst_wait", "--beside", "fairness"});
  REQUIRE(drawn.status == 0);
  CHECK(contains(drawn.out, "0.950  gang"));
  CHECK(contains(drawn.out, "fairness of kvmux  of the best\n"));
  CHECK(contains(drawn.out, "0.97         0.97\n"));
  CHECK(count(drawn.svg, ">0.97</text>") == 3);
}

TEST_CASE("heatmap: another policy's view of the same file") {
  const std::string out = draw(three_cells(), {"--policy", "yield"}).out;
  CHECK(contains(out, "yield against the best"));
  CHECK(contains(out, "2 lost"));
  CHECK(contains(out, "0.909  kvmux"));
}

TEST_CASE("heatmap: the picture is well-formed, needs nothing from elsewhere, and has its rows by workers") {
  const std::string svg = draw(three_cells(), {"--title", "a & <b>"}).svg;
  CHECK(svg.starts_with("<svg "));
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(well_formed(svg));
  CHECK(contains(svg, "<text class=\"t\" x=\"12\" y=\"24\">a &amp; &lt;b&gt;</text>"));
  CHECK(count(svg, "http") == 1);  // the name space
  CHECK(!contains(svg, "<script"));
  CHECK(contains(svg, "prefers-color-scheme:dark"));
  CHECK(svg.find(">4 workers<") < svg.find(">16 workers<"));
}

TEST_CASE("heatmap: a policy that did nothing is no rival; a cell without runs is drawn without a ratio") {
  const CellInfo info = cell("mixed", "1 × 8", 4);
  const CellInfo never = cell("mixed", "1 × 9", 4);
  std::string text = dump(cell_line(info)) + "\n" + dump(cell_line(never)) + "\n";
  const Drawn drawn = draw(text + block_lines(info, 0, {0, 100, 150}));
  REQUIRE(drawn.status == 0);
  CHECK(contains(drawn.out, "1 cells, 0 lost by more than 2 %; 1 more have no ratio."));
  CHECK(contains(drawn.svg, ">1.500</text>"));
  CHECK(contains(drawn.svg, ">–</text>"));
  CHECK(draw(text).status == 2);
}

TEST_CASE("heatmap: bad input names what is accepted") {
  const auto refusal = [](const std::string& results, std::initializer_list<std::string> more) {
    const Drawn drawn = draw(results, more);
    CHECK(drawn.status == 2);
    CHECK(drawn.svg.empty());
    return drawn.err;
  };
  const std::string policy = refusal(three_cells(), {"--policy", "v3"});
  CHECK(contains(policy, "--policy: 'v3' is not accepted"));
  CHECK(contains(policy, "yield; gang; kvmux"));
  const std::string metric = refusal(three_cells(), {"--metric", "speed"});
  CHECK(contains(metric, "--metric: 'speed' is not accepted"));
  CHECK(contains(metric, "throughput"));
  CHECK(!contains(metric, "spin_exits"));  // neither more nor less of them is better
  CHECK(contains(refusal(three_cells(), {"--beside", "speed"}), "spin_exits"));
  CHECK(contains(refusal(three_cells(), {"--margin", "much"}), "--margin: 'much'"));
  CHECK(contains(refusal("", {}), "has no cells"));
  CHECK(contains(refusal("not json\n", {}), "not a kvmux result line"));
  FakeProgram program;
  CHECK(program.run({"heatmap"}) == 2);
  CHECK(contains(program.err.str(), "FILE: is needed"));
  CHECK(program.run({"heatmap", "no-such-file", "-o", "-", "--markdown", "-"}) == 2);
  CHECK(contains(program.err.str(), "only one of them"));
}

TEST_CASE("heatmap: the lost cells as Markdown, and several files as one") {
  const Drawn drawn = draw(three_cells(), {"--markdown", "-"});
  CHECK(contains(drawn.out, "| 4 | 2 × 4 | a < b & c | 0.950 | gang |\n"));
  const TemporaryFile more("more.jsonl");
  const CellInfo info = cell("pingpong", "2 × 2", 64);
  more.write(kSession + dump(cell_line(info)) + "\n" + block_lines(info, 0, {100, 100, 90}));
  const std::string both = draw(three_cells(), {more.path()}).out;
  CHECK(contains(both, "4 cells, 2 lost"));
  CHECK(contains(both, "64"));
}
