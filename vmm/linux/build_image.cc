#include "vmm/linux/build_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>

#include "guest/embedded.h"
#include "sched/base/text.h"
#include "vmm/linux/cache.h"
#include "vmm/linux/elf_needs.h"
#include "vmm/linux/ram_disk.h"

namespace vmm::linux_guest {
namespace {

namespace fs = std::filesystem;

struct Home {
  std::string_view file;
  std::string_view package;
};
// Where the files of guest/linux/loads.h come from.
constexpr std::array kHomes{
    Home{"/usr/bin/dbench", "dbench"},      Home{"/usr/share/dbench/client.txt", "dbench"},
    Home{"/usr/bin/hackbench", "rt-tests"}, Home{"/usr/bin/cyclictest", "rt-tests"},
    Home{"/usr/bin/sysbench", "sysbench"},  Home{"/usr/bin/stress-ng", "stress-ng"},
    Home{"/usr/bin/pigz", "pigz"},          Home{"/usr/bin/zstd", "zstd"},
    Home{"/usr/bin/vips", "libvips-tools"}, Home{"/usr/bin/tcc", "tcc"},
};
// Where Debian's loader looks without being told.
constexpr std::string_view kLibraries = "lib/x86_64-linux-gnu/";

// Debian Policy 8.1: libfoo.so.3 is in libfoo3, libfoo-2.so.3 in libfoo-2-3.
std::string package_like(std::string_view library) {
  const size_t so = library.find(".so");
  if (so == std::string_view::npos) return {};
  std::string name{library.substr(0, so)};
  const std::string_view version = library.substr(std::min(so + 4, library.size()));
  if (!name.empty() && name.back() >= '0' && name.back() <= '9' && !version.empty()) name += '-';
  name += version;
  for (char& c : name) c = c == '_' ? '-' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return name;
}

bool looks_like(const std::string& package, const std::string& wanted) {
  return package == wanted || package == wanted + "t64";
}

class Recipe {
 public:
  explicit Recipe(PackageSource& source) : source_(source) {}

  Result<void> add_program(const std::string& file, const std::string& package) {
    auto got = package_named(package);
    if (!got) return Failure(got.error());
    const auto path = find_path(**got, file);
    if (path.empty()) return host_error("package " + package, 0, fmt::format("it holds no {}", file));
    return add_file(file.substr(1), path, **got);
  }

  Result<void> add_libraries() {
    while (!needed_.empty()) {
      const std::vector<Need> wave(needed_.begin(), needed_.end());
      needed_.clear();
      prefetch_for(wave);
      for (const Need& need : wave) {
        if (auto added = add_library(need); !added) return added;
      }
    }
    return {};
  }

  RamDisk& disk() { return disk_; }
  void prefetch(std::span<const std::string> names) { source_.prefetch(names); }
  std::string versions() const {
    std::string text;
    for (const std::string& name : used_) text += fmt::format("{} {}\n", name, packages_.at(name).version);
    return text;
  }

 private:
  struct Need {
    std::string library;
    const Package* of;
  };

  Result<const Package*> package_named(const std::string& name) {
    if (const auto known = packages_.find(name); known != packages_.end()) return &known->second;
    auto package = source_.get(name);
    if (!package) return Failure(package.error());
    return &packages_.emplace(name, std::move(*package)).first->second;
  }

  // Where a path of the package really is, behind links, which stay inside; empty: nowhere.
  static std::string real_path(const Package& package, fs::path path) {
    constexpr int kMostLinks = 8;
    std::error_code error;
    for (int links = 0; fs::is_symlink(path, error) && links < kMostLinks; ++links) {
      const fs::path target = fs::read_symlink(path, error);
      path = target.is_absolute() ? fs::path(package.tree + target.string()) : path.parent_path() / target;
    }
    const fs::path real = fs::canonical(path, error);
    if (error || !fs::is_regular_file(real, error)) return {};
    const fs::path tree = fs::canonical(package.tree, error);
    return !error && real.string().starts_with(tree.string() + "/") ? real.string() : std::string{};
  }

  // With and without /usr, which are one in Debian since 12.
  static std::string find_path(const Package& package, const std::string& file) {
    const std::string without = file.starts_with("/usr/") ? file.substr(4) : file;
    for (const std::string& path : {without, "/usr" + without}) {
      if (std::string real = real_path(package, package.tree + path); !real.empty()) return real;
    }
    return {};
  }

  Result<void> add_file(const std::string& to, const std::string& path, const Package& package) {
    auto bytes = read_whole(path);
    if (!bytes) return Failure(bytes.error());
    used_.insert(package.name);
    const auto needs = elf_needs(*bytes);
    disk_.file(to, std::move(*bytes), needs.has_value());
    if (!needs) return {};
    for (const std::string& library : needs->libraries) needed_.push_back({library, &package});
    if (needs->interpreter.empty() || disk_.has(needs->interpreter.substr(1))) return {};
    return add_program(needs->interpreter, "libc6");
  }

  // By one command, as far as names tell where the libraries are.
  void prefetch_for(std::span<const Need> needs) {
    std::set<std::string> guesses;
    for (const Need& need : needs) {
      const std::string wanted = package_like(need.library);
      for (const std::string& name : need.of->depends) {
        if (looks_like(name, wanted) && !packages_.contains(name)) guesses.insert(name);
      }
    }
    source_.prefetch(std::vector<std::string>(guesses.begin(), guesses.end()));
  }

  Result<void> add_library(const Need& need) {
    const std::string to = std::string{kLibraries} + need.library;
    if (disk_.has(to)) return {};
    const auto found = find_library(need);
    if (!found) return Failure(found.error());
    return add_file(to, found->first, *found->second);
  }

  static std::string library_in(const Package& package, const std::string& library) {
    for (const char* folder : {"/lib/x86_64-linux-gnu/", "/lib/"}) {
      if (auto path = find_path(package, folder + library); !path.empty()) return path;
    }
    // In a folder of its own, which programs are told of: libblas.
    std::error_code error;
    std::set<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(package.tree, error)) {
      if (entry.path().filename() != library) continue;
      if (std::string real = real_path(package, entry.path()); !real.empty()) found.insert(std::move(real));
    }
    return found.empty() ? std::string{} : *found.begin();
  }

  Result<std::pair<std::string, const Package*>> find_library(const Need& need) {
    for (const auto& [name, package] : packages_) {
      if (auto path = library_in(package, need.library); !path.empty()) return std::pair{path, &package};
    }
    // Packages that it depends on: those with such a name first, then other libraries.
    const std::string wanted = package_like(need.library);
    std::vector<std::string> names = need.of->depends;
    const auto rank = [&](const std::string& name) {
      return looks_like(name, wanted) ? 0 : name.starts_with("lib") ? 1 : 2;
    };
    std::ranges::stable_sort(names, {}, rank);
    for (const std::string& name : names) {
      if (packages_.contains(name)) continue;
      auto package = package_named(name);
      if (!package && looks_like(name, wanted)) return Failure(package.error());
      if (!package) continue;  // an alternative that there is not
      if (auto path = library_in(**package, need.library); !path.empty()) return std::pair{path, *package};
    }
    return host_error("library " + need.library, 0,
                      fmt::format("no package that {} depends on holds it", need.of->name));
  }

  PackageSource& source_;
  RamDisk disk_;
  std::map<std::string, Package> packages_;
  std::set<std::string> used_;
  std::vector<Need> needed_;
};

std::string_view home_of(std::string_view file) {
  const auto home = std::ranges::find(kHomes, file, &Home::file);
  return home == kHomes.end() ? std::string_view{} : home->package;
}

std::vector<std::string_view> programs_of(const LoadKind& load) {
  if (load.programs.empty()) return {};
  return sched::split(load.programs, " ");
}

void add_frame(RamDisk& disk) {
  const auto agent = guests::linux_agent();
  disk.file("init", {reinterpret_cast<const char*>(agent.data()), agent.size()}, true);
  for (const char* folder : {"dev", "proc", "sys", "tmp", "run"}) disk.folder(folder);
  disk.character_device("dev/console", 5, 1);  // for init's first words; the kernel mounts nothing over it
  disk.link("bin/sh", "busybox");
  disk.file("etc/passwd", "root:x:0:0:root:/:/bin/sh\n", false);
}

}  // namespace

Result<BuiltImage> build_image(std::span<const LoadKind* const> loads, PackageSource& source) {
  Recipe recipe(source);
  add_frame(recipe.disk());
  std::set<std::string> names{"busybox-static"};
  for (const LoadKind* load : loads) {
    for (const std::string_view file : programs_of(*load)) {
      names.emplace(home_of(file));
      names.emplace("libc6");
    }
  }
  const std::vector<std::string> all(names.begin(), names.end());
  recipe.prefetch(all);
  if (auto added = recipe.add_program("/bin/busybox", "busybox-static"); !added)
    return Failure(added.error());
  for (const LoadKind* load : loads) {
    for (const std::string_view file : programs_of(*load)) {
      auto added = recipe.add_program(std::string{file}, std::string{home_of(file)});
      if (!added) return Failure(added.error());
    }
  }
  if (auto added = recipe.add_libraries(); !added) return Failure(added.error());
  return BuiltImage{recipe.disk().bytes(), recipe.versions()};
}

}  // namespace vmm::linux_guest
