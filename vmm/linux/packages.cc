#include "vmm/linux/packages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sched/base/text.h"
#include "vmm/linux/cache.h"
#include "vmm/linux/child.h"

namespace vmm::linux_guest {
namespace {

namespace fs = std::filesystem;

constexpr const char* kKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
constexpr const char* kMirror = "http://deb.debian.org/debian";
constexpr const char* kKnownSuite = "trixie";

std::string mirror_of_this_machine() {
  std::error_code error;
  std::vector<std::string> files{"/etc/apt/sources.list"};
  for (const auto& entry : fs::directory_iterator("/etc/apt/sources.list.d", error))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) {
    const auto text = read_whole(file);
    if (!text) continue;
    if (std::string mirror = mirror_in(*text); !mirror.empty()) return mirror;
  }
  return kMirror;
}

// Lists of a day are new enough.
bool is_fresh(const std::string& mark) {
  std::error_code error;
  const auto when = fs::last_write_time(mark, error);
  return !error && fs::file_time_type::clock::now() - when < std::chrono::hours(24);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::vector<std::string> names_in_depends(std::string_view field) {
  std::vector<std::string> names;
  for (const std::string_view piece : sched::split(field, ",|")) {
    const std::string_view word = trimmed(piece);
    const std::string_view name = word.substr(0, word.find_first_of(" (:\n"));
    if (!name.empty()) names.emplace_back(name);
  }
  return names;
}

std::string mirror_in(std::string_view sources) {
  for (const std::string_view word : sched::split(sources, " \t\n")) {
    const bool is_url = word.starts_with("http://") || word.starts_with("https://");
    if (!is_url || word.find("snapshot") != std::string_view::npos) continue;
    if (word.ends_with("/debian")) return std::string{word};
    if (word.ends_with("/debian/")) return std::string{word.substr(0, word.size() - 1)};
  }
  return {};
}

std::string default_suite() {
  std::ifstream file("/etc/os-release");
  std::string line;
  std::string codename;
  bool debian = false;
  while (std::getline(file, line)) {
    debian = debian || line == "ID=debian";
    if (line.starts_with("VERSION_CODENAME=")) codename = line.substr(line.find('=') + 1);
  }
  return debian && !codename.empty() ? codename : kKnownSuite;
}

PackageSource::PackageSource(std::string folder, std::string suite, bool offline, std::string work, Say say)
    : folder_(std::move(folder)),
      suite_(std::move(suite)),
      offline_(offline),
      work_(std::move(work)),
      say_(std::move(say)) {
  folder_ += "/packages-" + suite_;
}

std::vector<std::string> PackageSource::apt(std::string_view command) const {
  std::vector<std::string> words{"apt-get"};
  const std::string lists = folder_ + "/apt";
  for (const std::string& option :
       {"Dir::Etc::sourcelist=" + lists + "/sources", std::string{"Dir::Etc::sourceparts=/dev/null"},
        "Dir::State::lists=" + lists + "/lists", std::string{"Dir::State::status=/dev/null"},
        "Dir::Cache=" + lists + "/cache", std::string{"APT::Sandbox::User="},
        std::string{"APT::Update::Error-Mode=any"}, std::string{"Acquire::Retries=2"}}) {
    words.insert(words.end(), {"-o", option});
  }
  words.insert(words.end(), {"-qq", std::string{command}});
  return words;
}

// Once; afterwards `trouble_` says whether apt-get may be used.
Result<void> PackageSource::prepare() {
  if (prepared_) return {};
  prepared_ = true;
  if (auto made = make_folders(folder_ + "/apt/lists/partial"); !made) return made;
  if (auto made = make_folders(folder_ + "/apt/cache/archives/partial"); !made) return made;
  if (offline_) {
    trouble_ = "--offline";
  } else if (!is_installed("apt-get")) {
    trouble_ = "this system has no apt-get";
  } else if (!is_file(kKeyring)) {
    trouble_ = fmt::format("{} is missing (package debian-archive-keyring)", kKeyring);
  }
  const std::string mark = folder_ + "/apt/fresh";
  if (!trouble_.empty() || is_fresh(mark)) return {};
  const std::string source =
      fmt::format("deb [signed-by={}] {} {} main\n", kKeyring, mirror_of_this_machine(), suite_);
  if (auto written = replace_whole(folder_ + "/apt/sources", source); !written) return written;
  say_(fmt::format("reading the list of packages of {}", suite_));
  if (const auto updated = output_of(apt("update")); !updated) {
    trouble_ = updated.error().text();
    return {};
  }
  return replace_whole(mark, "");
}

// Where apt-get would store them, without fetching them: 'URL' FILE SIZE HASH, a line each, in an order of
// its own.
Result<std::map<std::string, std::string>> PackageSource::places_of(std::span<const std::string> names) {
  auto words = apt("download");
  words.emplace_back("--print-uris");
  words.insert(words.end(), names.begin(), names.end());
  const auto printed = output_of(words);
  if (!printed) return Failure(printed.error());
  std::map<std::string, std::string> places;
  std::istringstream lines(*printed);
  for (std::string line; std::getline(lines, line);) {
    const auto fields = sched::split(line, " ");
    if (fields.size() < 3 || !line.starts_with('\'')) continue;
    const std::string_view file = fields[1];
    places.emplace(file.substr(0, file.find('_')), folder_ + "/" + std::string{file});
  }
  return places;
}

void PackageSource::prefetch(std::span<const std::string> wanted) {
  std::vector<std::string> names;
  std::ranges::copy_if(wanted, std::back_inserter(names),
                       [&](const std::string& name) { return !files_.contains(name); });
  if (names.empty() || !prepare() || !trouble_.empty()) return;
  const auto places = places_of(names);
  if (!places) {
    why_not_ = places.error().text();
    return;
  }
  std::vector<std::string> missing;
  for (const auto& [name, path] : *places) {
    if (!is_file(path)) missing.push_back(name);
  }
  if (!missing.empty()) {
    const std::vector<std::string_view> shown(missing.begin(), missing.end());
    say_(fmt::format("fetching {}", sched::join(shown, ", ")));
    auto words = apt("download");
    words.insert(words.end(), missing.begin(), missing.end());
    if (const auto fetched = output_of(words, folder_); !fetched) why_not_ = fetched.error().text();
  }
  for (const auto& [name, path] : *places) {
    if (is_file(path)) files_[name] = path;
  }
}

// The newest by the time at which it was fetched.
std::string PackageSource::newest_kept(const std::string& name) const {
  std::error_code error;
  std::string newest;
  fs::file_time_type when{};
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    const std::string file = entry.path().filename();
    if (!file.starts_with(name + "_") || !file.ends_with(".deb")) continue;
    const auto changed = entry.last_write_time(error);
    if (!newest.empty() && (changed < when || (changed == when && entry.path().string() < newest))) continue;
    newest = entry.path();
    when = changed;
  }
  return newest;
}

Result<std::string> PackageSource::fetch(const std::string& name) {
  if (auto prepared = prepare(); !prepared) return Failure(prepared.error());
  prefetch(std::array{name});
  if (const auto known = files_.find(name); known != files_.end()) return known->second;
  std::string kept = newest_kept(name);
  if (!kept.empty()) return kept;
  return host_error(
      fmt::format("package {} of Debian's {}", name, suite_), 0,
      fmt::format(
          "not in {}, and {}. With a network, run `kvmux linux-image` once without --offline; or copy that "
          "folder, or a finished image and kernel, from a machine that has them",
          folder_, trouble_.empty() ? why_not_ : trouble_));
}

Result<Package> PackageSource::get(const std::string& name) {
  const auto file = fetch(name);
  if (!file) return Failure(file.error());
  Package package{name, {}, {}, work_ + "/" + name};
  const auto version = output_of({"dpkg-deb", "-f", *file, "Version"});
  const auto depends = output_of({"dpkg-deb", "-f", *file, "Depends"});
  if (!version || !depends) return Failure(version ? depends.error() : version.error());
  package.version = trimmed(*version);
  package.depends = names_in_depends(*depends);
  if (auto made = make_folders(package.tree); !made) return Failure(made.error());
  const auto unpacked = output_of({"dpkg-deb", "-x", *file, package.tree});
  if (!unpacked) return Failure(unpacked.error());
  return package;
}

}  // namespace vmm::linux_guest
