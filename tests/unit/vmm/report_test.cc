#include "vmm/report/report.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cli_fake.h"
#include "page_reader.h"
#include "sched/base/rng.h"
#include "vmm/cli/compare_options.h"
#include "vmm/cli/report.h"
#include "vmm/stats/journal.h"

using namespace vmm;

namespace {

// v2 is slower, kvmux the same; every run has some noise.
Result<RunResult> noisy_backend(const RunSpec& spec) {
  const std::string& policy = spec.vms.front().policy.name;
  sched::Rng rng(spec.seed ^ (policy.size() * 977 + spec.vms.size()));
  const double noise = 1 + static_cast<double>(rng.below(1000)) / 50'000;
  return fake_result(spec, (policy == "v2" ? 600 : 1000) * noise);
}

const std::vector<std::string> kGrid = {"compare",    "--guest",        "lock,ipi", "--vms", "1,2",
                                        "--policies", "yield,v2,kvmux", "--repeat", "6"};

std::vector<std::string> with(std::vector<std::string> arguments, std::initializer_list<std::string> more) {
  arguments.insert(arguments.end(), more);
  return arguments;
}

Json measured_report() {
  FakeProgram program;
  program.backend = noisy_backend;
  const TemporaryFile page("report.html");
  REQUIRE(program.run(with(kGrid, {"--report", page.path()})) == 0);
  CHECK(contains(program.err.str(), "kvmux: the report is " + page.path()));
  return data_of(page.read());
}

const PageParts kWithoutLibrary = [](std::string_view name) -> std::optional<std::string> {
  return name == "d3.js" || name == "plot.js" ? std::optional<std::string>{""} : embedded_parts()(name);
};

}  // namespace

TEST_CASE("report: the page's figures are those of --json and of the table, digit by digit") {
  FakeProgram program;
  program.backend = noisy_backend;
  const TemporaryFile page("numbers.html");
  const TemporaryFile json("numbers.json");
  REQUIRE(program.run(with(kGrid, {"--report", page.path(), "--json", json.path()})) == 0);
  const Json data = data_of(page.read());
  const Json told = Json::parse(json.read());
  CHECK(data["compare"]["cells"] == told["cells"]);
  CHECK(data["compare"]["cells"].size() == 4);
  size_t ratios = 0;
  for (const Json& cell : data["compare"]["cells"]) {
    for (const Json& policy : cell["policies"]) {
      const Json& finding = policy["metrics"]["throughput"];
      if (!finding.contains("ratio")) continue;
      ++ratios;
      CHECK(contains(program.out.str(), ratio_text(finding["ratio"].get<double>())));
    }
  }
  CHECK(ratios == 8);
  CHECK(data["counts"]["throughput"]["worse"] == 4);
  CHECK(data["counts"]["throughput"]["equivalent"] == 4);
  CHECK(contains(program.out.str(), "0 better, 2 worse, 2 equivalent"));
}

TEST_CASE("report: one sentence a finding, with size and interval") {
  const Json data = measured_report();
  const Json& list = data["sentences"]["throughput"];
  REQUIRE(list.size() == 8);
  for (const Json& sentence : list) {
    const Json& finding = data["compare"]["cells"][sentence["cell"].get<size_t>()]["policies"]
                              [sentence["policy"].get<size_t>()]["metrics"]["throughput"];
    const auto text = sentence["text"].get<std::string>();
    CAPTURE(text);
    CHECK(contains(text, ratio_text(finding["ratio"].get<double>())));
    CHECK(contains(text, "(" + ratio_text(finding["low"].get<double>()) + " … "));
    CHECK(contains(text, sentence["verdict"].get<std::string>()));
  }
  CHECK(contains(list[0]["text"].get<std::string>(), "v2 does 0."));
  CHECK(contains(list[0]["text"].get<std::string>(), "times the work of yield on lock 1 × 4 ("));
}

TEST_CASE("report: ratios in time order have the geometric mean that the table has") {
  const Json data = measured_report();
  const Json& pairs = data["details"][0]["policies"][1]["pairs"]["throughput"];
  REQUIRE(pairs.size() == 6);
  double sum = 0;
  for (const Json& ratio : pairs) sum += std::log(ratio.get<double>());
  const double told = data["compare"]["cells"][0]["policies"][1]["metrics"]["throughput"]["ratio"];
  CHECK(std::exp(sum / 6) == doctest::Approx(told).epsilon(1e-5));
}

TEST_CASE("report: ledger, latencies, yields and fairness come from the runs") {
  const Json data = measured_report();
  const Json& policy = data["details"][1]["policies"][0];  // lock 2 × 4, yield
  CHECK(policy["ledger"]["guest"] == doctest::Approx(0.25));
  CHECK(policy["ledger"]["steal"] == doctest::Approx(0.5));
  // 2 VMs, 6 runs: 990 of 1,000 around 10 µs.
  CHECK(policy["ack"]["count"] == 12'000);
  CHECK(policy["ack"]["p50_ns"].get<double>() == doctest::Approx(10'000).epsilon(0.13));
  CHECK(policy["ack"]["cdf"].back()[1] == 1);
  CHECK(policy["fairness"]["vms"].size() == 2);
  CHECK(policy["fairness"]["vms"][0]["median"] == 1);
  // 8 vCPUs: 80 yields each a second, 60 of them hits.
  CHECK(policy["yields"]["done"] == 640);
  CHECK(policy["yields"]["hits"] == 480);
  CHECK(policy["yields"]["open"] == 160);
  CHECK(policy["yields"]["reasons"]["ipi_receiver"] == 640);
}

TEST_CASE("report: a VM's share is against its weight") {
  RunSpec spec;
  spec.vms.resize(2);
  spec.vms[0].weight = sched::Weight{1024};
  spec.vms[1].weight = sched::Weight{3072};
  RunResult result = fake_result(spec, 100);
  result.vms[1].ops_per_second = 300;
  CHECK(detail_of(spec, result).shares == std::vector<double>{1, 1});
  result.vms[1].ops_per_second = 100;  // half of all instead of three quarters
  const auto shares = detail_of(spec, result).shares;
  CHECK(shares[0] == doctest::Approx(2));
  CHECK(shares[1] == doctest::Approx(2.0 / 3));
}

TEST_CASE("report: result files keep what the report needs, and old ones are read without") {
  FakeProgram program;
  program.backend = noisy_backend;
  const TemporaryFile file("detail.jsonl");
  REQUIRE(program.run(with(kGrid, {"--out", file.path()})) == 0);
  const std::string text = file.read();
  const auto contents = parse_journal("new", text);
  REQUIRE(contents);
  REQUIRE(contents->runs.front().detail);
  CHECK(contents->runs.front().detail->yields.hits == 4 * 60);
  std::string again;
  std::string old;
  for (const Json& session : contents->sessions) old += dump(session) + "\n";
  for (const CellInfo& cell : contents->cells) old += dump(cell_line(cell)) + "\n";
  for (RunRecord run : contents->runs) {
    again += dump(run_line(run)) + "\n";
    CHECK(contains(text, dump(run_line(run)) + "\n"));
    run.detail.reset();
    old += dump(run_line(run)) + "\n";
  }
  CHECK(!contains(old, "ledger_ns"));
  file.write(old);
  const TemporaryFile page("old.html");
  REQUIRE(program.run({"report", file.path(), "-o", page.path()}) == 0);
  const Json data = data_of(page.read());
  CHECK(contains(data["missing"]["detail"].get<std::string>(), "Measure again"));
  CHECK(!data["details"][0]["policies"][0].contains("ledger"));
  CHECK(data["compare"]["cells"].size() == 4);
  CHECK(data["details"][1]["policies"][0]["fairness"]["equal_weights_assumed"] == true);
}

TEST_CASE("report: repeated and disturbed blocks are marked") {
  FakeProgram program;
  int runs = 0;
  program.backend = [&runs](const RunSpec& spec) {
    RunResult result = fake_result(spec, 1000);
    if (++runs == 3) result.noise.cpu_changes = {"CPU 1 went offline"};  // of the second block
    return result;
  };
  const TemporaryFile page("repeated.html");
  REQUIRE(program.run({"compare", "--guest", "lock", "--vms", "1", "--policies", "yield,v2", "--repeat", "4",
                       "--report", page.path()}) == 0);
  const Json data = data_of(page.read());
  const Json& attempts = data["details"][0]["attempts"];
  REQUIRE(attempts.size() == 5);
  CHECK(attempts[1]["disturbed"] == true);
  CHECK(attempts[1]["counts"] == false);
  CHECK(attempts[2]["block"] == 1);
  CHECK(attempts[2]["attempt"] == 1);
  CHECK(attempts[2]["counts"] == true);
  const auto csv = data_of(page.read())["csv"]["runs"].get<std::string>();
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 1 + 5 * 2);
  CHECK(contains(csv, ",CPU 1 went offline"));
  CHECK(contains(program.out.str(), "While a run was measured: CPU 1 went offline."));
}

TEST_CASE("report: what result files hold cannot leave its script") {
  FakeProgram program;
  program.backend = noisy_backend;
  const TemporaryFile file("hostile.jsonl");
  REQUIRE(program.run(with(kGrid, {"--out", file.path()})) == 0);
  std::string text = file.read();
  const std::string hostile = "lock </script><img src=x onerror=alert(1)><!--";
  for (size_t at = text.find("\"guest\":\"lock"); at != std::string::npos;
       at = text.find("\"guest\":\"lock", at + 20))
    text.replace(at, 13, "\"guest\":\"" + hostile);
  file.write(text);
  const TemporaryFile page("hostile.html");
  REQUIRE(program.run({"report", file.path(), "-o", page.path()}) == 0);
  CHECK(!contains(page.read(), "</script><img"));
  CHECK(contains(data_of(page.read())["compare"]["cells"][0]["guest"].get<std::string>(), hostile));
  file.write("{\"kind\":\"session\",\"command\":7}\n" + text);
  CHECK(program.run({"report", file.path(), "-o", page.path()}) == 0);  // a later session says it rightly
  file.write(text + "{\"kind\":\"session\",\"command\":7}\n");
  CHECK(program.run({"report", file.path(), "-o", page.path()}) == 2);
  CHECK(contains(program.err.str(), "a session line is not of kvmux"));
}

TEST_CASE("report: --report says where to, or off") {
  FakeProgram program;
  program.backend = noisy_backend;
  CHECK(program.run(with(kGrid, {"--report", "off"})) == 0);
  CHECK(!contains(program.err.str(), "the report is"));
  CHECK(program.run(with(kGrid, {"--report", "/nowhere/report.html"})) == 3);
  CHECK(contains(program.err.str(), "--report /nowhere/report.html"));
  CHECK(contains(program.out.str(), "baseline"));  // what was measured is printed all the same
  CHECK(program.run(with(kGrid, {"--report", "-"})) == 0);
  CHECK(program.out.str().starts_with("<!doctype html>"));
  CHECK(program.run({"report"}) == 2);
  CHECK(program.run({"report", "/nowhere/runs.jsonl"}) == 2);
}

TEST_CASE("report: where the report goes when no flag says") {
  CompareOptions options;
  const std::string standard = "kvmux-report.html";
  CHECK(report_file(options, standard) == standard);
  CHECK(report_file(options, "").empty());
  options.out = "results/grid.jsonl";
  CHECK(report_file(options, standard) == "results/grid.html");
  CHECK(report_file(options, "").empty());
  options.out = "grid.html";
  CHECK(report_file(options, standard) == "grid.html.report.html");
  options.out = "/dev/null";
  CHECK(report_file(options, standard) == standard);
  options.csv = "-";
  CHECK(report_file(options, standard).empty());
  options.report = "mine.html";
  CHECK(report_file(options, standard) == "mine.html");
  options.report = "off";
  CHECK(report_file(options, standard).empty());
}

TEST_CASE("report: without the charting library the page is whole and says so") {
  CHECK(!has_charts(kWithoutLibrary));
  const std::string page = report_page(Json::object(), kWithoutLibrary);
  CHECK(!contains(page, "<!-- library"));
  CHECK(!contains(page, "<!-- script"));
  CHECK(contains(page, "Tables only"));
  // Every part that the frame names is in the program.
  const std::string frame = embedded_parts()("page.html").value();
  for (size_t at = frame.find("<!-- script "); at != std::string::npos;
       at = frame.find("<!-- script ", at + 1)) {
    const size_t name = at + std::string_view{"<!-- script "}.size();
    const std::string part = frame.substr(name, frame.find(" -->", name) - name);
    CAPTURE(part);
    CHECK(embedded_parts()(part).has_value());
  }
}

TEST_CASE("report: what a trace says of preemption, waits, yields and IPIs") {
  using sched::TraceEvent;
  using sched::TraceKind;
  Trace trace;
  trace.vms = {{"lock", "yield", 2}, {"lock", "yield", 2}};
  trace.workers = 1;
  trace.window_begin = 1000;
  trace.window_end = 100'000;
  const auto at = [](int64_t time, TraceKind kind, uint32_t vcpu, uint8_t why = 0,
                     uint32_t other = sched::kNoOne, uint64_t value = 0) {
    return TraceEvent{
        .at = time, .vcpu = vcpu, .other = other, .value = value, .worker = 0, .kind = kind, .why = why};
  };
  const auto preempted = static_cast<uint8_t>(sched::TraceOut::kPreempted);
  const auto halted = static_cast<uint8_t>(sched::TraceOut::kHalted);
  trace.events = {
      at(1000, TraceKind::kIn, 0),
      at(2000, TraceKind::kIpiSend, 0, 0, 2, 35),
      at(3000, TraceKind::kOut, 0, preempted),  // VM 0, by VM 1
      at(3500, TraceKind::kIn, 2),
      at(4000, TraceKind::kInject, 2, 0, sched::kNoOne, 35),
      at(6000, TraceKind::kEoi, 2, 0, sched::kNoOne, 35),
      at(6500, TraceKind::kYield, 2, 2, 0, static_cast<uint64_t>(sched::TraceYield::kHere)),
      at(7000, TraceKind::kOut, 2, halted),
      at(7000, TraceKind::kIn, 0),  // waited 4 µs; took nobody's turn
      at(7500, TraceKind::kOutcome, 2, static_cast<uint8_t>(sched::TraceOutcome::kHit)),
      at(8000, TraceKind::kWake, 2),
      at(9000, TraceKind::kOut, 0, preempted),
      at(9000, TraceKind::kIn, 2),  // woken 1 µs ago
  };
  const Json json = trace_json({"t.trace", trace}, {});
  CHECK(json["preempted"] == Json::parse("[[0,2],[0,0]]"));
  CHECK(json["outcomes"]["preempted"]["hits"] == 1);
  CHECK(json["ipi"]["count"] == 1);
  CHECK(json["ipi"]["p50_ns"] == 4000);
  CHECK(json["wait"]["count"] == 2);
  CHECK(json["wakeup"]["p50_ns"] == 1000);
  CHECK(json["timeline"]["stays"].size() == 4);
  CHECK(json["timeline"]["stays"][0] == Json::parse("[0,0,0,2000,0,0]"));
  CHECK(json["timeline"]["ipis"] == Json::parse("[[0,2,35,1000,3000,5000]]"));
  CHECK(json["missing"] == Json::parse("[\"mark\"]"));
  const Json part = trace_json({"t.trace", trace}, {.from_ns = 2500, .length_ns = 1000});
  CHECK(part["timeline"]["stays"] == Json::parse("[[2,0,2500,3500,0,0]]"));
}

// One that is a list with a null in it would be drawn, at no place.
TEST_CASE("report: what did not happen is null") {
  Trace trace;
  trace.vms = {{"ipi", "yield", 2}};
  trace.workers = 1;
  trace.window_begin = 1000;
  trace.window_end = 9000;
  trace.events = {
      {.at = 2000, .vcpu = 0, .other = 1, .value = 35, .worker = 0, .kind = sched::TraceKind::kIpiSend}};
  CHECK(trace_json({"t.trace", trace}, {})["timeline"]["ipis"] == Json::parse("[[0,1,35,1000,null,null]]"));
}

TEST_CASE("report: parts are put apart and none is lost") {
  FakeProgram program;
  program.backend = noisy_backend;
  const TemporaryFile page("parts.html");
  REQUIRE(program.run(with(kGrid, {"--report", page.path()})) == 0);
  const std::string text = page.read();
  const Json frame = Json::parse(script_text(text, "application/json", "data"));
  CHECK(frame["first"] == "throughput");
  CHECK(frame["compare"]["cells"][0]["policies"][1]["metrics"].empty());
  CHECK(frame["sentences"].empty());
  CHECK(frame["parts"].size() > 8);
  const Json data = data_of(text);
  CHECK(data["compare"]["cells"][0]["policies"][1]["metrics"].size() > 8);
  CHECK(data["sentences"]["useful"].size() == 8);
  CHECK(data["csv"]["runs"].get<std::string>().starts_with("backend,guest"));
}
