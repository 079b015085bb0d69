#include "tests/soak/program_case.h"

#include <fmt/format.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "tests/soak/child.h"
#include "tests/soak/dice.h"

namespace soak {
namespace {

using Json = nlohmann::json;
constexpr Nanos kLimit = ms(120'000);

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream all;
  all << file.rdbuf();
  return all.str();
}

// One case under way.
struct Case {
  const Machine& machine;
  const Programs& programs;
  Dice dice;
  Outcome outcome;
  std::string output;  // file

  void fail(const std::string& what, const std::vector<std::string>& words) {
    std::string text = what + "; command:";
    for (const std::string& word : words) text += " " + word;
    const std::string said = contents(output);
    outcome.failures.push_back(text +
                               "; it says: " + said.substr(said.size() > 1500 ? said.size() - 1500 : 0));
  }
  // What the status must be unless a signal came first.
  void expect(int status, std::initializer_list<int> accepted, const std::vector<std::string>& words) {
    for (const int one : accepted) {
      if (status == one) return;
    }
    fail(fmt::format("ended with {}, expected {}", status, *accepted.begin()), words);
  }
};

std::vector<std::string> command(const Case& c, std::initializer_list<std::string> words,
                                 const std::vector<std::string>& more = {}) {
  std::vector<std::string> all{c.programs.kvmux};
  all.insert(all.end(), words);
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

// Stops and continues it a few times, then, if asked, ends it with one signal, or two.
bool disturb(Case& c, const Child& child, bool end_it) {
  Dice& dice = c.dice;
  std::this_thread::sleep_for(ms(dice.between(0, 600)));
  for (uint64_t n = dice.below(4); n > 0; --n) {
    child.pause(ms(dice.pick({1, 20, 200})));
    std::this_thread::sleep_for(ms(dice.between(0, 60)));
  }
  if (!end_it) return false;
  const int number = dice.pick({SIGINT, SIGINT, SIGTERM, SIGHUP});
  if (dice.chance(30)) child.signal(SIGSTOP);
  child.signal(number);
  if (dice.chance(25)) child.signal(SIGTERM);
  child.signal(SIGCONT);
  return true;
}

// What `--json` wrote is whole.
void read_json(Case& c, const std::string& path, const std::vector<std::string>& words) {
  const Json json = Json::parse(contents(path), nullptr, false);
  if (json.is_discarded())
    return c.fail("--json wrote what is no JSON: " + contents(path).substr(0, 200), words);
}

// May end with 130 even without a guest having failed, and with 1 or 0 if it was faster than the signal.
void run_run(Case& c) {
  const std::string json = c.programs.folder + "/run.json";
  std::filesystem::remove(json);
  const bool end_it = c.dice.chance(50);
  std::vector<std::string> words = command(c, {"run", "--json", json}, c.machine.words);
  // The words' own window is a short one; the last of two wins nowhere, so it is replaced.
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "--seconds" && end_it) words[i + 1] = "1500ms";
  }
  Child child(words, c.output);
  if (!child.started()) return c.fail("cannot be started", words);
  const bool signalled = disturb(c, child, end_it);
  const int status = child.wait(kLimit);
  if (child.hung()) return c.fail("HANG", words);
  const std::string said = contents(c.output);
  // Before main() has taken the signals over they do what they do to any program.
  if (signalled && said.empty() && (status == -SIGINT || status == -SIGTERM || status == -SIGHUP)) return;
  bool may_fail = false;
  for (const Member& member : c.machine.members) may_fail = may_fail || member.role != Role::kWorks;
  may_fail = may_fail || said.find("never started") != std::string::npos;
  if (signalled) {
    if (!may_fail || status != 1) c.expect(status, {130, 0}, words);
  } else if (may_fail) {
    c.expect(status, {0, 1}, words);
  } else {
    c.expect(status, {0}, words);
  }
  if (status == 0 || std::filesystem::exists(json)) read_json(c, json, words);
}

// How many different runs a result file has; none may be there twice, and only the last line may be torn.
size_t runs_of(Case& c, const std::string& path, const std::vector<std::string>& words) {
  std::set<std::string> runs;
  std::set<std::string> attempts;
  std::istringstream lines(contents(path));
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded()) {
      c.fail("a line of the result file is no JSON: " + line.substr(0, 200), words);
      continue;
    }
    if (json.value("kind", "") != "run") continue;
    const Json run{json["cell"], json["block"], json["slot"]};
    runs.insert(run.dump());
    const Json attempt{json["cell"], json["block"], json["slot"], json["attempt"]};
    if (!attempts.insert(attempt.dump()).second) c.fail("a run is there twice: " + attempt.dump(), words);
  }
  return runs.size();
}

void run_compare(Case& c) {
  const std::string file = c.programs.folder + "/grid.jsonl";
  std::filesystem::remove(file);
  const uint64_t repeat = 2;
  const auto words =
      command(c, {"compare", "--guest", c.dice.pick({std::string{"lock"}, std::string{"ipi,compute"}}),
                  "--vms", "1,2", "--vcpus", "2", "--policies",
                  c.dice.pick({std::string{"yield,v2"}, std::string{"fair,kvmux"}, std::string{"host,v3"}}),
                  "--repeat", std::to_string(repeat), "--seconds", "0.05", "--warmup", "0.01", "--out", file,
                  "--max-steal", "99%"});
  const size_t expected = (words[3] == "lock" ? 1 : 2) * 2 * 2 * repeat;
  for (uint64_t n = c.dice.below(3) + 1; n > 0; --n) {
    Child child(words, c.output);
    if (!child.started()) return c.fail("cannot be started", words);
    std::this_thread::sleep_for(ms(c.dice.between(50, 900)));
    const bool kill = c.dice.chance(40);
    if (c.dice.chance(30)) child.pause(ms(30));
    child.signal(kill ? SIGKILL : SIGINT);
    const int status = child.wait(kLimit);
    if (child.hung()) return c.fail("HANG", words);
    const bool early = status == -SIGINT && contents(c.output).empty();
    if (!early && !(kill && status == -SIGKILL)) c.expect(status, {130, 0}, words);
  }
  Child child(words, c.output);
  const int status = child.wait(kLimit);
  if (child.hung()) return c.fail("HANG", words);
  c.expect(status, {0}, words);
  const size_t count = runs_of(c, file, words);
  if (count != expected) c.fail(fmt::format("{} runs in the result file, not {}", count, expected), words);
}

struct Image {
  const char* file;
  uint32_t vcpus;  // 0: any
  bool any_irqchip;
  std::vector<int> statuses;
  const char* last;  // what it prints when all is well
};

const std::vector<Image>& images() {
  static const std::vector<Image> kImages{
      {"complete.elf", 2, false, {1}, "no pair was torn"},
      {"flat.bin", 0, false, {129}, "real mode says hello"},
      {"interrupts.elf", 4, false, {1}, "ok and x2APIC mode again"},
      {"lines.elf", 2, true, {1}, "ok lines: the end"},
      {"linux.bin", 0, false, {65}, "command line:"},
      {"multiboot.elf", 0, false, {1}, "ok all processors ran"},
      {"smp8.elf", 8, false, {1}, "ok timers of all processors"},
      {"unknown.elf", 0, false, {1, 67}, ""},
  };
  return kImages;
}

void run_boot(Case& c) {
  Dice& dice = c.dice;
  const Image& image = images()[dice.below(images().size())];
  const bool split = image.any_irqchip && dice.chance(40);
  const std::string policy =
      split ? "host"
            : dice.pick({std::string{"yield"}, std::string{"fair"}, std::string{"v2"}, std::string{"v3"},
                         std::string{"kvmux"}, std::string{"rr"}, std::string{"gang"}});
  const uint32_t vcpus = image.vcpus != 0 ? image.vcpus : dice.pick({2u, 3u, 4u});
  const auto words =
      command(c, {"boot", c.programs.images + "/" + image.file, "--vcpus", std::to_string(vcpus), "--workers",
                  std::to_string(dice.pick({1, 2, 2, 3})), "--policy", policy, "--irqchip",
                  split ? "split" : "user", "--timeout", "100s"});
  Child child(words, c.output);
  if (!child.started()) return c.fail("cannot be started", words);
  const bool signalled = dice.chance(60) && disturb(c, child, dice.chance(50));
  const int status = child.wait(kLimit);
  if (child.hung()) return c.fail("HANG", words);
  const std::string said = contents(c.output);
  const bool killed = status == -SIGINT || status == -SIGTERM || status == -SIGHUP;
  if (signalled && (status == 130 || (killed && said.empty()))) return;
  bool accepted = false;
  for (const int one : image.statuses) accepted = accepted || status == one;
  if (!accepted)
    return c.fail(fmt::format("ended with {}, expected {}", status, image.statuses.front()), words);
  if (said.find("FAILED") != std::string::npos) return c.fail("its own checks failed", words);
  if (said.find(image.last) == std::string::npos) c.fail(fmt::format("without '{}'", image.last), words);
}

}  // namespace

Outcome run_program_case(const Machine& machine, const Programs& programs, Watchdog& dog) {
  Case c{.machine = machine,
         .programs = programs,
         .dice = Dice(machine.seed * 7'000'003 + machine.number),
         .outcome = {},
         .output = programs.folder + "/output"};
  dog.begin(fmt::format("machine {} of seed {} as a program", machine.number, machine.seed), 5 * kLimit);
  switch (machine.kind) {
    case Kind::kProgram:
      run_run(c);
      break;
    case Kind::kCompare:
      run_compare(c);
      break;
    case Kind::kBoot:
      run_boot(c);
      break;
    case Kind::kRun:
      break;
  }
  dog.end();
  return std::move(c.outcome);
}

}  // namespace soak
