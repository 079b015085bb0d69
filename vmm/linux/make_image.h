// A Linux guest's kernel and RAM disk as files, made as asked: what `kvmux linux-image` does. Rules as for
// default_image.h.
#pragma once

#include <string>
#include <vector>

#include "vmm/linux/default_image.h"

namespace vmm::linux_guest {

struct ImageRequest {
  std::vector<const LoadKind*> loads;
  std::string kernel = "debian";  // or "boot" (the newest in /boot that can be read), or a path
  std::string suite;              // of Debian: "trixie"
  std::string output;             // the RAM disk; kernel and versions beside it. Empty: in the cache
  bool gzip = false;
  bool offline = false;  // packages that are in the cache only
  bool reuse = false;    // what the cache has is taken as it is, else it is made anew
};

// All loads but those that are in an image only when named: vips, whose libraries are many, and compile.
[[nodiscard]] std::vector<const LoadKind*> usual_loads();

[[nodiscard]] Result<GuestImage> make_image(const ImageRequest& request, const Say& say);

}  // namespace vmm::linux_guest
