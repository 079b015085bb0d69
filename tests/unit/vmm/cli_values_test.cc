// Values of flags: empty ones, sizes, times, addresses, module names.
#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli_fake.h"
#include "vmm/cli/boot_options.h"
#include "vmm/cli/empty_values.h"
#include "vmm/cli/values.h"

using namespace vmm;
using namespace std::chrono_literals;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr SizeRange kRange{4 * kMiB, 3072 * kMiB};

Result<uint64_t> size(std::string_view text) { return parse_size("--mem", text, kRange); }

// The words that choose a command, and the positionals it needs.
std::vector<std::string> start_of(const CLI::App* command) {
  std::vector<std::string> words;
  size_t files = 0;
  for (const CLI::Option* option : command->get_options()) {
    if (option->get_positional() && option->get_required()) ++files;
  }
  for (; command->get_parent() != nullptr; command = command->get_parent()) {
    words.insert(words.begin(), command->get_name());
  }
  words.insert(words.end(), files, "image.elf");
  return words;
}

// Parses in a program of its own; what `--flag` got, and whether the command takes it.
struct Got {
  std::vector<std::string> values;
  std::vector<std::string> seed;
  bool accepted = false;
};

Got parse(std::vector<std::string> words, const std::string& flag) {
  CLI::App app{"test", "kvmux"};
  std::string sandbox = "on";
  const auto commands = add_commands(app, sandbox);
  auto separated = separate_empty_values(app, words);
  REQUIRE(separated);
  std::reverse(separated->begin(), separated->end());
  app.parse(std::move(*separated));
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  Got got;
  got.values = at->get_option(flag)->results();
  if (const CLI::Option* seed = at->get_option_no_throw("--seed")) got.seed = seed->results();
  got.accepted = check_empty_values(*at).has_value();
  return got;
}

}  // namespace

TEST_CASE("every flag of every command: an empty value is empty, and refused by name unless it is text") {
  CLI::App app{"test", "kvmux"};
  std::string sandbox = "on";
  size_t walked = 0;
  for (const Command& command : add_commands(app, sandbox)) {
    for (const CLI::Option* option : command.app->get_options()) {
      if (option->get_lnames().empty() || option->get_items_expected_max() == 0) continue;
      const std::string flag = "--" + option->get_lnames().front();
      CAPTURE(flag);
      std::vector<std::string> words = start_of(command.app);
      const std::string name = command.app->get_name();
      CAPTURE(name);
      words.push_back(flag + "=");
      const bool has_seed = command.app->get_option_no_throw("--seed") != nullptr && flag != "--seed";
      if (has_seed) words.push_back("--seed=7");
      const Got got = parse(words, flag);
      CHECK(got.values == std::vector<std::string>{""});
      if (has_seed) CHECK(got.seed == std::vector<std::string>{"7"});
      const bool is_text = option->get_type_name() == kTextType;
      CHECK(got.accepted == is_text);
      ++walked;
      if (is_text) continue;
      FakeProgram program;
      CHECK(program.run(words) == 2);
      CHECK_MESSAGE(program.err.str().starts_with("kvmux: " + flag), program.err.str());
      CHECK_MESSAGE(program.err.str().find("'' is not accepted") != std::string::npos, program.err.str());
    }
  }
  CHECK(walked > 200);
}

TEST_CASE("a value that looks like an empty flag stays a value; flags without value take none") {
  CHECK(parse({"run", "--guest-args", "--seed="}, "--guest-args").values == std::vector<std::string>{"--seed="});
  CHECK(parse({"run", "--guest-args=a="}, "--guest-args").values == std::vector<std::string>{"a="});
  const std::vector<std::string> two{"a b", "[c]"};
  CHECK(parse({"boot", "--module", "a b", "--module", "[c]", "image"}, "--module").values == two);
  FakeProgram program;
  CHECK(program.run({"run", "--per-vcpu="}) == 2);
  CHECK(program.err.str().find("--per-vcpu: takes no value") != std::string::npos);
  CHECK(program.run({"boot", ""}) == 2);
  CHECK(program.err.str().find("image: '' is not accepted") != std::string::npos);
}

TEST_CASE("sizes: units in either case, whole pages, nothing beyond the range") {
  for (const char* four : {"4M", "4m", "4MiB", "4miB", "4096K", "4096k", "4096KiB", "4194304"}) {
    CAPTURE(four);
    CHECK(size(four).value_or(0) == 4 * kMiB);
  }
  CHECK(size("3G").value_or(0) == 3072 * kMiB);
  CHECK(size("3GiB").value_or(0) == 3072 * kMiB);
  for (const char* bad : {"", "M", "4194303", "4095K", "3073M", "4G", "-4M", "+4M", " 4M", "4M ", "4 M", "4MB", "4Mi",
                          "4.5M", "4MM", "0", "0x400000", "4T", "18446744073709551616", "17179869188G"}) {
    CAPTURE(bad);
    const auto refused = size(bad);
    REQUIRE(!refused);
    CHECK(refused.error().text().find("--mem: '" + std::string(bad) + "' is not accepted") != std::string::npos);
    CHECK(refused.error().text().find("from 4M to 3072M") != std::string::npos);
  }
  const auto odd = size("4194305");
  REQUIRE(!odd);
  CHECK(odd.error().text().find("a multiple of 4096 bytes") != std::string::npos);
}

TEST_CASE("memory is rounded up to whole huge pages, with words") {
  CHECK(!rounding_words("--mem", "6M", 6 * kMiB));
  CHECK(whole_huge_pages(5 * kMiB) == 6 * kMiB);
  CHECK(rounding_words("--mem", "5M", 5 * kMiB).value_or("") ==
        "--mem: 5M is rounded up to 6M, guests have whole pages of 2M");
  FakeProgram program;
  CHECK(program.run({"run", "--memory", "5M", "--backend", "sim"}) == 0);
  CHECK(program.err.str().find("warning: --memory: 5M is rounded up to 6M") != std::string::npos);
  CHECK(program.run({"run", "--vm", "memory=7m", "--backend", "sim"}) == 0);
  CHECK(program.err.str().find("warning: --vm memory: 7168K is rounded up to 8M") != std::string::npos);
}

TEST_CASE("times in seconds: minutes are minutes, a bare number counts seconds, nothing trails") {
  const auto seconds = [](std::string_view text) { return parse_seconds("--timeout", text, 1ms, 24h); };
  CHECK(seconds("10m").value_or(0ns) == 10min);
  CHECK(seconds("1.5m").value_or(0ns) == 90s);
  CHECK(seconds("3").value_or(0ns) == 3s);
  CHECK(seconds("0.5").value_or(0ns) == 500ms);
  CHECK(seconds("10ms").value_or(0ns) == 10ms);
  for (const char* bad : {"", "5u", "5n", "-1", "-1s", "1h", "3 ", " 3", "3s3", "1e3", "0", "25000m", "inf", "nan"}) {
    CAPTURE(bad);
    CHECK(!seconds(bad));
  }
}

TEST_CASE("percentages, counts and addresses take nothing before or behind") {
  CHECK(parse_percent("--margin", "5%").value_or(1) == doctest::Approx(0.05));
  for (const char* bad : {"", "%", "-5%", "5%%", "5 %", "100%", "1e1", "nan", "inf", "+5"}) {
    CAPTURE(bad);
    CHECK(!parse_percent("--margin", bad));
  }
  for (const char* bad : {"", "+1", " 1", "1 ", "1.0", "0x1", "9223372036854775808", "1,"}) {
    CAPTURE(bad);
    CHECK(!parse_count("--seed", bad, {0, INT64_MAX}));
  }
  CHECK(parse_address("--load-at", "0x7C00", 0xffffffff).value_or(0) == 0x7c00);
  CHECK(parse_address("--load-at", "31744", 0xffffffff).value_or(0) == 0x7c00);
  for (const char* bad : {"", "0x", "010", "-1", " 1", "+1", " -18446744073709551615", "0x100000000", "7c00", "1k"}) {
    CAPTURE(bad);
    CHECK(!parse_address("--load-at", bad, 0xffffffff));
  }
}

TEST_CASE("--module: a name ends at a space, or stands in quotes") {
  CHECK(module_file("disk.img").value_or("") == "disk.img");
  CHECK(module_file("disk.img a=1 b").value_or("") == "disk.img");
  CHECK(module_file("a,b=c.img x").value_or("") == "a,b=c.img");
  CHECK(module_file("\"my disk.img\" a=1").value_or("") == "my disk.img");
  CHECK(module_file("'my disk.img'").value_or("") == "my disk.img");
  CHECK(module_file(R"("a \"b\" \\ \c")").value_or("") == R"(a "b" \ \c)");
  CHECK(module_file(R"('a\')").value_or("") == "a\\");
  for (const char* bad : {"", " x", "\"", "\"\"", "\"a", "\"a\"b", "'a\"", "\"a\\\""}) {
    CAPTURE(bad);
    const auto refused = module_file(bad);
    REQUIRE(!refused);
    CHECK(refused.error().kind == ErrorKind::kUsage);
    CHECK(refused.error().text().find("--module") != std::string::npos);
  }
}
