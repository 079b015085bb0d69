// Where images, kernels and packages are kept: $XDG_CACHE_HOME/kvmux/linux, or ~/.cache/kvmux/linux. Files
// there are whole: they get their names when they are. Before the sandbox closes; any thread.
#pragma once

#include <string>

#include "vmm/result.h"

namespace vmm::linux_guest {

// Made if need be.
[[nodiscard]] Result<std::string> cache_folder();
[[nodiscard]] Result<void> make_folders(const std::string& path);

[[nodiscard]] bool is_file(const std::string& path);
[[nodiscard]] Result<std::string> read_whole(const std::string& path);
// In one step: readers see the old file or the new one.
[[nodiscard]] Result<void> replace_whole(const std::string& path, const std::string& bytes);

// A folder of its own below `parent`, gone with the object.
class WorkFolder {
 public:
  [[nodiscard]] static Result<WorkFolder> create(const std::string& parent);
  WorkFolder(WorkFolder&& other) noexcept;
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit WorkFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace vmm::linux_guest
