#include "vmm/linux/cache.h"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "vmm/output/standard.h"

namespace vmm::linux_guest {

namespace fs = std::filesystem;

Result<std::string> cache_folder() {
  const char* variable = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  std::string folder;
  if (variable != nullptr && *variable == '/') {
    folder = variable;
  } else if (home != nullptr && *home == '/') {
    folder = std::string{home} + "/.cache";
  } else {
    return host_error("the cache of Linux images", 0, "neither XDG_CACHE_HOME nor HOME is an absolute path");
  }
  folder += "/kvmux/linux";
  if (auto made = make_folders(folder); !made) return Failure(made.error());
  return folder;
}

Result<void> make_folders(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return host_error("create " + path, error.value());
  return {};
}

bool is_file(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

Result<std::string> read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return host_error("open " + path, errno);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) return host_error("read " + path, errno);
  return bytes;
}

Result<void> replace_whole(const std::string& path, const std::string& bytes) {
  const std::string fresh = path + "." + std::to_string(::getpid());
  if (auto written = write_file("write " + path, fresh, bytes); !written) {
    (void)std::remove(fresh.c_str());
    return written;
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return host_error("rename " + fresh, errno);
  return {};
}

Result<WorkFolder> WorkFolder::create(const std::string& parent) {
  std::string path = parent + "/work-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return host_error("create " + path, errno);
  return WorkFolder(std::move(path));
}

WorkFolder::WorkFolder(WorkFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}

WorkFolder::~WorkFolder() {
  std::error_code error;
  if (!path_.empty()) fs::remove_all(path_, error);
}

}  // namespace vmm::linux_guest
