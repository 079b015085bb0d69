// The live view's keys, its console and what its keys do to policies.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include "sched/policy/parse.h"
#include "vmm/live/console_pane.h"
#include "vmm/live/features.h"
#include "vmm/live/keys.h"

using namespace vmm;
using Kind = LiveAction::Kind;

namespace {

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::vector<Kind> kinds(const std::string& typed) {
  LiveKeys keys;
  std::vector<Kind> result;
  for (const LiveAction& action : keys.read(bytes_of(typed))) result.push_back(action.kind);
  return result;
}

std::vector<VmChange> policies(std::initializer_list<const char*> names) {
  std::vector<VmChange> result;
  for (const char* name : names) result.push_back({*sched::parse_policy(name), std::nullopt});
  return result;
}

std::string word(const LiveFeatures& features, const std::string& name) {
  for (const LiveFeature& feature : features.shown()) {
    if (feature.name == name) return feature.word;
  }
  return "none";
}

}  // namespace

TEST_CASE("live keys: letters, arrows in both modes, and nothing for what is unknown") {
  CHECK(kinds("q") == std::vector{Kind::kQuit});
  CHECK(kinds("\x03") == std::vector{Kind::kQuit});
  CHECK(kinds("\x1b[A\x1bOB\x1b[C\x1b[D\x1b[5~\x1b[6~") ==
        std::vector{Kind::kUp, Kind::kDown, Kind::kNext, Kind::kPrevious, Kind::kPageUp, Kind::kPageDown});
  CHECK(kinds("<>\x0c") == std::vector{Kind::kPageUp, Kind::kPageDown, Kind::kRedraw});
  CHECK(kinds("\x1b[200~1#%\xff").empty());
  LiveKeys keys;
  const auto letters = keys.read(bytes_of("pd"));
  REQUIRE(letters.size() == 2);
  CHECK(letters[0] == LiveAction{Kind::kLetter, 'p'});
}

TEST_CASE("live keys: an arrow that comes in pieces is one, and an escape alone is forgotten") {
  LiveKeys keys;
  CHECK(keys.read(bytes_of("\x1b")).empty());
  CHECK(keys.is_inside());
  CHECK(keys.read(bytes_of("[")).empty());
  CHECK(keys.read(bytes_of("A")) == std::vector{LiveAction{Kind::kUp}});
  CHECK_FALSE(keys.is_inside());
  CHECK(keys.read(bytes_of("\x1b")).empty());
  keys.forget();
  CHECK(keys.read(bytes_of("q")) == std::vector{LiveAction{Kind::kQuit}});
  CHECK(keys.read(bytes_of("\x1b[" + std::string(1000, '1'))).empty());
  CHECK(keys.read(bytes_of("q")) == std::vector{LiveAction{Kind::kQuit}});
}

TEST_CASE("live features: each that may change during a run has a key of its own") {
  std::set<char> keys{'q'};
  for (const sched::FeatureField& field : sched::feature_fields()) {
    CAPTURE(field.name);
    const char key = key_of_feature(field.name);
    CHECK((key != 0) == !field.whole_run);
    if (key != 0) CHECK(keys.insert(key).second);
    if (key != 0) CHECK((key >= 'a' && key <= 'z'));
  }
}

TEST_CASE("live features: a key switches the feature of all VMs, again and again") {
  LiveFeatures features(policies({"kvmux", "yield"}));
  CHECK(word(features, "donate") == "mixed");
  CHECK(word(features, "spin") == "on");
  REQUIRE(features.has('o'));
  auto vms = features.switch_feature('o');
  REQUIRE(vms);
  CHECK((*vms)[0].policy.features.donate == false);
  CHECK((*vms)[1].policy.features.donate == false);
  CHECK((*vms)[0].policy.name == "kvmux,donate=off");
  CHECK((*vms)[1].policy.name == "yield,donate=off");
  CHECK(word(features, "donate") == "off");
  CHECK(features.last() == "donate=off");
  vms = features.switch_feature('o');
  REQUIRE(vms);
  CHECK((*vms)[0].policy.name == "kvmux,donate=on");
  vms = features.switch_feature('i');  // words follow one another
  REQUIRE(vms);
  CHECK((*vms)[0].policy.name == "kvmux,donate=on,ipi=none");
  CHECK(word(features, "ipi") == "none");
  CHECK_FALSE(features.has('q'));
  CHECK_FALSE(features.has('z'));
}

TEST_CASE("live features: what cannot change says why, and nothing has changed") {
  LiveFeatures features(policies({"gang"}));
  REQUIRE(features.has('p'));
  const auto vms = features.switch_feature('p');
  REQUIRE_FALSE(vms);
  CHECK(vms.error().message.find("pull") != std::string::npos);
  CHECK(word(features, "pull") == "off");
  const LiveFeatures host(policies({"host"}));
  CHECK(host.shown().empty());
  CHECK_FALSE(host.has('p'));
}

TEST_CASE("live console: lines without what moves a cursor, and the bytes as they came") {
  ConsolePane pane;
  pane.add(bytes_of("one\r\n\x1b[1;31mtwo\x1b[0m\tx\nthr"));
  CHECK(pane.last(10) == std::vector<std::string>{"one", "two     x", "thr"});
  CHECK(pane.last(1) == std::vector<std::string>{"thr"});
  pane.add(
      bytes_of("ee\n\x1b]0;title\x07"
               "10%\r20%\rab\b\bcd\n"));
  CHECK(pane.last(2) == std::vector<std::string>{"three", "cd"});
  CHECK(pane.tail().starts_with("one\r\n\x1b[1;31mtwo"));
  CHECK(pane.before_tail() == 0);
}

TEST_CASE("live console: keeps so many lines and bytes, from the beginning of a line") {
  ConsolePane pane;
  std::string all;
  for (int i = 0; i < 100'000; ++i) all += "line " + std::to_string(i) + "\n";
  pane.add(bytes_of(all));
  const auto lines = pane.last(1000);
  CHECK(lines.size() == ConsolePane::kLines - 1);
  CHECK(lines.back() == "line 99999");
  const std::string tail = pane.tail();
  CHECK(tail.size() <= ConsolePane::kBytes);
  CHECK(tail.size() > ConsolePane::kBytes / 2);
  CHECK(tail.starts_with("line "));
  CHECK(all.ends_with(tail));
  CHECK(pane.before_tail() + tail.size() == all.size());
  pane.add(bytes_of(std::string(1 << 20, 'x')));  // one line without end
  CHECK(pane.last(1).front().size() <= 1000);
}

TEST_CASE("live features: a key builds on what others have changed") {
  LiveFeatures features(policies({"yield"}));
  features.go_on_with(policies({"kvmux"}));
  CHECK(word(features, "pull") == "on");
  const auto switched = features.switch_feature('d');
  REQUIRE(switched);
  CHECK(switched->front().policy.name == "kvmux,deboost=on");
}
