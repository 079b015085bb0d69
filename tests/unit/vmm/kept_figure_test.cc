#include "vmm/run/kept_figure.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace vmm;
namespace fs = std::filesystem;

namespace {

const HostBoot kBoot{"0a1b2c3d-0000-4000-8000-000000000001", "6.1.0-32-amd64"};
constexpr Nanos kFigure{15'800'000};

// Two folders that are gone after the test.
struct Folders {
  Folders() {
    fs::remove_all(root);
    fs::create_directories(root);
  }
  ~Folders() { fs::remove_all(root); }
  [[nodiscard]] std::string first() const { return root / "first"; }
  [[nodiscard]] std::string second() const { return root / "second"; }
  [[nodiscard]] KeptFigure kept() const { return {{first(), second()}, "move-cost-ns"}; }
  [[nodiscard]] fs::path file() const { return root / "first" / "move-cost-ns"; }
  void write(const std::string& text) const { std::ofstream(file()) << text; }
  [[nodiscard]] std::string text() const {
    std::ifstream in(file());
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  const fs::path root = fs::temp_directory_path() / ("kvmux-kept-" + std::to_string(::getpid()));
};

class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value == nullptr ? ::unsetenv(name) : ::setenv(name, value, 1);
  }
  ~Variable() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

}  // namespace

TEST_CASE("a figure is kept for one boot and one kernel") {
  const Folders folders;
  const KeptFigure kept = folders.kept();
  CHECK_FALSE(kept.read(kBoot));
  REQUIRE(kept.keep(kBoot, kFigure));
  CHECK(kept.read(kBoot) == kFigure);
  CHECK_FALSE(kept.read({"another", kBoot.kernel}));
  CHECK_FALSE(kept.read({kBoot.id, "6.13.0"}));
  REQUIRE(kept.keep(kBoot, Nanos{0}));
  CHECK(kept.read(kBoot) == Nanos{0});
  CHECK(std::distance(fs::directory_iterator(folders.first()), {}) == 1);  // nothing is left of the writing
}

TEST_CASE("a figure that is damaged is not kept") {
  const Folders folders;
  const KeptFigure kept = folders.kept();
  REQUIRE(kept.keep(kBoot, kFigure));
  const std::string good = folders.text();
  const std::string rest = good.substr(good.find('\n'));
  for (const std::string& bad :
       {std::string(), std::string("move-cost-ns"), std::string("move-cost-ns \n"), "move-cost-ns -1" + rest,
        "move-cost-ns 10000000001" + rest, "move-cost-ns 99999999999999999999" + rest,
        "move-cost-ns 1e6" + rest, "move-cost-ns 0015" + rest, "another 15" + rest, good + "x",
        good.substr(0, good.size() - 1), "\n" + good, good + std::string(4096, ' '),
        std::string(600, '\0')}) {
    CAPTURE(bad);
    folders.write(bad);
    CHECK_FALSE(kept.read(kBoot));
  }
  folders.write(good);
  CHECK(kept.read(kBoot) == kFigure);
}

TEST_CASE("a figure is read from plain files only") {
  const Folders folders;
  const KeptFigure kept = folders.kept();
  REQUIRE(kept.keep(kBoot, kFigure));
  fs::rename(folders.file(), folders.root / "elsewhere");
  SUBCASE("a link") { fs::create_symlink(folders.root / "elsewhere", folders.file()); }
  SUBCASE("a folder") { fs::create_directory(folders.file()); }
  SUBCASE("a pipe that nobody writes to") { REQUIRE(::mkfifo(folders.file().c_str(), 0600) == 0); }
  CHECK_FALSE(kept.read(kBoot));
}

TEST_CASE("a figure goes to the next folder where the first takes nothing") {
  const Folders folders;
  const KeptFigure kept = folders.kept();
  std::ofstream(folders.first()) << "no folder";
  REQUIRE(kept.keep(kBoot, kFigure));
  CHECK(fs::exists(fs::path(folders.second()) / "move-cost-ns"));
  CHECK(kept.read(kBoot) == kFigure);
  CHECK_FALSE(KeptFigure({}, "move-cost-ns").keep(kBoot, kFigure));
  CHECK_FALSE(KeptFigure({}, "move-cost-ns").read(kBoot));
}

TEST_CASE("figures: where they are kept") {
  const Variable home("HOME", "/home/somebody");
  SUBCASE("all is set") {
    const Variable runtime("XDG_RUNTIME_DIR", "/run/user/1");
    const Variable cache("XDG_CACHE_HOME", "/cache");
    CHECK(folders_for_figures() == std::vector<std::string>{"/run/user/1/kvmux", "/cache/kvmux"});
  }
  SUBCASE("the home alone; a relative path is none") {
    const Variable runtime("XDG_RUNTIME_DIR", "run");
    const Variable cache("XDG_CACHE_HOME", nullptr);
    CHECK(folders_for_figures() == std::vector<std::string>{"/home/somebody/.cache/kvmux"});
  }
}
