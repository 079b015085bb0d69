// Debian's kernel for virtual machines: what the package linux-image-cloud-amd64 leads to.
#include <algorithm>
#include <filesystem>

#include "vmm/linux/build_image.h"
#include "vmm/linux/cache.h"

namespace vmm::linux_guest {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMetaPackage = "linux-image-cloud-amd64";
constexpr int kMostSteps = 4;  // meta package, image, and since 7.2 the binary that it is made of

std::string kernel_in(const std::string& tree) {
  std::error_code error;
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(tree, error)) {
    if (entry.path().filename().string().starts_with("vmlinuz") && entry.is_regular_file(error))
      found.push_back(entry.path());
  }
  return found.empty() ? std::string{} : *std::max_element(found.begin(), found.end());
}

}  // namespace

Result<BuiltKernel> debian_kernel(PackageSource& source) {
  std::string name = kMetaPackage;
  for (int step = 0; step < kMostSteps; ++step) {
    const auto package = source.get(name);
    if (!package) return Failure(package.error());
    if (const std::string kernel = kernel_in(package->tree); !kernel.empty()) {
      auto bytes = read_whole(kernel);
      if (!bytes) return Failure(bytes.error());
      return BuiltKernel{std::move(*bytes), name + " " + package->version};
    }
    const auto next = std::ranges::find_if(package->depends, [](const std::string& dependency) {
      return dependency.starts_with("linux-image-") || dependency.starts_with("linux-binary-");
    });
    if (next == package->depends.end()) break;
    name = *next;
  }
  return host_error(std::string{"package "} + kMetaPackage, 0, "it leads to no kernel");
}

}  // namespace vmm::linux_guest
