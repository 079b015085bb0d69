#include "vmm/run/kept_figure.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "sched/base/text.h"
#include "vmm/kvm/fd.h"
#include "vmm/run/retry.h"

namespace vmm {
namespace {

constexpr Nanos kMost{10'000'000'000};

// The whole of a small regular file; nothing if it is anything else. A link is not followed: its folder may
// be others' as well.
std::optional<std::string> small_file(const std::string& path) {
  const UniqueFd file(
      uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); }));
  struct stat about {};
  if (!file || ::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) return std::nullopt;
  std::array<char, 512> text;
  const ssize_t got = uninterrupted([&] { return ::read(file.get(), text.data(), text.size()); });
  if (got < 0 || static_cast<size_t>(got) == text.size()) return std::nullopt;
  return std::string(text.data(), static_cast<size_t>(got));
}

bool write_whole(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = uninterrupted([&] { return ::write(file, text.data(), text.size()); });
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// A new file under the name, or none: readers see the old one or the new one, whole.
bool replace_file(const std::string& path, std::string_view text) {
  std::string fresh = path + ".XXXXXX";
  const int fd = uninterrupted([&] { return ::mkostemp(fresh.data(), O_CLOEXEC); });
  if (fd < 0) return false;
  const UniqueFd file(fd);
  if (write_whole(file.get(), text) && std::rename(fresh.c_str(), path.c_str()) == 0) return true;
  (void)::unlink(fresh.c_str());  // it stays behind, and nobody reads it
  return false;
}

std::string folder_of(const char* variable, std::string_view below) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value != '/') return {};
  return fmt::format("{}{}/kvmux", value, below);
}

}  // namespace

std::optional<HostBoot> this_boot() {
  utsname name{};
  auto id = small_file("/proc/sys/kernel/random/boot_id");
  if (!id || ::uname(&name) != 0) return std::nullopt;
  while (!id->empty() && id->back() == '\n') id->pop_back();
  if (id->empty()) return std::nullopt;
  return HostBoot{std::move(*id), name.release};
}

std::vector<std::string> folders_for_figures() {
  std::string cache = folder_of("XDG_CACHE_HOME", "");
  if (cache.empty()) cache = folder_of("HOME", "/.cache");
  std::vector<std::string> folders;
  for (std::string& folder : std::array{folder_of("XDG_RUNTIME_DIR", ""), std::move(cache)}) {
    if (!folder.empty()) folders.push_back(std::move(folder));
  }
  return folders;
}

std::string KeptFigure::text(const HostBoot& boot, Nanos figure) const {
  return fmt::format("{} {}\nboot {}\nkernel {}\n", name_, figure.count(), boot.id, boot.kernel);
}

std::optional<Nanos> KeptFigure::read(const HostBoot& boot) const {
  for (const std::string& folder : folders_) {
    const auto kept = small_file(folder + "/" + name_);
    if (!kept || !kept->starts_with(name_ + " ")) continue;
    const size_t begin = name_.size() + 1;
    const auto value = sched::parse_integer(std::string_view(*kept).substr(begin, kept->find('\n') - begin));
    if (!value || *value < 0 || *value > kMost.count()) continue;
    // Whatever else it says, it must be what would be written.
    if (*kept == text(boot, Nanos{*value})) return Nanos{*value};
  }
  return std::nullopt;
}

bool KeptFigure::keep(const HostBoot& boot, Nanos figure) const {
  for (const std::string& folder : folders_) {
    (void)::mkdir(folder.c_str(), 0700);  // it may be there; if it cannot be made, nor can the file
    if (replace_file(folder + "/" + name_, text(boot, figure))) return true;
  }
  return false;
}

Nanos figure_of_boot(const std::string& name, const std::function<Result<Nanos>()>& measure) {
  const KeptFigure kept(folders_for_figures(), name);
  const auto boot = this_boot();
  if (boot) {
    if (const auto figure = kept.read(*boot)) return *figure;
  }
  const auto measured = measure();
  if (!measured) return Nanos{};
  if (boot) kept.keep(*boot, *measured);
  return *measured;
}

}  // namespace vmm
