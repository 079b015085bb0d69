// The recipe of an initial RAM disk: the agent as /init, busybox, the programs of the loads, and the
// libraries that they need by ELF's own word (DT_NEEDED), each from the package that the one in need depends
// on. Nothing else of a package goes in.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vmm/linux/packages.h"

namespace vmm::linux_guest {

struct BuiltImage {
  std::string archive;   // cpio newc, not compressed
  std::string versions;  // "NAME VERSION\n", sorted
};

[[nodiscard]] Result<BuiltImage> build_image(std::span<const LoadKind* const> loads, PackageSource& source);

struct BuiltKernel {
  std::string image;    // the bytes of a bzImage
  std::string version;  // "linux-image-6.1.0-50-cloud-amd64 6.1.176-1"
};
// Debian's kernel for virtual machines.
[[nodiscard]] Result<BuiltKernel> debian_kernel(PackageSource& source);

}  // namespace vmm::linux_guest
