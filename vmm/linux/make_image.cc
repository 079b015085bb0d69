#include "vmm/linux/make_image.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>

#include "guest/embedded.h"
#include "guest/linux/protocol.h"
#include "vmm/linux/build_image.h"
#include "vmm/linux/cache.h"
#include "vmm/linux/ram_disk.h"
#include "vmm/load/image_kind.h"
#include "vmm/load/linux_boot.h"
#include "vmm/load/pvh.h"
#include "vmm/load/vmlinux.h"
#include "vmm/stats/plan.h"

namespace vmm::linux_guest {
namespace {

namespace fs = std::filesystem;

constexpr int kRecipe = 1;  // another one makes other images of the same packages

// What an image in the cache was made of, packages' versions aside.
std::string key_of(const ImageRequest& request) {
  const auto agent = guests::linux_agent();
  std::string text = fmt::format("{} {} {}\n", kRecipe, request.suite, request.gzip);
  for (const LoadKind* load : request.loads) text += fmt::format("{}\n", load->name);
  text.append(reinterpret_cast<const char*>(agent.data()), agent.size());
  return fmt::format("{}-{:016x}", request.suite, fingerprint(text));
}

Result<std::string> kernel_in_boot() {
  utsname name{};
  if (::uname(&name) == 0) {
    std::string running = std::string{"/boot/vmlinuz-"} + name.release;
    if (::access(running.c_str(), R_OK) == 0) return running;
  }
  std::error_code error;
  std::string newest;
  fs::file_time_type when{};
  for (const auto& entry : fs::directory_iterator("/boot", error)) {
    const std::string path = entry.path();
    if (!entry.path().filename().string().starts_with("vmlinuz-") || ::access(path.c_str(), R_OK) != 0)
      continue;
    const auto changed = entry.last_write_time(error);
    if (newest.empty() || changed > when) newest = path, when = changed;
  }
  if (newest.empty()) {
    return host_error("--kernel boot", 0, "/boot has no vmlinuz-* that may be read; give a path, or debian");
  }
  return newest;
}

Result<BuiltKernel> kernel_at(const std::string& path) {
  auto bytes = read_whole(path);
  if (!bytes)
    return usage_error("--kernel " + path, bytes.error().text() + "; accepted are a path, debian and boot");
  const std::span file(reinterpret_cast<const std::byte*>(bytes->data()), bytes->size());
  if (!is_linux(file) && !is_pvh(file) && !is_vmlinux(file)) {
    const auto other = foreign_kind(file);
    return usage_error(
        "--kernel " + path,
        "no Linux kernel: " + (other ? foreign_words(*other)
                                     : "neither a bzImage, nor a vmlinux, nor an ELF with a PVH entry"));
  }
  return BuiltKernel{std::move(*bytes), path};
}

// Debian's, as it was made before.
std::optional<BuiltKernel> kept_kernel(const ImageRequest& request, const std::string& path) {
  if (!request.reuse || request.kernel != "debian") return std::nullopt;
  auto image = read_whole(path);
  auto version = read_whole(path + ".version");
  if (!image || !version) return std::nullopt;
  return BuiltKernel{std::move(*image), std::move(*version)};
}

Result<BuiltKernel> kernel_asked_for(const ImageRequest& request, const std::string& kept_at,
                                     PackageSource& source) {
  if (auto kept = kept_kernel(request, kept_at)) return std::move(*kept);
  if (request.kernel == "debian") return debian_kernel(source);
  if (request.kernel != "boot") return kernel_at(request.kernel);
  const auto path = kernel_in_boot();
  return path ? kernel_at(*path) : Failure(path.error());
}

GuestImage files_of(const ImageRequest& request, const std::string& folder) {
  if (!request.output.empty()) {
    return {request.output + ".vmlinuz", request.output, request.output + ".versions"};
  }
  const std::string base = folder + "/image-" + key_of(request);
  const bool debian = request.kernel == "debian";
  return {debian ? folder + "/vmlinuz-" + request.suite : base + ".vmlinuz",
          base + (request.gzip ? ".cpio.gz" : ".cpio"), base + ".versions"};
}

Result<void> write_all(const GuestImage& files, const BuiltImage& image, const BuiltKernel& kernel,
                       const ImageRequest& request) {
  const std::string archive = request.gzip ? gzip(image.archive) : image.archive;
  if (archive.empty()) return host_error("gzip", ENOMEM);
  if (auto written = replace_whole(files.kernel, kernel.image); !written) return written;
  if (request.output.empty()) {  // where kept_kernel() looks
    if (auto written = replace_whole(files.kernel + ".version", kernel.version); !written) return written;
  }
  if (auto written = replace_whole(files.versions, kernel.version + "\n" + image.versions); !written)
    return written;
  return replace_whole(files.initrd, archive);  // last: it is what is looked for
}

}  // namespace

std::vector<const LoadKind*> usual_loads() {
  std::vector<const LoadKind*> loads;
  for (const LoadKind& kind : load_kinds()) {
    if (kind.name != "vips" && kind.name != "compile") loads.push_back(&kind);
  }
  return loads;
}

Result<GuestImage> make_image(const ImageRequest& request, const Say& say) {
  const auto folder = cache_folder();
  if (!folder) return Failure(folder.error());
  const GuestImage files = files_of(request, *folder);
  if (request.reuse && is_file(files.initrd) && is_file(files.kernel)) return files;
  const auto work = WorkFolder::create(*folder);
  if (!work) return Failure(work.error());
  PackageSource source(*folder, request.suite, request.offline, work->path(), say);
  const auto kernel = kernel_asked_for(request, files.kernel, source);
  if (!kernel) return Failure(kernel.error());
  const auto image = build_image(request.loads, source);
  if (!image) return Failure(image.error());
  if (auto written = write_all(files, *image, *kernel, request); !written) return Failure(written.error());
  return files;
}

Result<GuestImage> default_image(std::span<const Load> loads, const Say& say) {
  ImageRequest request;
  request.suite = default_suite();
  request.reuse = true;
  // In the table's order, so that the same loads are the same image.
  for (const LoadKind& kind : load_kinds()) {
    const auto same = [&](const Load& load) { return load.kind == &kind; };
    if (std::ranges::any_of(loads, same)) request.loads.push_back(&kind);
  }
  auto made = make_image(request, say);
  if (made) return made;
  // What `kvmux linux-image` has made, perhaps elsewhere, has most loads.
  ImageRequest usual = request;
  usual.loads = usual_loads();
  const auto is_usual = [&](const LoadKind* load) {
    return std::ranges::find(usual.loads, load) != usual.loads.end();
  };
  usual.offline = true;
  if (std::ranges::all_of(request.loads, is_usual)) {
    if (auto other = make_image(usual, say)) return other;
  }
  // The kernel's packages may be what is missing.
  if (!kernel_in_boot()) return made;
  request.kernel = "boot";
  auto with_own = make_image(request, say);
  if (!with_own) return made;
  say(fmt::format("the kernel is one of /boot, because Debian's cannot be had: {}", made.error().text()));
  return with_own;
}

}  // namespace vmm::linux_guest
