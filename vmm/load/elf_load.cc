// Second half of elf.h: from a file into bytes, from checked bytes into guest memory.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/check.h"
#include "vmm/kvm/fd.h"
#include "vmm/load/elf.h"
#include "vmm/run/retry.h"

namespace vmm {

Result<void> load_elf64(std::span<const std::byte> file, const ElfImage& image, const GuestMemory& memory,
                        Gpa limit) {
  for (const ElfSegment& s : image.segments) {
    const Gpa end = s.start + s.memory_bytes;
    if (s.start < kImageStart || end > limit) {
      return usage_error(
          "load ELF image",
          fmt::format("the segment {:#x} … {:#x} is outside of {:#x} … {:#x}, which is the guest's: {}",
                      s.start.value, end.value, kImageStart.value, limit.value,
                      s.start < kImageStart ? "link it at 1 MiB or above"
                                            : "give the guest more memory or link it lower"));
    }
  }
  for (const ElfSegment& s : image.segments) {
    KVMUX_CHECK(s.file_offset + s.file_bytes <= file.size(), "the image was parsed from this file");
    auto ok = memory.write(s.start, file.subspan(s.file_offset, s.file_bytes)).and_then([&] {
      return memory.fill_zero(s.start + s.file_bytes, s.memory_bytes - s.file_bytes);
    });
    if (!ok) return ok;
  }
  return {};
}

Result<std::vector<std::byte>> read_image_file(const std::string& path, uint64_t max_bytes) {
  const auto refuse = [&](int errno_value, std::string why) {
    Error error = usage_error("read " + path, std::move(why)).value();
    error.errno_value = errno_value;
    return Failure(std::move(error));
  };
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a pipe must not block us
  if (!fd) return refuse(errno, {});
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return refuse(errno, {});
  if (!S_ISREG(info.st_mode)) return refuse(0, "not a regular file");
  if (static_cast<uint64_t>(info.st_size) > max_bytes) {
    return refuse(0, fmt::format("{} bytes, at most {} MiB are accepted", info.st_size, max_bytes >> 20));
  }
  std::vector<std::byte> bytes(static_cast<size_t>(info.st_size));
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got =
        uninterrupted([&] { return ::read(fd.get(), bytes.data() + have, bytes.size() - have); });
    if (got < 0) return refuse(errno, {});
    if (got == 0) break;  // shrank meanwhile
    have += static_cast<size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

}  // namespace vmm
